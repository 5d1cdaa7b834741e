"""Trees of chunks: changed and compared at the cost of what changes, with the result that all chunks would give."""

import hashlib
import random
from collections.abc import Mapping, Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from headwater import tree
from services.dataset.model import Tree
from services.dataset.trees.differing import differing
from services.dataset.trees.model import Child, Node, nodes_above
from services.dataset.trees.replace import Change, replace
from services.dataset.trees.walk import chunks_in

LAYOUT = b"l" * 32


class Forest:
    """Nodes of trees, and which of them were looked at."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {}
        self.looked_at: set[bytes] = set()

    def plant(self, chunks: Sequence[Child]) -> Tree:
        made = nodes_above(chunks)
        self.nodes |= {node.digest: node for node in made}
        return made[-1].as_tree(LAYOUT)

    async def get_nodes(self, layout: bytes, digests: Sequence[bytes]) -> Mapping[bytes, Node]:
        assert layout == LAYOUT
        self.looked_at |= set(digests)
        return {digest: self.nodes[digest] for digest in digests}


def chunk(number: int) -> Child:
    """A chunk; of small numbers every second one ends a group, so that a few chunks make several levels."""
    digest = hashlib.sha256(str(number).encode()).digest()
    if number < 1000:
        digest = (b"\0" if number % 2 else b"\xff") + digest[1:]
    return Child(digest, 1 + number % 3, 100 + number, 1)


def rows_before(chunks: Sequence[Child]) -> list[int]:
    starts = [0]
    for each in chunks:
        starts.append(starts[-1] + each.row_count)
    return starts


CHUNKS = st.lists(st.integers(0, 12).map(chunk), max_size=60)


@st.composite
def changed(draw: st.DrawFn) -> tuple[list[Child], list[Change], list[Child]]:
    """Chunks, changes of them, and the chunks that these lead to."""
    before = draw(CHUNKS)
    starts = rows_before(before)
    cuts = sorted(draw(st.lists(st.integers(0, len(before)), max_size=6)))
    changes, after, done = [], list[Child](), 0
    for first, end in zip(cuts[::2], cuts[1::2], strict=False):
        new = draw(st.lists(st.integers(0, 12).map(chunk), max_size=5))
        changes.append(Change(starts[first], starts[end], tuple(new)))
        after += [*before[done:first], *new]
        done = end
    return before, changes, after + before[done:]


@settings(max_examples=800, deadline=None)
@given(changed())
async def test_a_tree_with_changes_is_the_tree_of_the_chunks_that_they_lead_to(
    case: tuple[list[Child], list[Change], list[Child]],
) -> None:
    before, changes, after = case
    forest = Forest()
    result, made = await replace(forest, forest.plant(before), changes)
    assert result == Forest().plant(after)
    assert result.root == tree.split_root(tree.Node(each.digest, each.row_count) for each in after).digest
    # Every node of it is stored already, or among the new ones, and of these none is too many.
    assert {node.digest for node in made} <= {node.digest for node in nodes_above(after)}
    forest.nodes |= {node.digest: node for node in made}
    placed = await chunks_in(forest, result, 0, result.row_count)
    assert [place.child for place in placed] == after
    assert [place.first_row for place in placed] == rows_before(after)[:-1]


@settings(max_examples=800, deadline=None)
@given(CHUNKS, CHUNKS)
@example([], [])
async def test_between_the_regions_in_which_trees_differ_their_chunks_are_equal(
    one: list[Child], other: list[Child]
) -> None:
    forest = Forest()
    base, target = forest.plant(one), forest.plant(other)
    regions = await differing(forest, base, target)
    assert bool(regions) == (one != other)
    rebuilt, row = list[Child](), 0
    for region in regions:
        assert region.base.digests != region.other.digests
        assert region.base.first_row >= row
        rebuilt += [place.child for place in await chunks_in(forest, base, row, region.base.first_row)]
        rebuilt += [place.child for place in region.other.places]
        row = region.base.end_row
    assert rebuilt + [place.child for place in await chunks_in(forest, base, row, base.row_count)] == other


async def test_one_changed_chunk_among_a_hundred_thousand_is_found_below_a_few_nodes() -> None:
    """The time of a difference is that of what differs, which is counted here: nodes on two paths from the root."""
    for count in (10_000, 100_000):
        before = [chunk(number) for number in range(1000, 1000 + count)]
        after = [*before]
        after[count // 2] = chunk(7)
        forest = Forest()
        base, target = forest.plant(before), forest.plant(after)
        (region,) = await differing(forest, base, target)
        assert (region.base.digests, region.other.digests) == ([before[count // 2].digest], [chunk(7).digest])
        assert region.base.first_row == region.other.first_row == rows_before(before)[count // 2]
        assert len(forest.looked_at) <= 12


async def test_one_changed_chunk_among_a_hundred_thousand_makes_a_node_for_each_level() -> None:
    for count in (10_000, 100_000):
        before = [chunk(number) for number in range(1000, 1000 + count)]
        starts, at = rows_before(before), count // 3
        forest = Forest()
        base = forest.plant(before)
        height = forest.nodes[base.root].level
        result, made = await replace(forest, base, [Change(starts[at], starts[at + 1], (chunk(8),))])
        assert result == Forest().plant([*before[:at], chunk(8), *before[at + 1 :]])
        assert len(made) <= 2 * height
        assert len(forest.looked_at) <= 3 * height


async def test_a_moved_run_of_chunks_is_not_looked_into() -> None:
    """Chunks that were put in before it move it within the split, not the nodes above it."""
    before = [chunk(number) for number in range(1000, 51_000)]
    new = [chunk(number) for number in range(60_000, 60_300)]
    forest = Forest()
    base, target = forest.plant(before), forest.plant(new + before)
    (region,) = await differing(forest, base, target)
    assert region.other.digests[: len(new)] == [each.digest for each in new]
    assert len(forest.looked_at) <= 20


async def test_the_first_chunks_of_a_range_are_found_without_walking_to_the_others() -> None:
    chunks = [chunk(number) for number in range(1000, 101_000)]
    forest, starts = Forest(), rows_before(chunks)
    planted = forest.plant(chunks)
    randomly = random.Random(1)
    for _ in range(20):
        at = randomly.randrange(len(chunks) - 100)
        forest.looked_at = set()
        found = await chunks_in(forest, planted, starts[at], planted.row_count, 100)
        assert [place.child for place in found] == chunks[at : at + 100]
        assert len(forest.looked_at) <= 20
