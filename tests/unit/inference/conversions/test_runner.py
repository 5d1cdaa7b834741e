"""What works on jobs: whatever their processes do, and whoever ends in the middle."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.blobs import LocalBlobs
from chassis.ids import new_id
from headwater.errors import Unavailable
from headwater.names import ModelName, ModelVersionName
from services.inference.conversions.memory import MemoryConversions
from services.inference.conversions.model import Conversion, Job, Plan, State, Target
from services.inference.conversions.publishing import MemoryPublisher, NewVersion
from services.inference.conversions.runner import Runner, Timing
from services.inference.conversions.workshop import Bounds, Report, Work, Workshop
from services.inference.models.cache import ModelCache
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import Selector, SelectorKind
from tests.unit.inference.waiting import eventually

MODEL = ModelName("p", "digits")
MISBEHAVING = "tests.unit.inference.conversions.misbehaving"
QUICK = Timing(poll_s=0.02, lease_s=20.0, pause_s=0.05)


class Place:
    """A runner, and everything around it in memory."""

    def __init__(self, workshop: "CountingWorkshop", blobs: LocalBlobs) -> None:
        self.models = MemoryModels()
        self.store = MemoryConversions()
        self.publisher = FlakyPublisher(self.models)
        self.workshop = workshop
        self._cache = ModelCache(self.models, blobs, max_file_bytes=1 << 30)

    def runner(self, timing: Timing = QUICK) -> Runner:
        return Runner(self.store, self.models, self._cache, self.publisher, self.workshop, timing)

    @contextlib.asynccontextmanager
    async def running(self, timing: Timing = QUICK) -> AsyncIterator[None]:
        task = asyncio.create_task(self.runner(timing).run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def ask(self, what: str, timeout_s: float = 0.0) -> Job:
        version = self.models.add(MODEL, {"model.onnx": NewFile("onnx", what.encode())})
        plan = Plan(version.name, Conversion(Target.ONNX), timeout_s=timeout_s)
        return await self.store.insert(new_id(), plan, "tester", "", "")

    async def ended(self, job: Job) -> Job:
        await self.until(job, lambda found: found.state.over)
        return await self.store.get(job.name)

    async def until(self, job: Job, holds: Callable[[Job], bool]) -> None:
        async def reached() -> bool:
            return holds(await self.store.get(job.name))

        await eventually(reached, 30)

    async def versions(self) -> int:
        count = 0
        with contextlib.suppress(Exception):
            while await self.models.resolve(MODEL, Selector(SelectorKind.VERSION, str(count + 1))):
                count += 1
        return count


class FlakyPublisher(MemoryPublisher):
    """One whose answer gets lost as often as ``losing`` says."""

    losing = 0

    async def publish(self, new: NewVersion) -> ModelVersionName:
        name = await super().publish(new)
        if self.losing:
            self.losing -= 1
            raise Unavailable("The answer was lost.")
        return name


class CountingWorkshop(Workshop):
    """How often it has worked."""

    worked = 0

    async def work(self, work: Work, file: object) -> Report:
        self.worked += 1
        return await super().work(work, file)  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    workshop = CountingWorkshop(Bounds(1 << 28, 20.0, 1), {}, MISBEHAVING)
    yield Place(workshop, LocalBlobs(tmp_path))
    await workshop.close()


async def test_whatever_its_process_does_a_job_ends_once_and_the_next_one_is_done(place: Place) -> None:
    """Promises 6 and 12, row M-100: a crash, a leak, a hang and nonsense are failures with a reason."""
    wanted = {
        "crash": ("ENGINE_CRASHED", "SIGABRT"),
        "leak": ("ENGINE_OUT_OF_MEMORY", ""),
        "nonsense": ("ENGINE_FAILED", "cannot be read"),
        "fail": ("ENGINE_FAILED", "by zero"),
        "hang": ("ENGINE_TIMED_OUT", "0.2 s"),
    }
    async with place.running():
        jobs = {what: await place.ask(what, 0.2 if what == "hang" else 0.0) for what in wanted}
        good = await place.ask("a model")
        for what, (reason, words) in wanted.items():
            failed = await place.ended(jobs[what])
            assert (failed.state, failed.failure_reason, failed.result) == (State.FAILED, reason, "")
            assert words in failed.failure
        done = await place.ended(good)
    assert (done.state, done.attempts, done.failure) == (State.SUCCEEDED, 1, "")
    made = ModelVersionName.parse(done.result)
    assert made.version == str(len(wanted) + 2)
    assert place.publisher.metadata[made]["converted_from"] == str(good.plan.source)
    assert place.publisher.metadata[made]["tolerance"] == "1e-05 + 0.001 × |expected|"


async def test_a_job_that_is_cancelled_ends_its_process(place: Place) -> None:
    async with place.running():
        job = await place.ask("hang")
        await place.until(job, lambda found: found.state is State.RUNNING)
        await place.store.cancel(job.name)
        assert (await place.ended(await place.ask("a model"))).state is State.SUCCEEDED
    assert (await place.store.get(job.name)).state is State.CANCELLED


async def test_a_job_survives_the_service(place: Place) -> None:
    """A stop gives it back at once; after a kill it is taken over when the lease has run out."""
    job = await place.ask("hang")
    async with place.running():
        await place.until(job, lambda found: found.state is State.RUNNING)
    stopped = await place.store.get(job.name)
    assert (stopped.state, stopped.attempts) == (State.PENDING, 0)
    killed = await place.store.claim(0.05)
    assert killed is not None
    async with place.running():
        await place.until(job, lambda found: found.attempts == 2)
        assert not await place.store.renew(job.uid, killed.token, 1.0)


async def test_a_version_is_registered_once_whatever_gets_lost(place: Place) -> None:
    """Promise 4: the same bytes are registered again under the same id, and not made anew."""
    place.publisher.losing = 2
    async with place.running():
        done = await place.ended(await place.ask("a model"))
    assert (done.state, done.result.rpartition("/")[2]) == (State.SUCCEEDED, "2")
    assert await place.versions() == 2
    assert place.workshop.worked == 1


async def test_while_the_registry_is_away_a_job_waits(place: Place) -> None:
    job = await place.ask("a model")
    place.models.away = True
    async with place.running():
        await place.until(job, lambda found: found.state is State.RUNNING)
        await asyncio.sleep(0.1)
        assert not (await place.store.get(job.name)).state.over
        place.models.away = False
        assert (await place.ended(job)).state is State.SUCCEEDED


@pytest.mark.parametrize("fact", ["problems", "archived"])
async def test_a_version_that_may_not_be_used_is_not_loaded(place: Place, fact: str) -> None:
    """Promise 12: also where it was found out after the job was asked for."""
    job = await place.ask("a model")
    version = await place.models.resolve(MODEL, Selector(SelectorKind.VERSION, "1"))
    place.models.mark(version, **{fact: ("a pickle",) if fact == "problems" else True})  # type: ignore[arg-type]
    async with place.running():
        ended = await place.ended(job)
    assert ended.failure_reason in ("UNSAFE_MODEL", "MODEL_VERSION_ARCHIVED")
    assert place.workshop.worked == 0
