"""A model that hangs, leaks or crashes affects only itself, while the service is under load."""

import asyncio
import collections
import contextlib
import dataclasses
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import pytest_asyncio
from tritonclient.grpc import service_pb2_grpc

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.testing.services import Connect, StartService, TokenFor
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import HeadwaterError, Internal, InvalidArgument, Unavailable
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, engines_pb2, guard_pb2
from headwater.names import ModelName
from services.inference.__main__ import wire
from services.inference.deployments.memory import MemoryDeployments
from services.inference.engines.code import digest_of
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import Selector, SelectorKind
from services.inference.records.memory import MemoryRecords
from services.inference.settings import Settings
from tests.integration.inference.conftest import in_memory
from tests.integration.inference.messages import floats, infer, tensor, texts
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually
from tests.unit.inference.worker.conftest import MODULE, SOURCE

State = deployments_pb2.Deployment.State
ROW = floats(1, 2, 3, 4)
TEXTS = engines_pb2.Engine(
    callable="rogue",
    inputs=[artifact_pb2.TensorSpec(name="x", datatype="BYTES", shape=[-1])],
    outputs=[artifact_pb2.TensorSpec(name="y", datatype="BYTES", shape=[-1])],
)


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """A service whose administrator has registered a function that does as it is told."""

    service: Service
    models: MemoryModels
    headers: dict[str, str]
    stub: Any
    deployments: "deployments_pb2_grpc.DeploymentServiceAsyncStub"

    async def serve(self, name: str, file: NewFile, engine: engines_pb2.Engine | None = None) -> None:
        """Serve a file, and wait until it answers."""
        model = ModelName("default", name)
        self.models.point(model, Selector(SelectorKind.ALIAS, "served"), self.models.add(model, {"model": file}))
        # What the breaker makes of this is another story.
        guard = guard_pb2.Guard(breaker=guard_pb2.CircuitBreaker(disabled=True))
        deployment = deployments_pb2.Deployment(model=str(model), alias="served", engine=engine, guard=guard)
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id=name, deployment=deployment
        )
        await self.deployments.CreateDeployment(request)
        await self.until(name, State.STATE_READY)

    async def get(self, name: str) -> deployments_pb2.Deployment:
        request = deployments_pb2.GetDeploymentRequest(name=f"projects/default/deployments/{name}")
        return await self.deployments.GetDeployment(request)

    async def until(self, name: str, state: int) -> None:
        async def there() -> bool:
            return (await self.get(name)).state == state

        await eventually(there)

    async def compute_by(self, name: str, engine: engines_pb2.Engine) -> None:
        """Change how a deployment is computed."""
        deployment = deployments_pb2.Deployment(name=f"projects/default/deployments/{name}", engine=engine)
        request = deployments_pb2.UpdateDeploymentRequest(deployment=deployment)
        request.update_mask.paths.append("engine")
        await self.deployments.UpdateDeployment(request)

    async def double(self) -> list[bytes]:
        """Ask the innocent model."""
        answer = await self.stub.ModelInfer(infer("double", tensor("x", "FP32", [1, 4]), raw=[ROW]))
        return list(answer.raw_output_contents)

    async def tell(self, code: str) -> str:
        """Let the rogue model execute ``code``; what it leaves in y."""
        answer = await self.stub.ModelInfer(infer("rogue", tensor("x", "BYTES", [1]), raw=[texts(code.encode())]))
        return bytes(answer.raw_output_contents[0][4:]).decode()

    async def is_back(self) -> bool:
        try:
            return await self.tell("y = 1") == "1"
        except Unavailable as error:
            if error.reason != "ENGINE_RESTARTING" or not error.retry_after_ms:
                raise
            return False

    async def metric(self, name: str) -> dict[str, float]:
        """The values of a metric by their labels."""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.service.admin_port}") as http:
            lines = (await http.get("/metrics", headers=self.headers)).text.splitlines()
        found = (line.removeprefix(name).rpartition(" ") for line in lines if line.startswith(f"{name}{{"))
        return {labels: float(value) for labels, _, value in found}


def workers() -> dict[int, psutil.Process]:
    """The worker processes of this process's services."""
    own = psutil.Process().children(recursive=True)
    return {each.pid: each for each in own if "services.inference.engines.worker" in " ".join(each.cmdline())}


@pytest_asyncio.fixture
async def world(
    start_service: StartService, connect: Connect, token_for: TokenFor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    (tmp_path / f"{MODULE}.py").write_text(SOURCE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    models = MemoryModels()

    async def build(settings: Settings) -> Service:
        service = Service("inference", settings, auth=Authenticator.from_settings(settings.auth_key_file))
        wire(service, settings, in_memory(models, MemoryRecords(), MemoryDeployments()))
        return service

    service = await start_service(
        build,
        Settings,
        database_url="",
        redis_url="",
        resolve_interval_s=0.05,
        engine_timeout_s=1,
        engine_memory_bytes=2**28,
        engine_code={"rogue": f"{MODULE}:make@{digest_of(MODULE)}"},
    )
    channel = connect(service.address, Role.ADMIN)
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    headers = {"authorization": f"Bearer {token_for(Role.READER)}"}
    yield World(service, models, headers, stub, deployments_pb2_grpc.DeploymentServiceStub(channel))


@contextlib.asynccontextmanager
async def load(world: World, clients: int = 8) -> AsyncIterator[collections.Counter[str]]:
    """Ask the innocent model all the time; counts how its answers were."""
    counts: collections.Counter[str] = collections.Counter()
    over = asyncio.Event()

    async def ask() -> None:
        while not over.is_set():
            try:
                counts["right" if await world.double() == [floats(2, 4, 6, 8)] else "wrong"] += 1
            except HeadwaterError as error:
                counts[error.reason] += 1
            await asyncio.sleep(0.005)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(ask())
        try:
            yield counts
        finally:
            over.set()


async def test_a_model_that_crashes_hangs_or_leaks_affects_only_itself(world: World) -> None:
    """SIGSEGV, exit, hang and memory without end, each under load for another model, which notices none of it."""
    await world.serve("double", NewFile("onnx", onnx_models.doubling()))
    await world.serve("rogue", NewFile("", b"anything"), TEXTS)
    crimes = {
        "import ctypes; ctypes.string_at(0)": "ENGINE_CRASHED",
        "import os; os._exit(0)": "ENGINE_CRASHED",
        "import time; time.sleep(1000)": "ENGINE_TIMED_OUT",
        "y = bytearray(2**40)": "ENGINE_OUT_OF_MEMORY",
    }
    async with load(world) as counts:
        for crime, reason in crimes.items():
            with pytest.raises(HeadwaterError) as caught:
                await world.tell(crime)
            assert caught.value.reason == reason
            await eventually(world.is_back)
    assert set(counts) == {"right"}
    assert counts["right"] > 50
    restarts = await world.metric("headwater_engine_restarts_total")
    name = 'deployment="projects/default/deployments/rogue"'
    assert restarts == {f'{{{name},reason="ENGINE_CRASHED"}}': 2, f'{{{name},reason="ENGINE_TIMED_OUT"}}': 1}
    labels = f'{{{name},version="1"}}'
    assert (await world.metric("headwater_engine_workers"))[labels] == 1
    assert (await world.metric("headwater_engine_memory_bytes"))[labels] > 2**20
    processor = await world.metric("headwater_engine_cpu_seconds_total")
    assert processor['{deployment="projects/default/deployments/double",version="1"}'] > 0
    sizes = await world.metric("headwater_inference_batch_rows_bucket")
    batches = await world.metric("headwater_inference_batches_total")
    double = 'deployment="projects/default/deployments/double"'
    assert sizes[f'{{{double},le="+Inf",version="1"}}'] == batches[f'{{{double},version="1"}}']
    assert 0 < sizes[f'{{{double},le="1",version="1"}}'] <= sizes[f'{{{double},le="4",version="1"}}']


async def test_a_worker_that_is_killed_under_load_costs_the_requests_in_flight_and_no_other(world: World) -> None:
    """kill -9: they get a clean error, and soon the model answers again, all by itself."""
    before = set(workers())
    await world.serve("double", NewFile("onnx", onnx_models.doubling()))
    (killed,) = [pid for pid, process in workers().items() if pid not in before and not process.children()]
    await world.serve("rogue", NewFile("", b"anything"), TEXTS)
    async with load(world, clients=20) as counts:
        await eventually(lambda: counts["right"] > 20)
        os.kill(killed, signal.SIGKILL)
        assert await world.tell("y = 'here'") == "here"
        await eventually(lambda: not psutil.pid_exists(killed))
        right = counts["right"]
        await eventually(lambda: counts["right"] > right + 50)
    assert set(counts) <= {"right", "ENGINE_CRASHED", "ENGINE_RESTARTING"}
    assert counts.total() - counts["right"] <= 20
    restarts = await world.metric("headwater_engine_restarts_total")
    assert restarts == {'{deployment="projects/default/deployments/double",reason="ENGINE_CRASHED"}': 1}


async def test_no_worker_outlives_the_service(world: World) -> None:
    before = set(workers())
    await world.serve("double", NewFile("onnx", onnx_models.doubling()))
    assert set(workers()) > before
    await world.service.stop()
    assert not set(workers()) - before


async def test_several_instances_compute_at_the_same_time_and_die_one_by_one(world: World) -> None:
    both = engines_pb2.Engine()
    both.CopyFrom(TEXTS)
    both.instances = 2
    before = set(workers())
    await world.serve("rogue", NewFile("", b"anything"), both)
    assert len([pid for pid, process in workers().items() if pid not in before and not process.children()]) == 2
    await world.serve("double", NewFile("onnx", onnx_models.doubling()))
    slow = asyncio.create_task(world.tell("import os, time; time.sleep(0.3); y = os.getpid()"))
    await asyncio.sleep(0.1)
    assert await world.tell("import os; y = os.getpid()") != await slow
    with pytest.raises(Internal):
        await world.tell("import os; os._exit(1)")
    assert (await world.get("rogue")).state == State.STATE_READY
    assert (await world.get("rogue")).engine.instances == 2


async def test_how_a_model_is_computed_can_change_and_what_cannot_be_leaves_the_old_engine(world: World) -> None:
    before = set(workers())
    await world.serve("double", NewFile("onnx", onnx_models.doubling()))
    first = [pid for pid in workers() if pid not in before]
    async with load(world) as counts:
        await world.compute_by("double", engines_pb2.Engine(threads=1))
        await eventually(lambda: any(not psutil.pid_exists(pid) for pid in first))
        await world.compute_by("double", engines_pb2.Engine(device="cuda"))
        await world.until("double", State.STATE_FAILED)
        assert "installed without CUDA" in (await world.get("double")).failure
        await world.compute_by("double", engines_pb2.Engine(autocast=engines_pb2.Engine.AUTOCAST_BF16))
        await eventually(lambda: _tells(world, "know no autocast"))
        await world.compute_by("double", engines_pb2.Engine(threads=1))
        await world.until("double", State.STATE_READY)
    assert set(counts) == {"right"}


async def _tells(world: World, words: str) -> bool:
    return words in (await world.get("double")).failure


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (engines_pb2.Engine(device="tpu"), "device"),
        (engines_pb2.Engine(instances=65), "instances"),
        (engines_pb2.Engine(architecture="mlp", callable="rogue"), "not both"),
        (engines_pb2.Engine(callable="../etc/passwd"), "registered name"),
        (engines_pb2.Engine(outputs=TEXTS.outputs), "together with inputs"),
        (engines_pb2.Engine(inputs=[artifact_pb2.TensorSpec(name="x", datatype="COMPLEX")]), "datatype"),
        (engines_pb2.Engine(inputs=[artifact_pb2.TensorSpec(name="x", datatype="FP32", shape=[-2])]), "at least 0"),
        (engines_pb2.Engine(inputs=[*TEXTS.inputs, *TEXTS.inputs]), "a name of its own"),
        (engines_pb2.Engine(inputs=[artifact_pb2.TensorSpec(datatype="FP32", begin_offset=1)]), "offset"),
    ],
)
async def test_options_that_no_engine_could_follow_are_refused_at_once(
    world: World, engine: engines_pb2.Engine, words: str
) -> None:
    deployment = deployments_pb2.Deployment(model="projects/default/models/m", alias="served", engine=engine)
    request = deployments_pb2.CreateDeploymentRequest(
        parent="projects/default", deployment_id="odd", deployment=deployment
    )
    with pytest.raises(InvalidArgument) as caught:
        await world.deployments.CreateDeployment(request)
    assert words in f"{caught.value.message} {caught.value.violations}"


async def test_only_what_an_administrator_registered_runs(world: World) -> None:
    """Promise 12: a model, whatever is in its file, brings no code."""
    await world.serve("double", NewFile("onnx", onnx_models.doubling()))
    model = ModelName("default", "unknown")
    world.models.point(model, Selector(SelectorKind.ALIAS, "served"), world.models.add(model, {"m": NewFile("", b"")}))
    engine = engines_pb2.Engine(callable="os.system", inputs=TEXTS.inputs, outputs=TEXTS.outputs)
    deployment = deployments_pb2.Deployment(model=str(model), alias="served", engine=engine)
    await world.deployments.CreateDeployment(
        deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id="unknown", deployment=deployment
        )
    )
    await world.until("unknown", State.STATE_FAILED)
    assert "No callable os.system is registered" in (await world.get("unknown")).failure
    assert np.frombuffer((await world.double())[0], "<f4").tolist() == [2, 4, 6, 8]
