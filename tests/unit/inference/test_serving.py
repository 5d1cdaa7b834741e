"""What is loaded follows what is to be served. Models come from memory, as real ONNX files."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from chassis.blobs import LocalBlobs
from chassis.clock import Clock, SystemClock
from headwater import parity
from headwater.inference.v1 import deployments_pb2
from headwater.names import DeploymentName, ModelName
from headwater.tensors import Tensor
from services.inference.batching.options import Batching
from services.inference.cache.cache import Kept
from services.inference.cache.options import Caching
from services.inference.deployments.deployments import Deployments, Origin
from services.inference.deployments.loading import Loading
from services.inference.deployments.memory import MemoryDeployments
from services.inference.deployments.model import Deployment, State, Status
from services.inference.deployments.options import Options
from services.inference.deployments.serving import Serving
from services.inference.deployments.store import DeploymentStore
from services.inference.engines.loader import Bounds, Engines, Isolation
from services.inference.errors import ModelNotFound, ModelNotReady, VersionNotServed
from services.inference.guard.rollback import Rollbacks
from services.inference.guard.standing import MemoryStandings
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.memory import MemoryIncidents
from services.inference.models.cache import ModelCache
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import ModelVersion, Preprocessing, Selector, SelectorKind
from services.inference.records.recording import RecordedTensor, Recording
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

MODEL = ModelName("p", "digits")
PRODUCTION = Selector(SelectorKind.STAGE, "production")
NAME = DeploymentName("p", "digits")


class World:
    """A model source, deployments and what is served of them. One ``beside`` another serves the same in its own way."""

    def __init__(
        self,
        directory: Path,
        clock: Clock | None = None,
        beside: "World | None" = None,
        *,
        engine_timeout_s: float = 30,
        store: DeploymentStore | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self.models: MemoryModels = beside.models if beside else MemoryModels()
        self.standings: MemoryStandings = beside.standings if beside else MemoryStandings()
        self.store: DeploymentStore = beside.store if beside else store or MemoryDeployments(clock)
        self.incidents = IncidentLog(MemoryIncidents(), clock)
        self.rollbacks = Rollbacks(self.standings, self.models, self.incidents, clock)
        self.cache_directory = directory
        cache = ModelCache(self.models, LocalBlobs(directory), max_file_bytes=2**20)
        engines = Engines(Bounds(threads=1), isolation=Isolation.NONE)
        loading = Loading(cache, engines, engine_timeout_s=engine_timeout_s, max_queue_bytes=2**26)
        self.serving = Serving(self.store, self.models, loading, interval_s=0.02, rollbacks=self.rollbacks)
        self.deployments = Deployments(self.store, self.models, clock, self.serving.wake)

    def add(self, factor: float, *, stage: bool = True, by: Preprocessing | None = None) -> ModelVersion:
        """A version that multiplies by ``factor``, in production unless told otherwise."""
        version = self.models.add(MODEL, {"model.onnx": NewFile("onnx", onnx_models.scaled(factor))}, by)
        if stage:
            self.models.point(MODEL, PRODUCTION, version)
        return version

    async def deploy(self, selector: Selector = PRODUCTION, name: DeploymentName = NAME) -> Deployment:
        deployment = await self.deployments.create(name, MODEL, selector, Options(), Origin("tester"))
        await self.follow()
        return deployment

    async def follow(self) -> None:
        """Look for changes and wait for what comes of it."""
        await self.serving.step()
        await self.serving.settle()

    async def status(self) -> Status:
        return self.serving.status(await self.deployments.get(NAME))

    async def factor(self, version: str = "") -> float:
        """What the served version multiplies by."""
        computed = await self.serving.find("digits", version).batcher.compute([np.ones((1, 4), np.float32)])
        return float(computed.outputs[0][0, 0])


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path / "cache")
    yield made
    await made.serving.close()


async def test_a_version_in_production_is_served(world: World) -> None:
    version = world.add(3)
    await world.deploy()

    assert await world.factor() == 3
    assert await world.factor("1") == 3
    assert await world.status() == Status(State.READY, str(version.name), version.digest)


async def test_before_anything_is_in_production_the_deployment_waits(world: World) -> None:
    await world.deploy()
    missing = f"No version of {MODEL} has the stage production."
    assert await world.status() == Status(State.WAITING, waits_for=missing)
    with pytest.raises(ModelNotReady) as refused:
        world.serving.find("digits")
    assert refused.value.retry_after_ms
    assert refused.value.metadata["why"] == missing

    world.add(3)
    await world.follow()
    assert await world.factor() == 3


async def test_a_promotion_is_followed(world: World) -> None:
    """R-23."""
    world.add(3)
    await world.deploy()
    second = world.add(5)
    await world.follow()

    assert await world.factor() == 5
    assert (await world.status()).model_version == str(second.name)
    with pytest.raises(VersionNotServed):
        world.serving.find("digits", "1")


async def test_the_same_model_is_served_by_stage_alias_and_number_at_once(world: World) -> None:
    """R-23."""
    first, second = world.add(3), world.add(5)
    alias = Selector(SelectorKind.ALIAS, "champion")
    world.models.point(MODEL, alias, first)
    await world.deploy(alias, DeploymentName("p", "by-alias"))
    await world.deploy(Selector(SelectorKind.VERSION, "1"), DeploymentName("p", "by-number"))
    await world.deploy()

    served = {each.deployment.served_name: each.loaded for each in world.serving.followers()}
    numbers = {name: loaded.version_number for name, loaded in served.items() if loaded}
    assert numbers == {"by-alias": "1", "by-number": "1", "digits": "2"}
    assert second.name.version == "2"


async def test_a_hot_swap_under_load_loses_no_request(world: World) -> None:
    world.add(3)
    await world.deploy()
    stopping = asyncio.Event()
    answers: list[float] = []

    async def ask() -> None:
        while not stopping.is_set():
            answers.append(await world.factor())

    askers = [asyncio.create_task(ask()) for _ in range(16)]
    for factor in (5, 7, 11):
        await asyncio.sleep(0.05)
        world.add(factor)
        await world.follow()
    await asyncio.sleep(0.05)
    stopping.set()
    await asyncio.gather(*askers)

    assert sorted(set(answers)) == [3, 5, 7, 11]


async def test_while_the_registry_is_away_what_is_loaded_goes_on_answering(world: World) -> None:
    """Promise 11."""
    world.add(3)
    await world.deploy()
    world.models.away = True
    await world.follow()

    assert await world.factor() == 3
    assert (await world.status()).state is State.READY

    world.models.away = False
    world.add(5)
    await world.follow()
    assert await world.factor() == 5


async def test_what_is_taken_out_of_its_stage_is_served_no_longer(world: World) -> None:
    world.add(3)
    await world.deploy()
    world.models.point(MODEL, PRODUCTION, None)
    await world.follow()

    assert (await world.status()).state is State.WAITING
    with pytest.raises(ModelNotReady):
        world.serving.find("digits")


async def test_a_version_that_cannot_be_loaded_leaves_the_older_one_answering(world: World) -> None:
    first = world.add(3)
    await world.deploy()
    pickle = world.models.add(MODEL, {"model.pkl": NewFile("", b"\x80\x04K\x01.")})
    world.models.point(MODEL, PRODUCTION, pickle)
    await world.follow()

    status = await world.status()
    assert status.state is State.FAILED
    assert status.model_version == str(first.name)
    assert "versions/2" in status.failure
    assert "model.pkl" in status.failure
    assert await world.factor() == 3

    world.models.point(MODEL, PRODUCTION, first)
    await world.follow()
    assert (await world.status()).state is State.READY


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            {"weights.safetensors": NewFile("safetensors", b"x")},
            "versions/1: The version must have one file of a format that can be served here (onnx, torch_export, "
            "torchscript, xgboost, lightgbm); it has weights.safetensors (safetensors). Weights alone are served "
            "through engine.architecture.",
        ),
        ({"a.onnx": NewFile("onnx", b"a"), "b.onnx": NewFile("onnx", b"b")}, "it has a.onnx (onnx), b.onnx (onnx)"),
        ({"model.onnx": NewFile("onnx", b"\x80\x04K\x01.")}, "not ONNX"),
        ({"model.onnx": NewFile("onnx", b"\0" * (2**20 + 1))}, "loads files of up to 1048576"),
    ],
)
async def test_why_a_version_cannot_be_served_is_told(world: World, files: dict[str, NewFile], told: str) -> None:
    world.models.point(MODEL, PRODUCTION, world.models.add(MODEL, files))
    await world.deploy()

    status = await world.status()
    assert status.state is State.FAILED
    assert told in status.failure


async def test_a_model_that_hangs_while_it_is_loaded_is_told_of_and_left_alone_for_a_while(tmp_path: Path) -> None:
    """Its parity record takes it longer than a request may: that is not the registry's being away."""
    world = World(tmp_path / "cache", engine_timeout_s=0.1)
    endless, ended = (Tensor(name, "INT64", np.full((1, 1), 2**62)) for name in ("x", "y"))
    record = parity.record([parity.Given(inputs=(endless,), outputs=(ended,))], None)
    files = {
        "model.onnx": NewFile("onnx", onnx_models.counting_loop()),
        parity.PATH: NewFile("", parity.write(record)),
    }
    world.models.point(MODEL, PRODUCTION, world.models.add(MODEL, files))
    await world.deploy()

    status = await world.status()
    assert status.state is State.FAILED
    assert "versions/1: The model took too long on its parity record." in status.failure
    begun = time.monotonic()
    await world.follow()
    assert time.monotonic() - begun < 0.1, "it is not tried again at once"
    await world.serving.close()


async def test_bytes_that_are_not_those_of_the_digest_are_never_loaded(world: World) -> None:
    """Promise 5."""
    version = world.add(3)
    world.models.damage(version.files[0].digest, onnx_models.scaled(4))
    await world.deploy()

    assert (await world.status()).state is State.FAILED
    with pytest.raises(ModelNotReady):
        world.serving.find("digits")


async def test_a_local_copy_with_a_flipped_bit_is_fetched_anew(world: World) -> None:
    """Promise 5."""
    world.add(3)
    other = await world.deploy(name=DeploymentName("p", "other"))
    (copy,) = [path for path in world.cache_directory.rglob("*") if path.is_file()]
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.chmod(0o600)
    copy.write_bytes(content)

    await world.deploy()

    assert await world.factor() == 3
    assert other.served_name == "other"


async def test_copies_of_what_is_served_no_longer_are_removed(world: World) -> None:
    world.add(3)
    await world.deploy()
    world.add(5)
    await world.follow()
    await eventually(lambda: len([path for path in world.cache_directory.rglob("*") if path.is_file()]) == 1)
    assert await world.factor() == 5


async def test_an_archived_deployment_answers_no_longer(world: World) -> None:
    world.add(3)
    deployment = await world.deploy()
    await world.deployments.archive(deployment.name, deployment.etag)
    await world.follow()

    with pytest.raises(ModelNotFound):
        world.serving.find("digits")


async def test_a_change_is_followed_without_waiting_for_the_interval(world: World) -> None:
    async def ready() -> bool:
        return (await world.status()).state is State.READY

    world.add(3)
    running = asyncio.create_task(world.serving.run())
    await world.deployments.create(NAME, MODEL, PRODUCTION, Options(Batching(max_batch_rows=1)), Origin("tester"))
    await eventually(ready)
    assert world.serving.find("digits").batcher.limits.max_batch_rows == 1

    await world.deployments.update(NAME, "", options={"batching": Batching(max_batch_rows=7)})
    await eventually(lambda: world.serving.find("digits").batcher.limits.max_batch_rows == 7)
    running.cancel()


async def test_the_same_files_under_another_number_need_no_other_engine(world: World) -> None:
    world.add(3)
    await world.deploy()
    engine = world.serving.find("digits").batcher
    world.add(3)
    await world.follow()

    assert world.serving.find("digits", "2").batcher is engine


async def test_an_unknown_name_is_not_ready_until_the_deployments_have_been_read(world: World) -> None:
    with pytest.raises(ModelNotReady):
        world.serving.find("digits")
    await world.follow()
    with pytest.raises(ModelNotFound):
        world.serving.find("digits")


async def test_what_is_not_safe_to_load_is_never_loaded(world: World) -> None:
    """Promise 12: whatever served before goes on, and the deployment says why."""
    world.add(3)
    await world.deploy()
    world.models.mark(world.add(5), problems=("model.onnx: it would call os.system",))
    await world.follow()

    assert await world.factor() == 3
    status = await world.status()
    assert status.state is State.FAILED
    assert "os.system" in status.failure


async def test_why_a_version_is_not_served_can_always_be_shown(world: World) -> None:
    """Else who deploys a file of odd names would hide every deployment of the project from who lists them."""
    world.add(3)
    await world.deploy()
    world.models.mark(world.add(5), problems=("model.onnx: it would call \ud800 and \0",))
    await world.follow()
    shown = deployments_pb2.Deployment(failure=(await world.status()).failure)
    assert "it would call ? and \ufffd" in shown.failure


async def test_an_archived_version_that_is_served_goes_on_and_no_other_begins(world: World) -> None:
    """M-06."""
    first = world.add(3)
    await world.deploy()
    world.models.mark(first, archived=True)
    await world.follow()
    assert (await world.factor(), (await world.status()).state) == (3, State.READY)

    second = world.add(5)
    world.models.mark(second, archived=True)
    await world.follow()
    assert (await world.factor(), (await world.status()).state) == (3, State.FAILED)
    world.models.mark(second)
    await world.follow()
    assert (await world.factor(), (await world.status()).state) == (5, State.READY)


async def test_what_is_told_of_a_version_changes_nothing_of_how_its_deployment_is_configured(world: World) -> None:
    """What must not be recorded is not, and what is kept stays, when the version is deprecated meanwhile."""
    version = world.add(3)
    await world.deploy()
    secret = Recording(sample_rate=1, inputs=(RecordedTensor("x", redacted=True),))
    await world.deployments.update(NAME, "", options={"recording": secret, "cache": Caching(enabled=True)})
    await world.follow()
    loaded = world.serving.find("digits")
    kept = Kept([Tensor("y", "FP32", np.ones(4, np.float32))], 1)

    async def compute() -> Kept:
        return kept

    await loaded.cache.answer(lambda: b"asked", compute)
    world.models.mark(version, warning="use version 2")
    await world.follow()
    renewed = world.serving.find("digits")
    assert renewed.version.warning
    assert renewed.served.recording == secret
    assert len(renewed.cache) == 1


async def test_what_is_configured_while_a_version_is_loaded_holds_for_its_first_answer(world: World) -> None:
    world.add(3)
    await world.deployments.create(NAME, MODEL, PRODUCTION, Options(), Origin("tester"))
    await world.serving.step()
    secret = Recording(sample_rate=1, inputs=(RecordedTensor("x", redacted=True),))
    await world.deployments.update(NAME, "", options={"recording": secret, "batching": Batching(max_batch_rows=2)})
    await world.follow()
    loaded = world.serving.find("digits")
    assert loaded.served.recording == secret
    assert loaded.batcher.limits.max_batch_rows == 2


async def test_a_deprecated_version_is_served_with_a_warning(world: World) -> None:
    """M-05."""
    version = world.add(3)
    await world.deploy()
    world.models.mark(version, warning="use version 2")
    await world.follow()
    assert (await world.status()).warning == "use version 2"
    assert await world.factor() == 3


async def test_a_renamed_model_goes_on_being_served_and_followed(world: World) -> None:
    """M-08: the name is for people; another model that takes it over is not served in its place."""
    world.add(2)
    await world.deploy()
    world.models.rename(MODEL, "numbers")
    other = world.models.add(MODEL, {"model.onnx": NewFile("onnx", onnx_models.scaled(7))})
    world.models.point(MODEL, PRODUCTION, other)
    await world.follow()
    assert await world.factor() == 2
    assert (await world.status()).model_version == "projects/p/models/numbers/versions/1"
    await world.follow()
    assert (await world.deployments.get(NAME)).model == ModelName("p", "numbers")
    newer = world.models.add(ModelName("p", "numbers"), {"model.onnx": NewFile("onnx", onnx_models.scaled(3))})
    world.models.point(ModelName("p", "numbers"), PRODUCTION, newer)
    await world.follow()
    assert await world.factor() == 3
