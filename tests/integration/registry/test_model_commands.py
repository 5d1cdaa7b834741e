"""``headwater model`` as a user types it, and what its functions do, over a registry."""

import asyncio
import json
import pickle
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from chassis import Service
from chassis.auth import Role
from chassis.testing import TokenFor
from headwater import cli, model_versions, references
from headwater.client import Connection, Endpoints
from headwater.errors import InvalidArgument
from headwater.registering import DEPENDENCIES, WEIGHTS, register_model
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc
from tests.data.models.onnx_files import linear_model

Command = Callable[..., Awaitable[str]]


@pytest.fixture
def headwater(
    registry: Service, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command and returns what it prints; with ``refused`` its error."""
    monkeypatch.setenv("HEADWATER_REGISTRY_ADDRESS", registry.address)
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.ADMIN))

    async def run(*arguments: str | Path, refused: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, [str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if refused else (0, None)), printed.err
        return printed.err + printed.out

    return run


@pytest.fixture
def connection(registry: Service, token_for: TokenFor) -> Connection:
    """A connection to the registry."""
    return Connection(Endpoints(registry=registry.address), token_for(Role.ADMIN))


async def test_a_version_from_its_files_to_its_end(headwater: Command, tmp_path: Path) -> None:
    """R-18 to R-20, R-26, M-04 to M-06, X-01."""
    (tmp_path / "model.onnx").write_bytes(linear_model(4, 3))
    save_file({"w": np.zeros((4, 3), np.float32)}, tmp_path / "weights.safetensors")
    said = ["--metadata", "params=25M", "--metadata", "training_dataset=imagenet-v1", "--tag", "vision", "--tag", "x"]
    printed = await headwater(
        "model", "register", "digits", tmp_path, "--version", "1.0.0", "--annotation", "ticket=12", *said
    )
    for word in (
        "v1.0.0",
        "onnx",
        "ticket=12",
        "params=25000000",
        "vision, x",
        "training_date",
        "nobody knows training_dataset",
    ):
        assert word in printed, word
    shown = await headwater("model", "show", "digits@v1.0.0")
    assert "x FP32[-1, 4]" in shown
    assert "headwater by ONNX Runtime, triton by ONNX Runtime" in shown  # M-80
    assert "tensorrt by trtexec" in shown
    assert json.loads(await headwater("model", "show", "digits@1", "--json"))["semantic_version"] == "v1.0.0"
    document = json.loads(await headwater("model", "document", "digits@1"))
    assert document["model_id"] == "digits"
    assert document["headwater"]["deployment_targets"][0] == {
        "target": "headwater",
        "by": "ONNX Runtime",
        "condition": "",
    }

    listed = await headwater("model", "tensors", "digits@1", "--file", "weights.safetensors")
    assert "w" in listed
    assert "4, 3" in listed
    assert " to " in listed
    one = json.loads(await headwater("model", "tensors", "digits@1", "--file", "weights.safetensors", "--json"))
    assert (one["file"], one["name"], one["datatype"]) == ("weights.safetensors", "w", "FP32")

    refused = await headwater("model", "register", "digits", tmp_path, "--version", "v1.0.0", refused=True)
    assert "VERSION_NOT_GREATER" in refused
    await headwater("model", "register", "digits", tmp_path / "model.onnx", "--version", "v1.0.1")
    changed = await headwater("model", "update", "digits@1", "--description", "the first", "--tag", "old")
    assert "the first" in changed
    assert "vision" not in changed

    await headwater("model", "deprecate", "digits@1", "--replacement", "digits@2")
    assert "projects/default/models/digits/versions/2 instead" in await headwater("model", "show", "digits@1")
    assert "digits@1" not in await headwater("model", "versions", "digits")
    assert "deprecated" in await headwater("model", "versions", "digits", "--all")
    await headwater("model", "archive", "digits@1")
    await headwater("model", "promote", "digits@2", "--stage", "Production")
    assert "IN_USE" in await headwater("model", "archive", "digits@2", refused=True)
    assert "archived" in await headwater("model", "archive", "digits@2", "--force")
    assert "active" in await headwater("model", "reactivate", "digits@2")


async def test_what_is_not_safe_is_told_where_it_is_shown(headwater: Command, tmp_path: Path) -> None:
    """Promise 12."""
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(print))
    shown = await headwater("model", "register", "digits", tmp_path / "model.pkl")
    assert "never served" in shown
    assert "not safe" in await headwater("model", "versions", "digits")
    assert "UNSAFE_MODEL" in await headwater("model", "promote", "digits@1", "--stage", "staging", refused=True)


async def test_a_command_that_cannot_be_meant_is_refused(headwater: Command, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / ".hidden").touch()
    for arguments in (
        ("register", "digits"),
        ("register", "digits", empty),
        ("register", "digits", tmp_path / "nobody"),
        ("show", "digits"),
        ("update", "digits@1", "--annotation", "novalue"),
        ("archive", "nobody@1"),
    ):
        await headwater("model", *arguments, refused=True)


async def test_a_module_is_registered_in_one_call(connection: Connection) -> None:
    """P-17: metrics, metadata, dependencies and data are kept with the weights."""
    module = torch.nn.Linear(4, 3)
    metadata = {"architecture": "linear", "hyperparameters": {"lr": 0.1}, "params": 15, "dataset": "digits@v1.0.0"}
    name = await asyncio.to_thread(register_model, connection, "digits", module, {"accuracy": 0.92}, metadata)
    version = await asyncio.to_thread(model_versions.get, connection, references.model_version(name))
    assert version.name == name
    assert (version.framework.name, version.kind, version.parameter_count) == ("pytorch", "linear", 15)
    assert (version.metrics["accuracy"], version.hyperparameters["lr"].number_value) == (0.92, 0.1)
    assert [file.path for file in version.files] == [WEIGHTS, DEPENDENCIES]
    assert list(version.dangling_links) == ["dataset: digits@v1.0.0"]
    assert list(version.missing_metadata) == ["dataset_version", "task"]


async def test_a_registration_that_fails_is_a_run_that_failed(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"weights")
    with pytest.raises(InvalidArgument, match="params"):
        await asyncio.to_thread(register_model, connection, "digits", tmp_path, {}, {"params": "many"})
    stub = runs_pb2_grpc.RunServiceStub(connection.channel("registry"))
    [run] = (await asyncio.to_thread(stub.ListRuns, runs_pb2.ListRunsRequest(parent="projects/default"))).runs
    assert run.state == type(run).STATE_FAILED
    assert "params" in run.failure
