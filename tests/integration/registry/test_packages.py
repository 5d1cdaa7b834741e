"""Model packages in a registry: versions with the files that they name, runs of what was recorded (M-34, M-66…M-79)."""

import asyncio
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
from headwater import packaging
from headwater.client import Connection, Endpoints
from headwater.packaging.local import LocalFileRefused
from headwater.packaging.planning import PACKAGE_FILE
from headwater.packaging.recording import Recorded, record
from headwater.packaging.registering import ModelExpired, Registered, register
from headwater.registry.v1 import models_pb2
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


async def test_what_the_registry_does_not_keep_is_told(connection: Connection, folder: Path) -> None:
    done = await store(connection, DESCRIPTION, folder, model="fraud")
    assert done.version is not None
    kept = done.version.annotations.get("created_by") == "sam@example.org"
    assert kept != any("does not keep created_by" in warning for warning in done.warnings)
    assert (list(done.version.tags) == ["team:vision"]) != any("keep tags" in warning for warning in done.warnings)


async def test_the_dataset_that_a_package_was_trained_on_is_told_or_kept(connection: Connection, folder: Path) -> None:
    data = {"training_data": {"data_store": "here", "path": "faces@v1.0.0"}}
    stores = [{"name": "here", "type": "headwater"}]
    package = {**PACKAGE, "train": {"data_source": data}, "data_stores": stores}
    done = await store(connection, yaml.safe_dump(package), folder)
    assert done.version is not None
    kept = list(done.version.dataset_versions) == ["projects/default/datasets/faces/versions/v1.0.0"]
    assert kept != any("what the model was trained on" in warning for warning in done.warnings)


async def test_an_expired_model_is_not_registered(connection: Connection, client: Client, folder: Path) -> None:
    with pytest.raises(ModelExpired, match="2020-01-01"):
        await store(connection, DESCRIPTION.replace("2030", "2020"), folder, model="late")
    listed = await client.models.ListModels(models_pb2.ListModelsRequest(parent="projects/default", page_size=1000))
    assert "projects/default/models/late" not in [model.name for model in listed.models]


RECORD = """\
mlSpecVersion: 0.0.1
id: 592f0c1c
experiment_id: 3eb00c1e
name: test experiment run
submittedDate: 2019-01-01T000000
hyperparameters: [{key: C, value: 100}, {key: solver, value: lbfgs}]
artifacts: {key: model, path: output/model.txt, artifact_type: MODEL}
datasets: {key: input_data, path: s3://data/credit-default.csv, artifact_type: DATA}
metrics:
  - {key: accuracy, value: '0.7787333333333334', value_type: NUMBER}
  - {key: curve, value: [0.9, 0.8]}
tags: [{key: origin, value: ENUS}]
properties: [{key: systemId, value: foo}]
"""


async def recorded(connection: Connection, folder: Path) -> Recorded:
    (folder / "output").mkdir()
    (folder / "output" / "model.txt").write_text("weights")
    document = packaging.read(RECORD).document
    assert isinstance(document, packaging.ExperimentRecord)
    return await asyncio.to_thread(record, connection, document, folder)


async def test_a_record_of_an_experiment_becomes_a_run(connection: Connection, tmp_path: Path) -> None:
    """M-34, K-13."""
    done = await recorded(connection, tmp_path)
    run = done.run
    assert run.display_name == "test experiment run"
    assert run.state == type(run).STATE_SUCCEEDED
    assert run.latest_metrics == {"accuracy": 0.7787333333333334}
    assert (run.parameters["C"].number_value, run.parameters["solver"].string_value) == (100, "lbfgs")
    assert run.tags == {"origin": "ENUS"}
    assert run.annotations["systemId"] == "foo"
    assert run.annotations["mlspec.experiment_id"] == "3eb00c1e"
    assert run.annotations["mlspec.file.input_data"] == "s3://data/credit-default.csv"


async def test_what_a_run_cannot_hold_is_told(connection: Connection, tmp_path: Path) -> None:
    done = await recorded(connection, tmp_path)
    assert ("curve" in done.run.latest_objects) != any("metric curve" in warning for warning in done.warnings)
