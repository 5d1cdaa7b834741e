"""N-04: before a version answers, its parity record is replayed, and it answers only if it gives what was recorded."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from onnx import TensorProto, helper
from PIL import Image

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.testing.services import Connect, StartService
from headwater import parity
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import ModelName
from headwater.parity import environment
from headwater.tensors import Tensor
from headwater.transforms import images
from services.inference.__main__ import wire
from services.inference.deployments.memory import MemoryDeployments
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import ModelVersion, Preprocessing, Selector, SelectorKind
from services.inference.records.memory import MemoryRecords
from services.inference.settings import Settings
from tests.integration.inference.conftest import in_memory
from tests.integration.inference.pipelines import SHAPE, document, record, recorded
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

NAME = "projects/default/deployments/digits"
MODEL = ModelName("default", "digits")
SERVED = Selector(SelectorKind.ALIAS, "served")
_State = deployments_pb2.Deployment.State


def negation() -> bytes:
    """y = -x."""
    tensors = [onnx_models.tensor(name, TensorProto.FLOAT, SHAPE) for name in "xy"]
    return onnx_models.model([helper.make_node("Neg", ["x"], ["y"])], tensors[:1], tensors[1:]).SerializeToString()


class World:
    """What outlives a process, and processes over it."""

    def __init__(self, start: StartService, connect: Connect) -> None:
        self.models, self.deployments = MemoryModels(), MemoryDeployments()
        self._start, self._connect = start, connect
        self.service: Any = None

    def register(self, record: bytes, text: str = "", *, prepared: Preprocessing | None = None, **more: bytes) -> None:
        """A version of the identity, behind a pipeline, with this parity record; ``served`` points to it."""
        files = {"model.onnx": more.get("model") or onnx_models.identity(shape=SHAPE), parity.PATH: record}
        version = self._add(files, prepared or (recorded(text) if text else None))
        self.models.point(MODEL, SERVED, version)

    def _add(self, files: Mapping[str, bytes], prepared: Preprocessing | None) -> ModelVersion:
        formats = {"model.onnx": "onnx"}
        return self.models.add(
            MODEL, {path: NewFile(formats.get(path, ""), content) for path, content in files.items()}, prepared
        )

    async def begin(self) -> None:
        """Start a process."""

        async def build(settings: Settings) -> Service:
            service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
            wire(service, settings, in_memory(self.models, MemoryRecords(), self.deployments))
            return service

        self.service = await self._start(
            build, Settings, database_url="", redis_url="", resolve_interval_s=0.05, check_interval_s=0.1
        )

    async def end(self) -> None:
        """Stop it."""
        await self.service.stop()

    @property
    def _stub(self) -> "deployments_pb2_grpc.DeploymentServiceAsyncStub":
        return deployments_pb2_grpc.DeploymentServiceStub(self._connect(self.service.address, Role.ADMIN))

    async def deploy(self) -> None:
        """Serve what ``served`` points to."""
        deployment = deployments_pb2.Deployment(model=str(MODEL), alias="served")
        await self._stub.CreateDeployment(
            deployments_pb2.CreateDeploymentRequest(
                parent="projects/default", deployment_id="digits", deployment=deployment
            )
        )

    async def state(self, wanted: int) -> deployments_pb2.Deployment:
        """The deployment, once it is in this state."""
        request = deployments_pb2.GetDeploymentRequest(name=NAME)

        async def there() -> bool:
            return (await self._stub.GetDeployment(request)).state == wanted

        await eventually(there)
        return await self._stub.GetDeployment(request)

    async def ready(self) -> tuple[int, dict[str, str]]:
        """What ``/ok/ready`` says."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{self.service.admin_port}/ok/ready")
        return answer.status_code, answer.json()["checks"]


@pytest_asyncio.fixture
async def world(start_service: StartService, connect: Connect) -> AsyncIterator[World]:
    yield World(start_service, connect)


async def test_a_version_that_gives_what_was_recorded_is_served(world: World) -> None:
    world.register(record(document(), 1, 2, 3), document())
    await world.begin()
    await world.deploy()
    await world.state(_State.STATE_READY)
    assert (await world.ready())[0] == 200


async def test_a_corrupt_engine_stays_red_and_names_the_sample(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """N-04: the process whose resize does something else is never ready, and says which sample shows it."""
    world.register(record(document(), 1, 2), document())
    await world.begin()
    await world.deploy()
    await world.state(_State.STATE_READY)
    await world.end()

    monkeypatch.setitem(images._FILTERS, "nearest", Image.Resampling.BILINEAR)
    await world.begin()
    failed = await world.state(_State.STATE_FAILED)
    assert "digits/versions/1: Sample 0 of the parity record, preprocessing: expected sha256:" in failed.failure
    status, checks = await world.ready()
    assert status == 503
    assert "Sample 0 of the parity record, preprocessing: expected sha256:" in checks["parity"]
    assert failed.model_version == ""
    await world.end()

    monkeypatch.undo()
    await world.begin()
    await world.state(_State.STATE_READY)

    async def green() -> bool:
        return (await world.ready())[0] == 200

    await eventually(green)


async def test_a_mismatch_leaves_the_older_version_answering(world: World) -> None:
    """And the process ready: what one version does is no matter of the others."""
    world.register(record(document(), 1), document())
    await world.begin()
    await world.deploy()
    await world.state(_State.STATE_READY)
    world.register(record(document("bilinear"), 1), document("bilinear", mean=0.4))
    failed = await world.state(_State.STATE_FAILED)
    assert failed.model_version.endswith("/versions/1")
    assert "The parity record was made with the pipeline sha256:" in failed.failure
    assert (await world.ready())[0] == 200


async def test_a_model_that_answers_otherwise_is_not_served(world: World) -> None:
    """The pipeline is right, the model is another: the output and the difference are named."""
    world.register(record(document(), 1, 2), document(), model=negation())
    await world.begin()
    await world.deploy()
    failed = await world.state(_State.STATE_FAILED)
    assert "Sample 0 of the parity record, y: expected sha256:" in failed.failure
    assert "of 16 numbers differ, by up to" in failed.failure


async def test_a_record_without_a_pipeline_holds_the_model_alone(world: World) -> None:
    inputs = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    sample = parity.Given(inputs=(Tensor("x", "FP32", inputs),), outputs=(Tensor("y", "FP32", inputs + 1e-6),))
    world.register(parity.write(parity.record([sample], None)))
    await world.begin()
    await world.deploy()
    await world.state(_State.STATE_READY)  # within the tolerance

    sample = parity.Given(inputs=(Tensor("x", "FP32", inputs),), outputs=(Tensor("y", "FP32", inputs + 0.5),))
    world.register(parity.write(parity.record([sample], None)))
    assert "Sample 0 of the parity record, y:" in (await world.state(_State.STATE_FAILED)).failure


async def test_how_the_environments_differ_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_PACKAGES", ("pillow",))
    environment.here.cache_clear()
    monkeypatch.setattr(environment, "_versions", lambda: {"pillow": "1.2.3"})
    elsewhere = record(document(), 1)
    monkeypatch.undo()
    environment.here.cache_clear()
    monkeypatch.setitem(images._FILTERS, "nearest", Image.Resampling.BILINEAR)
    world.register(elsewhere, document())
    await world.begin()
    await world.deploy()
    failed = await world.state(_State.STATE_FAILED)
    assert f"Recorded elsewhere: pillow 1.2.3 → {environment.here()['pillow']}." in failed.failure


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "A parity record is JSON"),
        (b"[" * 100_000, "A parity record is JSON"),
        (b"{}", "record: must have the keys"),
        (json.dumps({"format": "headwater.parity/9"}).encode(), "record: must have the keys"),
    ],
)
async def test_a_record_that_is_none_keeps_the_version_out(world: World, content: bytes, told: str) -> None:
    world.register(content, document())
    await world.begin()
    await world.deploy()
    assert told in (await world.state(_State.STATE_FAILED)).failure


async def test_a_pipeline_that_is_not_that_of_its_digest_is_not_run(world: World) -> None:
    lying = Preprocessing("", recorded(document()).digest, recorded(document("bilinear")).document)
    world.register(record(document(), 1), prepared=lying)
    await world.begin()
    await world.deploy()
    assert "The pipeline recorded with the version is sha256:" in (await world.state(_State.STATE_FAILED)).failure
