"""What depends on something, and which models were trained on it, over every store."""

import dataclasses

import pytest

from chassis.ids import new_id
from chassis.paging import InvalidPageToken
from headwater.names import InvalidName, ModelName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.lineage.errors import LineageNodeNotFound
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Connections, Direction, NewEdge, Node, NodeKind, Role
from services.registry.models.errors import ModelNotFound
from services.registry.models.model import Stage
from services.registry.moves.aliases import Aliases
from services.registry.moves.model import Why
from services.registry.moves.stages import Stages
from services.registry.origin import Origin
from services.registry.runs.runs import Runs
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import (
    DEFAULT,
    DIGITS,
    a_run,
    dataset_node,
    pipeline_node,
    upload,
    version_of,
)

OTHER = ModelName("default", "letters")


def deployment_node(name: str, *, revision: int = 1, model: ModelName = DIGITS, **details: str) -> Node:
    """A deployment that follows ``model``."""
    full = f"projects/default/deployments/{name}"
    return Node(full, NodeKind.DEPLOYMENT, new_id(), "", {"model": str(model), **details}, revision)


@dataclasses.dataclass(frozen=True)
class World:
    """Everything that makes a graph."""

    lineages: Lineages
    runs: Runs
    versions: Versions
    artifacts: Artifacts
    me: Origin

    async def train(self, *inputs: Node, model: ModelName = DIGITS) -> str:
        """A version of ``model`` that a run made of ``inputs``."""
        run = await self.runs.create(DEFAULT, a_run(), self.me)
        edges = [NewEdge(node.name, str(run.name), str(run.name), Role.INPUT) for node in inputs]
        await self.lineages.connect(DEFAULT, Connections(list(inputs), edges), self.me)
        weights = await upload(self.artifacts, new_id().encode(), self.me)
        return str((await self.versions.create(model, version_of({"w.bin": weights}, run.name), self.me)).name)

    async def join(self, first: str, second: str, *nodes: Node) -> None:
        edges = [NewEdge(first, second, "", Role.INPUT)]
        await self.lineages.connect(DEFAULT, Connections(list(nodes), edges), self.me)


@pytest.fixture
def world(lineages: Lineages, runs: Runs, versions: Versions, artifacts: Artifacts, me: Origin) -> World:
    return World(lineages, runs, versions, artifacts, me)


async def test_impact_is_told_in_one_sentence(world: World) -> None:
    """R-25: of all that is downstream, however far, by kind."""
    raw, prepared = dataset_node("v1.0.0"), dataset_node("v1.1.0", "b")
    await world.join(raw.name, prepared.name, raw, prepared)
    version = await world.train(prepared)
    assert (await world.lineages.impact(version)).summary == "nothing depends on it"
    pipelines = [pipeline_node("1"), pipeline_node("2")]
    for pipeline in pipelines:
        await world.join(version, pipeline.name, pipeline)
    for name in ("a", "b", "c"):
        node = deployment_node(name)
        await world.join(version, node.name, node)
    assert (await world.lineages.impact(version)).summary == "3 deployments and 2 pipelines depend on it"
    found = await world.lineages.impact(raw.name)
    assert found.summary == "3 deployments, 1 model version, 2 pipelines, 1 dataset version and 1 run depend on it"
    told = {each.kind: each.names for each in found.dependents}
    assert told[NodeKind.EXECUTABLE] == [pipeline.name for pipeline in pipelines]
    assert told[NodeKind.DATA] == [prepared.name]
    assert not found.truncated


async def test_the_impact_of_a_model_is_that_of_all_its_versions(world: World) -> None:
    versions = [await world.train(dataset_node("v1.0.0")) for _ in range(2)]
    await world.train(dataset_node("v1.0.0"), model=OTHER)
    for index, version in enumerate(versions):
        node = deployment_node(f"d{index}")
        await world.join(version, node.name, node)
    assert (await world.lineages.impact(str(DIGITS))).summary == "2 deployments depend on it"
    assert (await world.lineages.impact(str(OTHER))).summary == "nothing depends on it"


async def test_only_deployments_that_stand_for_the_version_now_are_told_as_serving(
    world: World, stages: Stages, aliases: Aliases, me: Origin
) -> None:
    first, second = [await world.train(dataset_node("v1.0.0")) for _ in range(2)]
    nodes = [
        deployment_node("by-stage", stage="STAGE_PRODUCTION"),
        deployment_node("by-alias", alias="champion"),
        deployment_node("by-number", model_version="1"),
        deployment_node("of-another", model=OTHER, alias="champion"),
        deployment_node("ended", alias="champion", end_time="2026-01-01T00:00:00Z"),
    ]
    for version in (first, second):
        for node in nodes:
            await world.join(version, node.name, node)

    async def serving(version: str) -> list[str]:
        return [name.rpartition("/")[2] for name in (await world.lineages.impact(version)).serving_deployments]

    assert (await serving(first), await serving(second)) == (["by-number"], [])
    await stages.move(DIGITS, 1, Stage.PRODUCTION, etag="", why=Why(), origin=me)
    await aliases.set(DIGITS, "champion", 2, etag="", why=Why(), origin=me)
    assert (await serving(first), await serving(second)) == (["by-number", "by-stage"], ["by-alias"])
    assert await serving(str(DIGITS)) == ["by-alias", "by-number", "by-stage"]


async def test_of_a_deployment_the_newest_word_counts(world: World) -> None:
    """Told twice, late or in another order: what was said of an older revision changes nothing."""
    older, newer = deployment_node("d", revision=7), deployment_node("d", revision=8, end_time="2026-01-01T00:00:00Z")
    for node in (older, newer, older):
        await world.lineages.connect(DEFAULT, Connections([node], []), world.me)
    [found] = (await world.lineages.get(newer.name, Direction.UPSTREAM)).nodes
    assert found == newer


async def test_answers_are_nodes_in_batches(world: World) -> None:
    """The contract for receipts: one node for many answers, made of the deployment that gave them."""
    deployment = deployment_node("digits")
    version = await world.train(dataset_node("v1.0.0"))
    await world.join(version, deployment.name, deployment)
    name, digest = f"projects/default/inferenceRecords/{new_id()}", f"sha256:{'c' * 64}"
    batch = Node(name, NodeKind.RECEIPT, new_id(), digest, {"answer_count": "1000"})
    await world.join(deployment.name, batch.name, batch)
    assert (await world.lineages.impact(version)).summary == "1 deployment and 1 receipt depend on it"


async def test_what_nobody_knows_has_no_impact_to_tell(world: World) -> None:
    with pytest.raises(LineageNodeNotFound):
        await world.lineages.impact("projects/default/datasets/digits/versions/v1.0.0")
    with pytest.raises(ModelNotFound):
        await world.lineages.impact("projects/default/models/unknown")
    with pytest.raises(InvalidName):
        await world.lineages.impact("projects/default/deployments/../x")


async def test_only_nodes_of_the_kinds_that_are_asked_for_are_told(world: World) -> None:
    raw = dataset_node("v1.0.0")
    version = await world.train(raw)
    for number in range(3):
        node = deployment_node(f"d{number}")
        await world.join(version, node.name, node)
    kinds = {NodeKind.DEPLOYMENT, NodeKind.MODEL_VERSION}
    graph = await world.lineages.get(raw.name, Direction.DOWNSTREAM, kinds=kinds)
    assert len(graph.nodes) == 4
    assert {edge.first for edge in graph.edges} == {version}
    assert not graph.truncated
    few = await world.lineages.get(raw.name, Direction.DOWNSTREAM, kinds=kinds, max_nodes=2)
    assert (len(few.nodes), few.truncated) == (2, True)


async def test_every_model_that_saw_a_dataset_version_is_found_with_what_it_was(
    world: World, stages: Stages, aliases: Aliases, me: Origin
) -> None:
    """R-25, N-02: by way of derived data and of copies, too; with stages and aliases that it had, and when."""
    raw, derived = dataset_node("v1.0.0"), dataset_node("v1.1.0", "b")
    copy = dataclasses.replace(raw, name=f"{raw.name}/checkpoints/c1", digest=f"sha256:{'c' * 64}")
    await world.join(raw.name, derived.name, raw, derived)
    direct, by_derived = await world.train(raw), await world.train(derived)
    by_copy = await world.train(copy, model=OTHER)
    await world.train(dataset_node("v2.0.0", "d"))
    node = deployment_node("digits")
    await world.join(direct, node.name, node)
    await stages.move(DIGITS, 1, Stage.PRODUCTION, etag="", why=Why(), origin=me)
    await aliases.set(DIGITS, "champion", 1, etag="", why=Why(), origin=me)
    await stages.move(DIGITS, 2, Stage.PRODUCTION, etag="", why=Why(), origin=me)

    found = {use.model_version: use for use in (await world.lineages.uses(raw.name, 0, "")).items}
    assert {name: use.distance for name, use in found.items()} == {direct: 2, by_copy: 2, by_derived: 3}
    use = found[direct]
    assert use.run.startswith("projects/default/runs/")
    assert list(use.deployments) == [node.name]
    held = [(each.pointer, each.is_stage, each.end is None) for each in use.tenures]
    assert held == [("production", True, False), ("champion", False, True)]
    successor = found[by_derived].tenures[0]
    assert (successor.pointer, successor.start, successor.end) == ("production", use.tenures[0].end, None)


async def test_uses_come_in_pages(world: World) -> None:
    raw = dataset_node("v1.0.0")
    made = [await world.train(raw) for _ in range(5)]
    found: list[str] = []
    token = ""
    while True:
        page = await world.lineages.uses(raw.name, 2, token)
        assert 0 < len(page.items) <= 2
        found += [use.model_version for use in page.items]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted(made)
    other = dataset_node("v2.0.0")
    await world.train(other)
    token = (await world.lineages.uses(raw.name, 2, "")).next_page_token
    with pytest.raises(InvalidPageToken):
        await world.lineages.uses(other.name, 2, token)
    with pytest.raises(LineageNodeNotFound):
        await world.lineages.uses(dataset_node("v3.0.0").name, 2, "")
