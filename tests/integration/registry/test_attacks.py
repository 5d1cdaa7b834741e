"""Every attack that the tests make, pushed through a running registry (promise 12).

Each is refused cleanly or kept and marked; none is ever served; a canary file shows that nothing ran.
"""

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
import pytest_asyncio

from chassis import Service
from chassis.testing import Connect, StartService
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import FailedPrecondition, HeadwaterError
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.registry.v1 import models_pb2
from services.inference.__main__ import build as build_inference
from services.inference.settings import Settings as InferenceSettings
from services.registry.__main__ import build
from services.registry.settings import Settings
from tests.data.models import (
    gguf_files,
    hugging_face_files,
    keras_files,
    onnx_files,
    packed_files,
    pickles,
    pytorch_files,
    safetensors_files,
    tars,
    tensorflow_files,
    tree_files,
    zips,
)
from tests.integration.registry.client import DEFAULT, DIGITS, Client

MODULES: tuple[ModuleType, ...] = (
    gguf_files,
    hugging_face_files,
    keras_files,
    onnx_files,
    packed_files,
    pickles,
    pytorch_files,
    safetensors_files,
    tars,
    tensorflow_files,
    tree_files,
    zips,
)
RUNS_CODE = {"ATTACKS", "EXPORT_ATTACKS", "MARKED"}
"""Names of collections whose members must be marked where they are kept."""
ENDLESS = 20_000


def corpus(canary: Path) -> Iterator[tuple[str, str, bytes]]:
    """The name of every attack's collection, its own name, and its bytes; those that run something touch the canary."""
    for module in MODULES:
        for collection, members in vars(module).items():
            if collection.isupper() and not collection.startswith("_") and isinstance(members, Mapping):
                for name, made in members.items():
                    if isinstance(made, bytes) or callable(made):
                        yield collection, f"{module.__name__}: {name}", _bytes(collection, made, canary)
    for name, attack in pickles.ATTACKS.items():
        yield "ATTACKS", f"in a PyTorch archive: {name}", pytorch_files.archive(attack(canary))


def _bytes(collection: str, made: bytes | Callable[..., bytes], canary: Path) -> bytes:
    if isinstance(made, bytes):
        return made
    if collection in ("ATTACKS", "EXPORT_ATTACKS"):
        return made(canary)
    return made(ENDLESS) if collection == "ENDLESS" else made()


@pytest_asyncio.fixture
async def registry(start_service: StartService) -> Service:
    """A running registry that takes every attack's bytes."""
    return await start_service(build, Settings, redis_url="", log_level="ERROR")


@pytest_asyncio.fixture
async def deployments(start_service: StartService, connect: Connect, registry: Service) -> Any:
    """A running inference service over the registry."""
    inference = await start_service(
        build_inference, InferenceSettings, redis_url="", registry_address=registry.address, log_level="ERROR"
    )
    return deployments_pb2_grpc.DeploymentServiceStub(connect(inference.address))


async def _push(client: Client, content: bytes) -> artifact_pb2.ModelMetadata | HeadwaterError:
    artifact = await client.upload(content)
    file = models_pb2.ModelFileReference(path="model.bin", artifact=artifact.name)
    request = models_pb2.CreateModelVersionRequest(parent=f"{DEFAULT}/models/attacked", files=[file])
    try:
        return await client.models.CreateModelVersion(request)
    except HeadwaterError as error:
        return error


async def _refuses_to_serve(client: Client, deployments: Any, version: artifact_pb2.ModelMetadata) -> None:
    move = models_pb2.SetModelVersionStageRequest(name=version.name, stage=artifact_pb2.ModelMetadata.STAGE_PRODUCTION)
    deployment = deployments_pb2.Deployment(model=f"{DEFAULT}/models/attacked", version=version.version)
    deploy = deployments_pb2.CreateDeploymentRequest(
        parent=DEFAULT, deployment_id=f"attack-{version.version}", deployment=deployment
    )
    calls: tuple[tuple[Any, Any], ...] = (
        (client.models.SetModelVersionStage, move),
        (deployments.CreateDeployment, deploy),
    )
    for call, request in calls:
        with pytest.raises(FailedPrecondition) as refused:
            await call(request)
        assert refused.value.reason == "UNSAFE_MODEL"


@pytest.mark.timeout(300)
async def test_every_attack_is_refused_or_marked_and_none_is_served(
    registry: Service, client: Client, deployments: Any, tmp_path: Path
) -> None:
    canary_file = tmp_path / "touched"
    attacks = list(corpus(canary_file))
    assert len(attacks) > 200
    canary = await client.register(b"canary")
    process = psutil.Process(os.getpid())
    for _, _, content in attacks[:20]:
        await _push(client, content)
    gc.collect()
    before = process.memory_info().rss

    for collection, name, content in attacks:
        match await _push(client, content):
            case HeadwaterError() as error:
                assert error.reason in ("INVALID_MODEL_FILE", "INVALID_MODEL_FILES"), (name, error)
                assert str(tmp_path) not in error.message, name
            case version:
                assert version.problems or collection not in RUNS_CODE, name
                assert version.problems or version.format != artifact_pb2.ModelFile.FORMAT_ONNX, name
                if version.problems:
                    await _refuses_to_serve(client, deployments, version)
        assert not canary_file.exists(), name

    gc.collect()
    assert process.memory_info().rss - before < 64 * 2**20
    assert registry.ready
    assert await client.download(canary.storage_location) == b"canary"
    listed = await client.models.ListModelVersions(models_pb2.ListModelVersionsRequest(parent=DIGITS))
    assert [version.name for version in listed.model_versions] == [canary.name]
