"""Lineage, over every store."""

import asyncio
import dataclasses
import itertools

import pytest

from headwater.names import InvalidName, RunName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.lineage.errors import ArtifactDigestConflict, LineageNodeNotFound
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Connections, Direction, NewEdge, Role
from services.registry.origin import Origin
from services.registry.runs.model import NewRun, Run
from services.registry.runs.runs import Runs
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, dataset_node, pipeline_node, upload, version_of


async def _run(runs: Runs, me: Origin) -> Run:
    return await runs.create(DEFAULT, NewRun("", "", {}, {}, {}, "", ""), me)


async def test_what_is_there_already_stays_as_it_is(lineages: Lineages, me: Origin) -> None:
    raw, prepared = dataset_node("v1.0.0"), dataset_node("v1.1.0")
    new = Connections([raw, prepared], [NewEdge(raw.name, prepared.name, "", Role.INPUT)])
    assert await lineages.connect(DEFAULT, new, me) == 1
    assert await lineages.connect(DEFAULT, new, me) == 0


async def test_of_nodes_that_say_much_the_nearest_are_told(lineages: Lineages, me: Origin) -> None:
    """Promise 8: an answer fits into a message, and that it goes on is told."""
    nodes = [dataclasses.replace(dataset_node(f"v1.{n}.0"), details={"query": "x" * 60_000}) for n in range(300)]
    edges = [NewEdge(one.name, other.name, "", Role.INPUT) for one, other in itertools.pairwise(nodes)]
    await lineages.connect(DEFAULT, Connections(nodes, edges), me)
    found = await lineages.get(nodes[0].name, Direction.DOWNSTREAM, max_depth=100)
    assert (len(found.nodes), len(found.edges)) == (101, 100)
    first = nodes[0]
    fan = [NewEdge(first.name, node.name, "", Role.INPUT) for node in nodes[1:]]
    await lineages.connect(DEFAULT, Connections([], fan), me)
    found = await lineages.get(first.name, Direction.DOWNSTREAM)
    assert found.truncated
    assert 250 < len(found.nodes) < 280
    assert str(found.nodes[0].name) == first.name
    told = {str(node.name) for node in found.nodes}
    assert {name for edge in found.edges for name in (edge.first, edge.second)} == told


async def test_two_who_connect_the_same_at_once_do_it_once_between_them(lineages: Lineages, me: Origin) -> None:
    nodes = [dataset_node(f"v1.{number}.0") for number in range(20)]
    edges = [NewEdge(one.name, other.name, "", Role.INPUT) for one, other in itertools.pairwise(nodes)]
    made = await asyncio.gather(
        *(lineages.connect(DEFAULT, Connections(nodes[::way], edges[::way]), me) for way in (1, -1, 1, -1))
    )
    assert sum(made) == 19


async def test_a_node_with_another_digest_is_refused(lineages: Lineages, me: Origin) -> None:
    """Promise 5: a name stands for one content."""
    await lineages.connect(DEFAULT, Connections([dataset_node("v1.0.0", "a")], []), me)
    other = dataset_node("v1.1.0")
    edge = NewEdge("projects/default/datasets/digits/versions/v1.0.0", other.name, "", Role.INPUT)
    with pytest.raises(ArtifactDigestConflict):
        await lineages.connect(DEFAULT, Connections([dataset_node("v1.0.0", "b"), other], [edge]), me)
    with pytest.raises(LineageNodeNotFound):
        await lineages.get(other.name, Direction.UPSTREAM, 0)


async def test_an_edge_needs_both_its_nodes_and_its_run(lineages: Lineages, runs: Runs, me: Origin) -> None:
    raw, run = dataset_node("v1.0.0"), await _run(runs, me)
    unknown = str(RunName("default", "01900000-0000-7000-8000-000000000000"))
    for edge in (
        NewEdge(raw.name, dataset_node("v9.0.0").name, "", Role.INPUT),
        NewEdge(raw.name, unknown, "", Role.INPUT),
        NewEdge(raw.name, str(run.name), unknown, Role.INPUT),
        NewEdge(raw.name, "projects/default/models/digits/versions/1", "", Role.INPUT),
        NewEdge(raw.name, f"projects/default/artifacts/{'0' * 64}", "", Role.INPUT),
    ):
        with pytest.raises(LineageNodeNotFound):
            await lineages.connect(DEFAULT, Connections([raw], [edge]), me)
    with pytest.raises(LineageNodeNotFound):
        await lineages.get(raw.name, Direction.UPSTREAM, 0)


async def test_runs_versions_and_artifacts_are_nodes_by_themselves(
    lineages: Lineages, runs: Runs, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    run, code = await _run(runs, me), await upload(artifacts, b"train.py", me)
    version = await versions.create(DIGITS, version_of({"weights.bin": code}, run.name), me)
    edge = NewEdge(str(code), str(run.name), str(run.name), Role.EXECUTABLE)
    await lineages.connect(DEFAULT, Connections([], [edge]), me)
    graph = await lineages.get(str(version.name), Direction.UPSTREAM, 0)
    assert [str(node.name) for node in graph.nodes] == [str(version.name), str(run.name), str(code)]
    assert [(each.first, each.second) for each in graph.edges] == [
        (str(run.name), str(version.name)),
        (str(code), str(run.name)),
    ]


async def test_downstream_finds_what_was_made_of_a_dataset_version(
    lineages: Lineages, runs: Runs, versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """R-25: dataset version to all models trained on it."""
    data, weights = dataset_node("v1.0.0"), await upload(artifacts, b"weights", me)
    made = []
    for _ in range(2):
        run = await _run(runs, me)
        edge = NewEdge(data.name, str(run.name), str(run.name), Role.INPUT)
        await lineages.connect(DEFAULT, Connections([data], [edge]), me)
        made.append(str((await versions.create(DIGITS, version_of({"w": weights}, run.name), me)).name))
    graph = await lineages.get(data.name, Direction.DOWNSTREAM, 0)
    assert {str(node.name) for node in graph.nodes if "/models/" in str(node.name)} == set(made)


async def test_an_edge_made_by_a_run_leads_to_the_run(lineages: Lineages, runs: Runs, me: Origin) -> None:
    """Kubeflow's way to write it: data to data, with the run beside the edge."""
    raw, prepared, run = dataset_node("v1.0.0"), dataset_node("v1.1.0"), await _run(runs, me)
    edge = NewEdge(raw.name, prepared.name, str(run.name), Role.INPUT)
    await lineages.connect(DEFAULT, Connections([raw, prepared], [edge]), me)
    up = await lineages.get(prepared.name, Direction.UPSTREAM, 0)
    assert [str(node.name) for node in up.nodes] == [prepared.name, raw.name, str(run.name)]
    down = await lineages.get(str(run.name), Direction.DOWNSTREAM, 0)
    assert [str(node.name) for node in down.nodes] == [str(run.name), prepared.name]


async def test_a_cycle_ends(lineages: Lineages, me: Origin) -> None:
    nodes = [dataset_node(f"v1.{number}.0") for number in range(3)]
    edges = [NewEdge(nodes[number].name, nodes[(number + 1) % 3].name, "", Role.INPUT) for number in range(3)]
    await lineages.connect(DEFAULT, Connections(nodes, edges), me)
    graph = await lineages.get(nodes[0].name, Direction.UPSTREAM, 100)
    assert (len(graph.nodes), len(graph.edges), graph.truncated) == (3, 3, False)


async def test_a_walk_ends_at_its_depth(lineages: Lineages, me: Origin) -> None:
    nodes = [dataset_node(f"v1.{number}.0") for number in range(5)]
    edges = [NewEdge(one.name, other.name, "", Role.INPUT) for one, other in itertools.pairwise(nodes)]
    await lineages.connect(DEFAULT, Connections(nodes, edges), me)
    near = await lineages.get(nodes[-1].name, Direction.UPSTREAM, 2)
    assert (len(near.nodes), len(near.edges), near.truncated) == (3, 2, True)
    exact = await lineages.get(nodes[-1].name, Direction.UPSTREAM, 4)
    assert (len(exact.nodes), exact.truncated) == (5, False)


async def test_a_wide_graph_is_cut_and_says_so(lineages: Lineages, me: Origin) -> None:
    """Promise 8."""
    goal = pipeline_node()
    for batch in range(2):
        nodes = [dataset_node(f"v{batch}.{number}.0") for number in range(600)]
        edges = [NewEdge(node.name, goal.name, "", Role.INPUT) for node in nodes]
        await lineages.connect(DEFAULT, Connections([goal, *nodes], edges), me)
    graph = await lineages.get(goal.name, Direction.UPSTREAM, 0)
    assert (len(graph.nodes), graph.truncated) == (1000, True)


async def test_only_what_can_be_in_the_graph_is_asked_for(lineages: Lineages) -> None:
    with pytest.raises(InvalidName):
        await lineages.get("projects/default/models/digits", Direction.UPSTREAM, 0)
    with pytest.raises(LineageNodeNotFound):
        await lineages.get("projects/default/models/digits/versions/v1.2.3", Direction.UPSTREAM, 0)
