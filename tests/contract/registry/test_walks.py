"""How the graph is walked, over every store: against a search that is as plain as can be."""

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.ids import new_id
from headwater.names import ModelName
from services.registry.lineage.model import Direction, Edge, Reached, Role
from services.registry.store import Store
from tests.contract.registry.builders import DEFAULT

PLACES = 7
EDGES = st.lists(
    st.tuples(st.integers(0, PLACES - 1), st.integers(0, PLACES - 1), st.integers(0, PLACES)), min_size=1, max_size=20
)


async def _add(store: Store, edges: Sequence[tuple[str, str, str]]) -> None:
    async with store.transaction() as tx:
        project = (await tx.projects.get(DEFAULT.project)).id
        added = [Edge(new_id(), project, first, second, run, Role.INPUT) for first, second, run in edges]
        assert await tx.lineage.add_edges(added) == len(added)
        assert await tx.lineage.add_edges(added) == 0


def _plain(arcs: set[tuple[str, str]], starts: set[str], max_depth: int) -> tuple[dict[str, int], bool]:
    """Distances of all that can be reached, and whether there is more beyond ``max_depth``."""
    distances = dict.fromkeys(starts, 0)
    for depth in range(1, max_depth + 1):
        reached = {far for near, far in arcs if near in distances}
        distances |= dict.fromkeys(reached - distances.keys(), depth)
    return distances, any(near in distances and far not in distances for near, far in arcs)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=EDGES, starts=st.sets(st.integers(0, PLACES - 1), min_size=1, max_size=3), max_depth=st.integers(0, 5))
async def test_a_walk_finds_all_there_is_at_its_distance(
    store: Store, edges: list[tuple[int, int, int]], starts: set[int], max_depth: int
) -> None:
    """M-30, R-25: whatever cycles, double edges and ways round by runs there are."""
    dataset = f"d-{new_id()}"
    runs = [f"projects/default/runs/{new_id()}" for _ in range(PLACES)]
    nodes = [f"projects/default/datasets/{dataset}/versions/v{number}.0.0" for number in range(PLACES)]
    named = {
        (nodes[first], nodes[second] if second % 2 else runs[second], runs[run] if run < PLACES else "")
        for first, second, run in edges
        if first != second or second % 2 == 0
    }
    await _add(store, sorted(named))
    ways = {
        (one, other) for first, second, run in named for one, other in ((first, second), (first, run), (run, second))
    }
    ways = {(one, other) for one, other in ways if one and other and one != other}
    for direction in Direction:
        arcs = ways if direction is Direction.DOWNSTREAM else {(other, one) for one, other in ways}
        begin = {nodes[number] for number in starts}
        async with store.transaction() as tx:
            found = await tx.lineage.reach(begin, direction, max_depth=max_depth, max_nodes=100, max_arcs=1000)
            among = await tx.lineage.edges_among(found.nodes, 100)
        distances, more = _plain(arcs, begin, max_depth)
        assert {node.name: node.distance for node in found.nodes} == distances
        assert [node.distance for node in found.nodes] == sorted(distances.values())
        assert found.truncated is more
        assert {(e.first, e.second, e.run) for e in among} == {
            edge for edge in named if edge[0] in distances and edge[1] in distances
        }


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges=EDGES, max_nodes=st.integers(1, PLACES))
async def test_a_walk_that_is_cut_keeps_what_is_nearest(
    store: Store, edges: list[tuple[int, int, int]], max_nodes: int
) -> None:
    """Promise 8."""
    dataset = f"d-{new_id()}"
    nodes = [f"projects/default/datasets/{dataset}/versions/v{number}.0.0" for number in range(PLACES)]
    named = {(nodes[first], nodes[second], "") for first, second, _ in edges if first != second}
    await _add(store, sorted(named))
    async with store.transaction() as tx:
        found = await tx.lineage.reach(
            [nodes[0]], Direction.DOWNSTREAM, max_depth=100, max_nodes=max_nodes, max_arcs=1000
        )
    distances, _ = _plain({(first, second) for first, second, _ in named}, {nodes[0]}, PLACES)
    assert len(found.nodes) == min(max_nodes, len(distances))
    assert found.truncated is (len(distances) > max_nodes)
    assert [node.distance for node in found.nodes] == sorted(distances.values())[:max_nodes]


async def test_a_node_with_many_edges_is_looked_at_in_part(store: Store) -> None:
    """Promise 8: what one level may cost is bounded, and that it was is told."""
    nodes = [f"projects/default/datasets/wide/versions/v{number}.0.0" for number in range(50)]
    await _add(store, [(nodes[0], node, "") for node in nodes[1:]])
    async with store.transaction() as tx:
        found = await tx.lineage.reach(nodes[:1], Direction.DOWNSTREAM, max_depth=5, max_nodes=100, max_arcs=10)
    assert (len(found.nodes), found.truncated) == (11, True)


async def test_a_name_that_no_edge_says_is_reached_by_itself(store: Store) -> None:
    name = "projects/default/datasets/alone/versions/v1.0.0"
    async with store.transaction() as tx:
        found = await tx.lineage.reach([name], Direction.UPSTREAM, max_depth=5, max_nodes=10, max_arcs=10)
        assert [(node.name, node.distance) for node in found.nodes] == [(name, 0)]
        assert not found.truncated
        assert await tx.lineage.edges_among(found.nodes, 10) == []


async def test_the_edges_of_a_renamed_model_follow_it(store: Store) -> None:
    """M-08: and of a model whose name begins alike they do not."""
    run = f"projects/default/runs/{new_id()}"
    mine, other = ("projects/default/models/digits", "projects/default/models/digits-2")
    await _add(
        store, [(run, f"{mine}/versions/1", run), (run, f"{mine}/versions/10", run), (run, f"{other}/versions/1", "")]
    )
    async with store.transaction() as tx:
        await tx.lineage.rename_model(ModelName.parse(mine), ModelName("default", "numbers"))
        edges = await tx.lineage.edges([run], Direction.DOWNSTREAM, 10)
        below = await tx.lineage.names_below("projects/default/models/numbers/versions")
        assert await tx.lineage.names_below(f"{mine}/versions") == []
    assert [edge.second for edge in edges] == [
        f"{other}/versions/1",
        "projects/default/models/numbers/versions/1",
        "projects/default/models/numbers/versions/10",
    ]
    assert below == ["projects/default/models/numbers/versions/1", "projects/default/models/numbers/versions/10"]


def _names(nodes: Sequence[Reached]) -> list[str]:
    return [node.name for node in nodes]


async def test_what_a_run_made_is_downstream_of_it_and_what_went_in_upstream(store: Store) -> None:
    """Kubeflow's way to write it: data to data, with the run beside the edge."""
    run = f"projects/default/runs/{new_id()}"
    raw, made = (f"projects/default/datasets/d/versions/v{number}.0.0" for number in (1, 2))
    await _add(store, [(raw, made, run)])
    async with store.transaction() as tx:
        limits: dict[str, Any] = {"max_depth": 5, "max_nodes": 10, "max_arcs": 10}
        assert _names((await tx.lineage.reach([run], Direction.UPSTREAM, **limits)).nodes) == [run, raw]
        assert _names((await tx.lineage.reach([run], Direction.DOWNSTREAM, **limits)).nodes) == [run, made]
        for direction in Direction:
            assert [edge.first for edge in await tx.lineage.edges([run], direction, 10)] == [raw]
