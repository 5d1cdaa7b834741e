"""N-04: ``headwater model register --preprocessing --samples``, over a registry."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chassis import Service
from chassis.auth import Role
from chassis.testing import TokenFor
from headwater import artifacts, cli, model_preprocessing, models, parity, references
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection, Endpoints
from headwater.errors import InvalidArgument
from headwater.names import ArtifactName
from headwater.registry.v1 import model_versions_pb2, models_pb2_grpc
from headwater.transforms import Pipeline
from tests.data.models.onnx_files import linear_model
from tests.integration.inference.pipelines import SHAPE, document, image
from tests.unit.inference import onnx_models

Command = Callable[..., Awaitable[str]]


@pytest.fixture
def headwater(
    registry: Service, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command and returns what it prints; with ``refused`` its error."""
    monkeypatch.setenv("HEADWATER_REGISTRY_ADDRESS", registry.address)
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.WRITER))

    async def run(*arguments: str | Path, refused: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, [str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if refused else (0, None)), printed.err
        return " ".join((printed.err + printed.out).split())

    return run


@pytest.fixture
def connection(registry: Service, token_for: TokenFor) -> Any:
    with Connection(Endpoints(registry=registry.address), token_for(Role.WRITER)) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, a pipeline, images, arrays."""
    (tmp_path / "model.onnx").write_bytes(onnx_models.identity(shape=SHAPE))
    (tmp_path / "linear.onnx").write_bytes(linear_model(4, 3))
    (tmp_path / "prep.json").write_text(document())
    (tmp_path / "images").mkdir()
    for seed in range(3):
        (tmp_path / "images" / f"{seed}.png").write_bytes(image(seed))
    np.savez(tmp_path / "inputs.npz", x=np.ones((2, 1, 4, 4), np.float32))
    return tmp_path


async def test_a_version_is_registered_with_its_pipeline_and_samples(
    headwater: Command, connection: Connection, folder: Path
) -> None:
    register = ["model", "register", "digits", folder / "model.onnx", "--preprocessing", folder / "prep.json"]
    printed = await headwater(*register, "--samples", folder / "images", "--samples", folder / "inputs.npz")
    digest = Pipeline.parse(document()).digest
    assert f"preprocessing {digest}" in printed
    assert "parity.json" in printed

    await headwater(*register)
    assert digest in await headwater("model", "show", "digits@1")
    told = json.loads(await headwater("model", "document", "digits@1"))["headwater"]
    assert Pipeline.parse(told["preprocessing"]["document"]).document == Pipeline.parse(document()).document
    (folder / "prep.json").write_text(document("bilinear"))
    await headwater(*register)
    compared = await headwater("model", "compare", "digits@1", "digits@3")
    assert "preprocessing" in compared


async def test_the_record_holds_what_pipeline_and_model_made_of_the_samples(
    connection: Connection, folder: Path
) -> None:
    files = {"model.onnx": folder / "model.onnx"}
    prepared = model_preprocessing.preprocessing(connection, folder / "prep.json")
    record = model_preprocessing.parity_of(files, [folder / "images", folder / "inputs.npz"], prepared)
    made = await asyncio.to_thread(
        models.register, connection, references.model("digits"), files, preprocessing=prepared, parity=record
    )
    [kept] = [file for file in made.files if file.path == parity.PATH]
    name = ArtifactName("default", kept.digest.removeprefix("sha256:"))
    await asyncio.to_thread(artifacts.download, connection, name, folder / "kept.json")
    read = parity.read((folder / "kept.json").read_bytes())
    assert parity.write(read) == parity.write(record)
    assert read.pipeline == made.preprocessing.digest
    assert [sample.files for sample in read.samples] == [*([image(seed)] for seed in range(3)), None]
    for seed, sample in enumerate(read.samples[:3]):
        [answer] = sample.outputs
        np.testing.assert_array_equal(answer.array, Pipeline.parse(document()).prepare_all([image(seed)]))
    assert read.environment["onnxruntime"]


REFUSED = [
    ("model.onnx", ["--samples", "images"], "samples[0] is a file, and no pipeline is recorded"),
    ("model.onnx", ["--samples", "nowhere"], "There is no file"),
    ("model.onnx", ["--samples", "empty"], "Give 1 to 64 samples; there are 0"),
    ("model.onnx", ["--preprocessing", "nowhere.yaml"], "cannot be read"),
    ("model.onnx", ["--preprocessing", "broken.json"], "The pipeline is not valid"),
    ("model.onnx", ["--preprocessing", "prep.json", "--samples", "broken.json"], "row 0 is not a readable"),
    (
        "linear.onnx",
        ["--preprocessing", "prep.json", "--samples", "images"],
        "leaves FP32 [channels, height, width] of each row; the model's input x takes FP32 [-1, 4]",
    ),
]


async def test_what_cannot_be_recorded_is_refused_and_nothing_is_registered(headwater: Command, folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "broken.json").write_text("{}")
    for model, arguments, told in REFUSED:
        given = [each if each.startswith("--") else folder / each for each in arguments]
        assert told in await headwater("model", "register", "digits", folder / model, *given, refused=True)
    assert "digits" not in await headwater("model", "list")


async def test_a_digest_that_is_not_that_of_the_document_is_refused(connection: Connection, folder: Path) -> None:
    lying = artifact_pb2.Preprocessing(document=document(), digest=f"sha256:{'0' * 64}")
    files = {"model.onnx": folder / "model.onnx"}
    with pytest.raises(InvalidArgument, match="that of the document is"):
        await asyncio.to_thread(models.register, connection, references.model("digits"), files, preprocessing=lying)


async def test_what_was_recorded_never_changes(connection: Connection, folder: Path) -> None:
    stub = models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
    prepared = model_preprocessing.preprocessing(connection, folder / "prep.json")
    files = {"model.onnx": folder / "model.onnx"}
    made = await asyncio.to_thread(
        models.register, connection, references.model("digits"), files, preprocessing=prepared
    )
    change = artifact_pb2.ModelMetadata(name=made.name)
    change.preprocessing.document = document("bilinear")
    request = model_versions_pb2.UpdateModelVersionRequest(model_version=change)
    with pytest.raises(InvalidArgument):
        await asyncio.to_thread(stub.UpdateModelVersion, request)
    request.update_mask.paths.append("preprocessing")
    with pytest.raises(InvalidArgument):
        await asyncio.to_thread(stub.UpdateModelVersion, request)
