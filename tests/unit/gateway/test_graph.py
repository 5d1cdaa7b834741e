"""The picture of a trace: nothing overlaps, nothing is left out but files."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from headwater.trace import Node
from services.gateway import graph

LEAF = st.builds(Node, kind=st.just("data"), name=st.text(max_size=5), digest=st.just("sha256:0"))
TREE = st.recursive(
    LEAF,
    lambda below: st.builds(Node, st.just("run"), st.text(max_size=5), st.just(""), origins=st.tuples(below, below)),
)


def count(node: Node) -> int:
    return 1 + sum(count(origin) for origin in node.origins)


@given(TREE)
def test_boxes_do_not_overlap_and_stay_within_the_picture(root: Node) -> None:
    picture = graph.draw(root)
    places = {(box.x, box.y) for box in picture.boxes}
    assert len(places) == len(picture.boxes) == count(root)
    for x in {box.x for box in picture.boxes}:
        column = sorted(box.y for box in picture.boxes if box.x == x)
        assert all(lower - upper >= graph.BOX_HEIGHT for upper, lower in itertools.pairwise(column))
    assert all(box.x + graph.BOX_WIDTH <= picture.width for box in picture.boxes)
    assert all(box.y + graph.BOX_HEIGHT <= picture.height for box in picture.boxes)


@given(TREE)
def test_everything_but_the_request_has_one_edge(root: Node) -> None:
    assert len(graph.draw(root).edges) == count(root) - 1


def test_of_many_files_the_first_and_the_count_are_drawn() -> None:
    files = tuple(Node("file", f"{number}.png", "sha256:0") for number in range(9))
    picture = graph.draw(Node("data", "projects/p/datasets/d/versions/v1.0.0", "sha256:1", origins=files))
    assert [box.title for box in picture.boxes] == ["d / v1.0.0", "0.png", "1.png", "2.png", "8.png"]
