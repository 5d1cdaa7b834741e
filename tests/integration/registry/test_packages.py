"""Model packages in a registry: versions with the files that they name, runs of what was recorded (M-34, M-66…M-79)."""

import asyncio
import datetime
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import TokenFor
from headwater import experiments, packaging, run_artifacts, runs
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection, Endpoints
from headwater.errors import FailedPrecondition, InvalidArgument
from headwater.names import ProjectName, RunName
from headwater.packaging.local import LocalFileRefused
from headwater.packaging.planning import PACKAGE_FILE
from headwater.packaging.recording import RecordChanged, Recorded, record
from headwater.packaging.registering import ModelExpired, Registered, register
from headwater.registry.v1 import models_pb2, runs_pb2, runs_pb2_grpc
from tests.integration.registry.client import Client

CLEAR = "wJalrXUtnFEMI"
PACKAGE: dict[str, Any] = {
    "name": "Facial Age estimator Model",
    "model_identifier": "Facial Age Estimator",
    "description": "Sample Model trained to classify the age of the human face.",
    "author": {"name": "DL Developer", "email": "me@example.org"},
    "framework": {"name": "pytorch", "version": "2.13.0", "runtimes": {"name": "python", "version": "3.11"}},
    "license": "Apache 2.0",
    "purpose": "regression_recognition",
    "labels": [{"url": "https://example.org/age"}, {"pipeline_uuids": ["abcd1234"]}],
    "train": {"training_params": [{"learning_rate": 0.01}, {"layers": [3, 4]}, {"loss": None}]},
    "serve": {"servable": True, "model_source": {"servable_model_local": {"path": "assets"}}},
    "data_stores": [
        {
            "name": "age store",
            "type": "s3",
            "connection": {"endpoint": "https://s3.example", "access_key_id": CLEAR, "secret_access_key": CLEAR},
        }
    ],
}


@pytest.fixture
def connection(registry: Service, token_for: TokenFor) -> Iterator[Connection]:
    """A writer's connection to the registry."""
    with Connection(Endpoints(registry=registry.address), token_for(Role.WRITER, subject="ada")) as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model's files, as a package names them."""
    (tmp_path / "assets" / "tokens").mkdir(parents=True)
    save_file({"weight": np.zeros((2, 3), np.float32)}, tmp_path / "assets" / "model.safetensors")
    (tmp_path / "assets" / "tokens" / "words.txt").write_text("a\nb\n")
    return tmp_path


async def store(connection: Connection, text: str, folder: Path, **options: Any) -> Registered:
    document = packaging.read(text).document
    assert isinstance(document, packaging.ModelPackage | packaging.ModelDescription)
    return await asyncio.to_thread(register, connection, document, folder, **options)


async def test_a_package_becomes_a_model_and_a_version_of_its_files(
    connection: Connection, client: Client, folder: Path
) -> None:
    done = await store(connection, yaml.safe_dump(PACKAGE), folder)
    assert done.model == "projects/default/models/facial-age-estimator"  # K-10
    version = done.version
    assert version is not None
    assert [file.path for file in version.files] == sorted(["model.safetensors", PACKAGE_FILE, "tokens/words.txt"])
    assert (version.framework.name, version.framework.version) == ("pytorch", "2.13.0")
    assert version.hyperparameters["learning_rate"].number_value == 0.01
    assert [each.number_value for each in version.hyperparameters["layers"].list_value.values] == [3, 4]
    assert "loss" not in version.hyperparameters
    assert version.parameter_count == 6
    model = await client.models.GetModel(models_pb2.GetModelRequest(name=done.model))
    assert model.display_name == "Facial Age estimator Model"
    assert model.description.startswith("Sample Model")


async def test_the_document_is_stored_without_its_secrets(connection: Connection, client: Client, folder: Path) -> None:
    """M-72."""
    done = await store(connection, yaml.safe_dump(PACKAGE), folder)
    assert done.version is not None
    stored = next(file for file in done.version.files if file.path == PACKAGE_FILE)
    content = await client.download(f"projects/default/artifacts/{stored.digest.removeprefix('sha256:')}")
    assert CLEAR.encode() not in content
    document = packaging.read(content).document
    assert document == packaging.read(yaml.safe_dump(PACKAGE)).document
    assert CLEAR not in str(done)


async def test_registering_again_makes_the_next_version_of_the_same_model(connection: Connection, folder: Path) -> None:
    first = await store(connection, yaml.safe_dump(PACKAGE), folder)
    second = await store(connection, yaml.safe_dump({**PACKAGE, "model_identifier": "facial-age-estimator"}), folder)
    assert first.version is not None
    assert second.version is not None
    assert (first.version.version, second.version.version) == ("1", "2")


async def test_a_package_without_files_here_makes_a_model_and_says_so(connection: Connection, tmp_path: Path) -> None:
    done = await store(connection, "name: plan\nframework: {name: keras}", tmp_path)
    assert (done.model, done.version) == ("projects/default/models/plan", None)
    assert any("servable_model_local" in warning for warning in done.warnings)


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname", "link", "none"])
async def test_a_file_outside_of_the_document_s_folder_is_never_uploaded(
    connection: Connection, tmp_path: Path, path: str
) -> None:
    (tmp_path / "secret").write_text("key")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "secret")
    serve = {"serve": {"servable": True, "model_source": {"servable_model_local": {"path": path}}}}
    with pytest.raises(LocalFileRefused, match=r"serve\.model_source\.servable_model_local\.path"):
        await store(connection, yaml.safe_dump({**PACKAGE, **serve}), tmp_path / "here")


DESCRIPTION = """\
specVersion: 0.0.1
runtimeArtifacts:
  - {uri: assets/model.safetensors, relativePath: weights/model.safetensors}
  - {uri: assets/tokens, relativePath: tokens}
  - {uri: "https://example.org/more"}
framework: {name: pytorch, version: 2.13.0, custom: {accelerator: V100}}
created_by: sam@example.org
purpose: binary_classification
expiry: 2030-01-01
metadata: {tags: {team: vision}}
"""


async def test_a_description_becomes_a_version_laid_out_as_it_says(connection: Connection, folder: Path) -> None:
    """M-79."""
    done = await store(connection, DESCRIPTION, folder, model="Fraud Detector")
    assert done.model.endswith("/models/fraud-detector")
    assert done.version is not None
    paths = {file.path for file in done.version.files}
    assert paths == {"weights/model.safetensors", "tokens/words.txt", PACKAGE_FILE}
    assert any(warning.startswith("runtimeArtifacts[2].uri is not fetched") for warning in done.warnings)


async def test_what_a_description_says_is_kept_with_the_version(connection: Connection, folder: Path) -> None:
    done = await store(connection, DESCRIPTION, folder, model="fraud")
    assert done.version is not None
    assert done.version.annotations["created_by"] == "sam@example.org"
    assert list(done.version.tags) == ["team:vision"]
    assert done.version.task == "binary_classification"
    assert "author" not in done.version.missing_metadata


async def test_a_version_knows_what_its_description_says_that_it_was_made_of(
    connection: Connection, folder: Path
) -> None:
    """M-79, M-80: lineage to code, data and pipeline, and the models that it is composed of."""
    made_of = (
        "composition: [tokenizer@2, ranker@5]\n"
        "origin: {codeAssets: [github.com/a/b], pipeline: nightly, logs: %s}\n"
        "metadata: {link_to_dataset: faces@v1.0.0}\n" % ("l" * 5000)
    )
    text = DESCRIPTION.replace("metadata: {tags: {team: vision}}\n", made_of)
    done = await store(connection, text, folder, model="composed")
    assert done.version is not None
    assert done.version.annotations["composition"] == '["tokenizer@2", "ranker@5"]'
    assert done.version.annotations["origin.codeAssets"] == '["github.com/a/b"]'
    assert done.version.annotations["origin.pipeline"] == "nightly"
    assert list(done.version.dangling_links) == ["training_dataset: faces@v1.0.0"]
    assert "origin.logs is kept in model-package.yml alone: it is long" in done.warnings


async def test_a_dataset_that_nobody_knows_is_told_by_the_registry(connection: Connection, folder: Path) -> None:
    data = {"training_data": {"data_store": "here", "path": "faces@v1.0.0"}}
    stores = [{"name": "here", "type": "headwater"}]
    package = {**PACKAGE, "train": {"data_source": data}, "data_stores": stores}
    done = await store(connection, yaml.safe_dump(package), folder)
    assert done.version is not None
    assert list(done.version.dangling_links) == ["dataset_versions: projects/default/datasets/faces/versions/v1.0.0"]
    assert done.warnings == ()


async def test_a_semantic_version_is_given_out_in_order(connection: Connection, folder: Path) -> None:
    """M-80."""
    package = yaml.safe_dump({**PACKAGE, "model_identifier": "in-order"})
    done = await store(connection, package, folder, semantic_version="v1.2.0")
    assert done.version is not None
    assert done.version.semantic_version == "v1.2.0"
    with pytest.raises(FailedPrecondition, match=r"v1\.1\.0 is not higher than v1\.2\.0"):
        await store(connection, package, folder, semantic_version="v1.1.0")


async def test_an_expired_model_is_not_registered(connection: Connection, client: Client, folder: Path) -> None:
    with pytest.raises(ModelExpired, match="2020-01-01"):
        await store(connection, DESCRIPTION.replace("2030", "2020"), folder, model="late")
    listed = await client.models.ListModels(models_pb2.ListModelsRequest(parent="projects/default", page_size=1000))
    assert "projects/default/models/late" not in [model.name for model in listed.models]


RECORD = """\
mlSpecVersion: 0.0.1
id: %s
experiment_id: 3eb00c1e-e06a-4a50-b911-54e6fd4d5746
name: test experiment run
submittedDate: 2019-01-01T000000
submitterId: GUID
hyperparameters: [{key: C, value: 100}, {key: solver, value: lbfgs}]
artifacts:
  - {key: model, path: ./output/model.txt, artifact_type: MODEL}
  - {key: log, path: s3://logs/stdout.txt}
datasets:
  - {key: input_data, path: s3://data/credit-default.csv, artifact_type: DATA}
  - {key: labels, path: output/labels.csv, artifact_type: DATA}
metrics:
  - {key: accuracy, value: '0.7787333333333334', value_type: NUMBER}
  - {key: curve, value: [0.9, 0.8]}
tags: [{key: origin, value: ENUS}]
properties: [{key: systemId, value: foo}]
"""


async def recorded(connection: Connection, folder: Path, text: str, **options: Any) -> Recorded:
    (folder / "output").mkdir(exist_ok=True)
    (folder / "output" / "model.txt").write_text("weights")
    (folder / "output" / "labels.csv").write_text("1,0\n")
    document = packaging.read(text).document
    assert isinstance(document, packaging.ExperimentRecord)
    return await asyncio.to_thread(record, connection, document, folder, **options)


async def test_a_record_of_an_experiment_becomes_a_run(connection: Connection, tmp_path: Path) -> None:
    """M-34, K-13."""
    run = (await recorded(connection, tmp_path, RECORD % "592f0c1c")).run
    assert run.display_name == "test experiment run"
    assert run.state == type(run).STATE_SUCCEEDED
    assert run.latest_metrics == {"accuracy": 0.7787333333333334}
    assert [each.number_value for each in run.latest_objects["curve"].list_value.values] == [0.9, 0.8]
    assert (run.parameters["C"].number_value, run.parameters["solver"].string_value) == (100, "lbfgs")
    assert run.tags == {"origin": "ENUS", "mlspec.record": "592f0c1c"}
    assert run.annotations["systemId"] == "foo"
    assert run.annotations["mlspec.submitter_id"] == "GUID"


async def test_a_recorded_run_has_the_times_of_its_record(connection: Connection, tmp_path: Path) -> None:
    """M-34."""
    run = (await recorded(connection, tmp_path, RECORD % "times")).run
    told = (run.start_time, run.end_time, run.metric_summaries["accuracy"].last_time)
    assert {each.ToDatetime() for each in told} == {datetime.datetime(2019, 1, 1)}  # noqa: DTZ001  # as protobuf has it


async def test_a_record_makes_its_experiment_for_all_of_its_runs(connection: Connection, tmp_path: Path) -> None:
    """M-34."""
    first = (await recorded(connection, tmp_path, RECORD % "one")).run
    second = (await recorded(connection, tmp_path, RECORD % "two")).run
    assert first.experiment == second.experiment
    name = experiments.named(first.experiment)
    assert name.experiment == "experiment-3eb00c1e-e06a-4a50-b911-54e6fd4d5746"
    made = await asyncio.to_thread(experiments.get, connection, name)
    assert made.display_name == "3eb00c1e-e06a-4a50-b911-54e6fd4d5746"


@pytest.mark.parametrize("called", ["Census models", "census-models"])
async def test_a_record_goes_to_the_experiment_that_is_there(
    connection: Connection, tmp_path: Path, called: str
) -> None:
    text = f"experiment_id: {called}\nname: a run\nid: of {called}\n"
    run = (await recorded(connection, tmp_path, text)).run
    assert run.experiment == "projects/default/experiments/census-models"


async def test_what_a_record_names_is_what_the_run_made_and_read(connection: Connection, tmp_path: Path) -> None:
    """M-34, M-35."""
    run = (await recorded(connection, tmp_path, RECORD % "files")).run
    (made,) = await asyncio.to_thread(lambda: list(run_artifacts.made_by(connection, RunName.parse(run.name))))
    assert (made.path, run_artifacts.kind_name(made)) == ("output/model.txt", "model")
    assert run.annotations["mlspec.file.log"] == "s3://logs/stdout.txt"
    elsewhere, here = sorted(run.data_inputs, key=lambda each: each.name)
    assert (elsewhere.name, elsewhere.source_type) == ("input_data", "s3")
    assert elsewhere.source == "s3://data/credit-default.csv"
    assert (here.name, here.source_type) == ("labels", "headwater")
    assert here.digest == f"sha256:{hashlib.sha256(b'1,0' + bytes([10])).hexdigest()}"


@pytest.mark.parametrize(
    "text", [RECORD % "again", "experiment_id: nameless\nname: no id\nmetrics: {key: a, value: 1}\n"]
)
async def test_the_same_record_again_is_the_same_run(connection: Connection, tmp_path: Path, text: str) -> None:
    """M-34."""
    first = await recorded(connection, tmp_path, text)
    again = await recorded(connection, tmp_path, text)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.run == first.run


async def test_a_record_that_was_interrupted_is_gone_on_with(connection: Connection, tmp_path: Path) -> None:
    """What a program leaves that was killed after its first call."""
    text = "experiment_id: interrupted\nname: x\nid: interrupted\nmetrics: {key: a, value: 1}\n"
    document = packaging.read(text).document
    digest = f"sha256:{hashlib.sha256(packaging.write(document).encode()).hexdigest()}"
    begun = artifact_pb2.Run(tags={"mlspec.record": "interrupted"}, annotations={"mlspec.digest": digest})
    stub = runs_pb2_grpc.RunServiceStub(connection.channel("registry"))
    request = runs_pb2.CreateRunRequest(parent="projects/default", run=begun)
    left = await asyncio.to_thread(stub.CreateRun, request)
    done = await recorded(connection, tmp_path, text)
    assert (done.run.name, done.run.state) == (left.name, type(left).STATE_SUCCEEDED)
    assert done.run.latest_metrics == {"a": 1}


async def test_a_record_whose_run_was_archived_is_recorded_anew(connection: Connection, tmp_path: Path) -> None:
    text = "experiment_id: anew\nname: x\nid: anew\n"
    first = await recorded(connection, tmp_path, text)
    await asyncio.to_thread(runs.archive, connection, RunName.parse(first.run.name))
    second = await recorded(connection, tmp_path, text)
    assert second.is_new
    assert second.run.name != first.run.name


async def test_records_at_once_are_one_run(connection: Connection, tmp_path: Path) -> None:
    text = "experiment_id: at-once\nname: x\nid: at once\nmetrics: {key: a, value: 1}\n"
    done = await asyncio.gather(*(recorded(connection, tmp_path, text) for _ in range(4)))
    assert len({each.run.name for each in done}) == 1
    assert done[0].run.metric_summaries["a"].point_count == 1


async def test_another_record_of_the_same_id_is_refused(connection: Connection, tmp_path: Path) -> None:
    first = await recorded(connection, tmp_path, RECORD % "O'Brien")
    with pytest.raises(RecordChanged, match=first.run.name):
        await recorded(connection, tmp_path, RECORD.replace("lbfgs", "saga") % "O'Brien")


async def test_a_record_that_could_not_be_told_is_told_anew_once_it_is_mended(
    connection: Connection, tmp_path: Path
) -> None:
    text = "experiment_id: mended\nname: x\nid: mended\nartifacts: {key: model, path: modèle.txt}\n"
    (tmp_path / "modèle.txt").write_text("weights")
    with pytest.raises(InvalidArgument, match="A path is names"):
        await recorded(connection, tmp_path, text)
    (tmp_path / "modèle.txt").rename(tmp_path / "modele.txt")
    done = await recorded(connection, tmp_path, text.replace("modèle", "modele"))
    assert done.run.state == type(done.run).STATE_SUCCEEDED
    failed = runs.search(connection, ProjectName("default"), where="state = 'FAILED'", within=["mended"])
    assert "A path is names" in (await asyncio.to_thread(list, failed))[0].failure


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname"])
async def test_a_file_outside_of_the_record_s_folder_is_never_uploaded(
    connection: Connection, tmp_path: Path, path: str
) -> None:
    (tmp_path / "secret").write_text("key")
    (tmp_path / "here").mkdir()
    text = f"experiment_id: out\nname: x\nid: out of {path}\ndatasets: {{key: a, path: {path}}}\n"
    with pytest.raises(LocalFileRefused, match=r"datasets\[0\]\.path"):
        await recorded(connection, tmp_path / "here", text)


async def test_a_path_that_no_file_can_have_is_kept_as_text(connection: Connection, tmp_path: Path) -> None:
    text = f"experiment_id: long\nname: x\nid: long\ndatasets: {{key: a, path: {'y' * 3000}}}\n"
    done = await recorded(connection, tmp_path, text)
    assert done.run.data_inputs[0].source == "y" * 3000
