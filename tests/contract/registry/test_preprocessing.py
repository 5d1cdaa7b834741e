"""N-04: a version records the pipeline that prepares what it is asked, over every store."""

import dataclasses
import json
from typing import Any

import pytest

from headwater.names import InvalidName, RunName
from headwater.transforms import Pipeline, PipelineInvalid
from services.registry.artifacts.artifacts import Artifacts
from services.registry.comparisons.comparing import Comparing
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Connections, Direction, NewEdge, Node, NodeKind, Role
from services.registry.origin import Origin
from services.registry.runs.runs import Runs
from services.registry.store import Store
from services.registry.versions.document import document_of
from services.registry.versions.errors import MetadataConflict
from services.registry.versions.preprocessing import stated
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import DEFAULT, DIGITS, a_run, dataset_node, upload, version_of

NAME = "projects/default/pipelines/prep/versions/1.0.0"


def document(filter_: str = "nearest", version: str = "1.0.0") -> str:
    steps = [{"id": "small", "step_type": "image_resize", "config": {"width": 4, "height": 4, "filter": filter_}}]
    return json.dumps({"id": "prep", "version": version, "steps": steps})


def node(told: str, digest: str = "") -> Node:
    digest = digest or Pipeline.parse(document()).digest
    annotations: Any = {"pipeline": told} if told else {}
    details = {"version": "1.0.0", "annotations": annotations}
    return Node(NAME, NodeKind.EXECUTABLE, "01900000-0000-7000-8000-000000000002", digest, details)


async def trained(runs: Runs, lineages: Lineages, me: Origin, *pipelines: Node) -> RunName:
    """A run on data that these pipelines have prepared."""
    prepared, run = await runs.create(DEFAULT, a_run(), me), await runs.create(DEFAULT, a_run(), me)
    data = dataset_node("v1.0.0")
    edges = [
        *(NewEdge(each.name, str(prepared.name), str(prepared.name), Role.EXECUTABLE) for each in pipelines),
        NewEdge(str(prepared.name), data.name, str(prepared.name), Role.OUTPUT),
        NewEdge(data.name, str(run.name), str(run.name), Role.INPUT),
    ]
    await lineages.connect(DEFAULT, Connections([data, *pipelines], edges), me)
    return run.name


@pytest.fixture
async def files(artifacts: Artifacts, me: Origin) -> dict[str, Any]:
    return {"model.bin": await upload(artifacts, b"weights", me)}


async def test_a_version_keeps_its_pipeline_with_everything_to_run_it(
    versions: Versions, files: dict[str, Any], lineages: Lineages, me: Origin
) -> None:
    made = await versions.create(DIGITS, version_of(files, preprocessing=stated(NAME, document())), me)

    kept = (await versions.get(DIGITS, 1)).preprocessing
    assert kept is not None
    assert kept == made.preprocessing
    assert kept.pipeline_version == NAME
    pipeline = Pipeline.parse(kept.document)
    assert pipeline.document == kept.document
    assert pipeline.digest == kept.digest == Pipeline.parse(document()).digest
    assert made.pipeline_versions == [NAME]
    told = json.loads(document_of(made, ""))["headwater"]["preprocessing"]
    assert told == dataclasses.asdict(kept)


async def test_the_graph_leads_from_the_pipeline_to_the_version(
    versions: Versions, files: dict[str, Any], lineages: Lineages, me: Origin
) -> None:
    made = await versions.create(DIGITS, version_of(files, preprocessing=stated(NAME, document())), me)
    graph = await lineages.get(NAME, Direction.DOWNSTREAM)
    assert [(edge.first, edge.second, edge.role) for edge in graph.edges] == [(NAME, str(made.name), Role.EXECUTABLE)]


async def test_a_document_that_no_service_keeps_is_recorded_without_a_name(
    versions: Versions, files: dict[str, Any], me: Origin
) -> None:
    made = await versions.create(DIGITS, version_of(files, preprocessing=stated("", document())), me)
    assert made.preprocessing is not None
    assert made.preprocessing.pipeline_version == ""
    assert made.pipeline_versions == []


async def test_a_version_without_a_pipeline_has_none(versions: Versions, files: dict[str, Any], me: Origin) -> None:
    await versions.create(DIGITS, version_of(files), me)
    assert (await versions.get(DIGITS, 1)).preprocessing is None


async def test_the_pipeline_of_the_training_data_is_recorded_by_itself(
    versions: Versions, files: dict[str, Any], runs: Runs, lineages: Lineages, me: Origin
) -> None:
    run = await trained(runs, lineages, me, node(Pipeline.parse(document()).document))
    made = await versions.create(DIGITS, version_of(files, run), me)
    assert made.preprocessing == stated(NAME, document())


@pytest.mark.parametrize("told", ["", "no pipeline", document("bilinear"), document(version="2.0.0")])
async def test_what_the_graph_does_not_know_for_sure_is_not_recorded(
    versions: Versions, files: dict[str, Any], runs: Runs, lineages: Lineages, me: Origin, told: str
) -> None:
    """A document of another digest, or of another version, is not what prepared the data."""
    run = await trained(runs, lineages, me, node(told))
    made = await versions.create(DIGITS, version_of(files, run), me)
    assert made.preprocessing is None
    assert made.pipeline_versions == [NAME]


async def test_of_two_pipelines_none_is_recorded_unless_one_is_named(
    versions: Versions, files: dict[str, Any], runs: Runs, lineages: Lineages, me: Origin
) -> None:
    second = dataclasses.replace(
        node(Pipeline.parse(document(version="2.0.0")).document), name=NAME.replace("1.0.0", "2.0.0")
    )
    run = await trained(runs, lineages, me, node(Pipeline.parse(document()).document), second)
    assert (await versions.create(DIGITS, version_of(files, run), me)).preprocessing is None

    named = version_of(files, run, preprocessing=stated(NAME, document()))
    made = await versions.create(DIGITS, named, me)
    assert made.preprocessing == stated(NAME, document())


async def test_a_pipeline_version_with_another_content_than_the_graph_knows_is_refused(
    versions: Versions, files: dict[str, Any], lineages: Lineages, me: Origin
) -> None:
    await lineages.connect(DEFAULT, Connections([node("")], []), me)
    with pytest.raises(MetadataConflict, match="is known as sha256:"):
        await versions.create(DIGITS, version_of(files, preprocessing=stated(NAME, document("bilinear"))), me)


async def test_versions_with_other_pipelines_differ(
    versions: Versions, files: dict[str, Any], store: Store, me: Origin
) -> None:
    for filter_ in ("nearest", "bilinear"):
        await versions.create(DIGITS, version_of(files, preprocessing=stated("", document(filter_))), me)
    found = await Comparing(store).compare([(DIGITS, 1), (DIGITS, 2)])
    [row] = [row for row in found.rows if row.key == "preprocessing"]
    assert row.differs
    assert Pipeline.parse(document("bilinear")).digest in row.values[1]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        (NAME, "{}", PipelineInvalid),
        (NAME, "", PipelineInvalid),
        ("prep@1.0.0", document(), InvalidName),
        (NAME.replace("1.0.0", "1.0.1"), document(), MetadataConflict),
        (NAME.replace("prep", "other"), document(), MetadataConflict),
        ("", json.dumps({**json.loads(document()), "description": "d" * 65_536}), PipelineInvalid),
    ],
)
def test_what_is_no_pipeline_version_is_refused(name: str, text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        stated(name, text)
