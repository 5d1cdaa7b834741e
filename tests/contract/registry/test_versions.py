"""Versions of models, over every store."""

import asyncio
import hashlib

import pytest

from headwater.names import ArtifactName, ModelName, RunName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.artifacts.errors import ArtifactNotFound
from services.registry.formats import Format, InvalidModelFile
from services.registry.lineage.lineage import Lineages
from services.registry.lineage.model import Connections, Direction, NewEdge, Role
from services.registry.models.errors import ModelAlreadyExists, ModelNotFound
from services.registry.models.model import Stage
from services.registry.models.models import Models
from services.registry.origin import Origin
from services.registry.runs.errors import ParameterConflict, RunNotFound
from services.registry.runs.model import NewRun, Run
from services.registry.runs.runs import Runs
from services.registry.versions.convert import version_to_proto
from services.registry.versions.errors import InvalidFiles, ModelVersionNotFound
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import (
    DEFAULT,
    DIGITS,
    dataset_node,
    metrics,
    pipeline_node,
    safetensors,
    upload,
    version_of,
)


async def _run(runs: Runs, me: Origin, **parameters: float) -> Run:
    return await runs.create(DEFAULT, NewRun("", "", dict(parameters), {}, {}, "", ""), me)


async def test_a_version_tells_what_its_files_hold(versions: Versions, artifacts: Artifacts, me: Origin) -> None:
    """R-16: tensors, dtypes and shapes from the header; the parameters are counted."""
    content = safetensors(weight=(3, 4), bias=(4,))
    name = await upload(artifacts, content, me)
    made = await versions.create(DIGITS, version_of({"model.safetensors": name}), me)
    assert made.version == 1
    assert made.stage is Stage.DEVELOPMENT
    assert made.parameter_count == 16
    [file] = made.files
    assert (file.format, file.size_bytes) == (Format.SAFETENSORS, len(content))
    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in file.facts.tensors] == [
        ("bias", "FP32", (4,)),
        ("weight", "FP32", (3, 4)),
    ]
    lines = f"model.safetensors\0{file.digest}\n"
    assert made.digest == f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"
    assert version_to_proto(await versions.get(DIGITS, 1)) == version_to_proto(made)


async def test_what_is_not_recognised_is_kept(versions: Versions, artifacts: Artifacts, me: Origin) -> None:
    name = await upload(artifacts, b"\x01\x02 no model", me)
    made = await versions.create(DIGITS, version_of({"model.onnx": name}), me)
    assert made.files[0].format is Format.UNSPECIFIED
    assert made.files[0].facts.properties == {"note": "named like onnx, but the content is not recognised"}
    assert made.parameter_count == 0


async def test_what_breaks_the_rules_of_its_format_is_refused(
    versions: Versions, models: Models, artifacts: Artifacts, me: Origin
) -> None:
    name = await upload(artifacts, safetensors(weight=(3, 4))[:-1], me)
    with pytest.raises(InvalidModelFile):
        await versions.create(DIGITS, version_of({"model.safetensors": name}), me)
    with pytest.raises(ModelNotFound):
        await models.get(DIGITS)


async def test_versions_are_numbered_without_a_gap(versions: Versions, artifacts: Artifacts, me: Origin) -> None:
    """R-20: monotonic under concurrency, also for a model that is new."""
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    made = await asyncio.gather(*(versions.create(DIGITS, version_of(files), me) for _ in range(8)))
    assert sorted(version.version for version in made) == list(range(1, 9))


async def test_a_retry_returns_the_first_version(versions: Versions, artifacts: Artifacts, me: Origin) -> None:
    """Promise 4, also when the retry comes while the first request is under way."""
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    origin = Origin("tester", "CreateModelVersion", "request-1", "digest-1")
    made = await asyncio.gather(*(versions.create(DIGITS, version_of(files), origin) for _ in range(4)))
    assert {version.version for version in made} == {1}
    assert len((await versions.page(DIGITS, 10, "")).items) == 1


async def test_versions_are_listed_newest_first_page_by_page(
    versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    for _ in range(3):
        await versions.create(DIGITS, version_of(files), me)
    first = await versions.page(DIGITS, 2, "")
    second = await versions.page(DIGITS, 2, first.next_page_token)
    assert [version.version for version in (*first.items, *second.items)] == [3, 2, 1]


async def test_a_version_carries_what_its_run_was_given_and_measured(
    versions: Versions, runs: Runs, artifacts: Artifacts, me: Origin
) -> None:
    """R-24."""
    run = await _run(runs, me, lr=0.1)
    await runs.log(run.name, metrics(accuracy=0.97, loss=float("nan")), {"epochs": 3.0}, me)
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    made = await versions.create(DIGITS, version_of(files, run.name, {"seed": 7.0}), me)
    assert made.hyperparameters == {"lr": 0.1, "epochs": 3.0, "seed": 7.0}
    assert made.metrics["accuracy"] == 0.97
    assert str(made.metrics["loss"]) == "nan"
    assert (made.run, made.run_id) == (str(run.name), run.id)


async def test_a_hyperparameter_cannot_contradict_the_run(
    versions: Versions, runs: Runs, artifacts: Artifacts, me: Origin
) -> None:
    run = await _run(runs, me, lr=0.1)
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    with pytest.raises(ParameterConflict):
        await versions.create(DIGITS, version_of(files, run.name, {"lr": 0.2}), me)


async def test_a_version_is_tied_to_the_data_and_pipelines_of_its_run(
    versions: Versions, runs: Runs, lineages: Lineages, artifacts: Artifacts, me: Origin
) -> None:
    """R-24, R-47: raw data and pipeline go into the preparing run, prepared data into the training run."""
    preparing, training = await _run(runs, me), await _run(runs, me)
    raw, prepared, pipeline = dataset_node("v1.0.0"), dataset_node("v1.1.0", "c"), pipeline_node()
    edges = [
        NewEdge(raw.name, str(preparing.name), str(preparing.name), Role.INPUT),
        NewEdge(pipeline.name, str(preparing.name), str(preparing.name), Role.EXECUTABLE),
        NewEdge(str(preparing.name), prepared.name, str(preparing.name), Role.OUTPUT),
        NewEdge(prepared.name, str(training.name), str(training.name), Role.INPUT),
    ]
    await lineages.connect(DEFAULT, Connections([raw, prepared, pipeline], edges), me)
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    made = await versions.create(DIGITS, version_of(files, training.name), me)
    assert made.dataset_versions == [prepared.name]
    assert made.pipeline_versions == [pipeline.name]
    graph = await lineages.get(str(made.name), Direction.UPSTREAM, 0)
    assert [str(node.name) for node in graph.nodes] == [
        str(made.name),
        str(training.name),
        prepared.name,
        str(preparing.name),
        raw.name,
        pipeline.name,
    ]
    assert len(graph.edges) == 5


async def test_files_runs_and_projects_must_be_there(versions: Versions, artifacts: Artifacts, me: Origin) -> None:
    there = await upload(artifacts, b"weights", me)
    with pytest.raises(ArtifactNotFound):
        await versions.create(DIGITS, version_of({"a": ArtifactName("default", "0" * 64)}), me)
    run = RunName("default", "01900000-0000-7000-8000-000000000000")
    with pytest.raises(RunNotFound):
        await versions.create(DIGITS, version_of({"a": there}, run), me)
    with pytest.raises(ModelVersionNotFound):
        await versions.get(DIGITS, 1)


@pytest.mark.parametrize("paths", [("a", "A"), ("a", "a/b"), ("A/b", "a")])
async def test_paths_that_cannot_stand_beside_each_other_are_refused(
    versions: Versions, artifacts: Artifacts, paths: tuple[str, str], me: Origin
) -> None:
    name = await upload(artifacts, b"weights", me)
    with pytest.raises(InvalidFiles):
        await versions.create(DIGITS, version_of(dict.fromkeys(paths, name)), me)


async def test_a_model_whose_name_differs_in_case_only_is_not_added_to(
    versions: Versions, artifacts: Artifacts, me: Origin
) -> None:
    """M-02."""
    files = {"weights.bin": await upload(artifacts, b"weights", me)}
    await versions.create(DIGITS, version_of(files), me)
    with pytest.raises(ModelAlreadyExists):
        await versions.create(ModelName("default", "Digits"), version_of(files), me)
