"""Whose what was learned of first requests is. Real engines; what was answered is told as the recorder tells it."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import numpy as np
import pytest_asyncio

from chassis.testing.clock import ManualClock
from services.inference.deployments.deployments import Origin
from services.inference.deployments.options import Options
from services.inference.drift.baselines import Baselines
from services.inference.drift.monitor import Monitor, Trackers
from services.inference.drift.options import Drift
from services.inference.drift.profiles import MemoryProfiles
from services.inference.drift.reference import Reference
from services.inference.drift.store import Learned, MemoryReferences
from services.inference.records.model import Answered
from services.inference.tensors.model import Tensor
from tests.unit.inference.test_serving import MODEL, NAME, PRODUCTION, World

ROWS = 4
WATCHED = Options(drift=Drift(enabled=True, first_rows=ROWS, features=("x[0]",)))


class Watching:
    """A deployment whose drift is watched, and who asks it."""

    def __init__(self, world: World, clock: ManualClock) -> None:
        self.world = world
        self.clock = clock
        self.references = MemoryReferences()
        self.trackers = Trackers()
        baselines = Baselines(MemoryProfiles({}))
        self.monitor = Monitor(
            world.serving, world.incidents, baselines, self.references, self.trackers, clock, interval_s=1
        )

    async def deploy(self) -> str:
        """The uid of the deployment."""
        made = await self.world.deployments.create(NAME, MODEL, PRODUCTION, WATCHED, Origin("tester"))
        await self.follow()
        return made.uid

    async def follow(self) -> None:
        await self.world.follow()
        await self.monitor.step()

    async def ask(self, value: float) -> None:
        """As many rows as are learned of."""
        served = self.world.serving.find(NAME.deployment).served
        rows = (Tensor("x", "FP32", np.full((ROWS, 4), value, np.float32)),)
        self.trackers([Answered("r", served, "", "", self.clock.now(), 0.1, ROWS, ROWS, rows, ())])
        await self.monitor.step()

    async def learned(self, uid: str, number: int) -> Mapping[str, Reference]:
        """What is kept of a version of the model, which goes by its uid."""
        model_uid = (await self.world.models.resolve(MODEL, PRODUCTION)).model_uid
        version = f"projects/{MODEL.project}/models/{model_uid}/versions/{number}"
        return await self.references.get(Learned(uid, version, ROWS))


@pytest_asyncio.fixture
async def watching(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Watching]:
    world = World(tmp_path / "cache", clock)
    world.add(3)
    yield Watching(world, clock)
    await world.serving.close()


async def test_two_versions_of_the_same_files_learn_each_for_themselves(watching: Watching) -> None:
    """M-105: the other one is asked something else, behind another pipeline for one."""
    uid = await watching.deploy()
    await watching.ask(1.0)
    first = await watching.learned(uid, 1)
    assert list(first) == ["x[0]"]

    same = watching.world.add(3)
    assert same.digest == (await watching.world.models.resolve(MODEL, PRODUCTION)).digest
    await watching.follow()
    assert await watching.learned(uid, 2) == {}
    await watching.ask(100.0)
    second = await watching.learned(uid, 2)
    assert list(second) == ["x[0]"]
    assert second != first == await watching.learned(uid, 1)


async def test_what_was_learned_of_a_version_is_found_when_its_model_is_renamed(watching: Watching) -> None:
    uid = await watching.deploy()
    await watching.ask(1.0)
    kept = await watching.learned(uid, 1)
    watching.world.models.rename(MODEL, "numerals")
    for _ in range(2):
        await watching.follow()
    await watching.ask(100.0)

    (of,) = watching.references._kept
    assert await watching.references.get(of) == kept
    watched = watching.monitor.watched(watching.world.serving.find(NAME.deployment))
    assert watched is not None
    assert (watched.learning, watched.rows > 0) == ((), True)


async def test_a_deployment_that_is_made_anew_under_the_same_name_learns_anew(
    watching: Watching, clock: ManualClock
) -> None:
    """Though nobody has looked between the two."""
    first = await watching.deploy()
    await watching.ask(1.0)
    await watching.world.deployments.archive(NAME, "")
    clock.advance(1)
    second = await watching.deploy()
    await watching.ask(100.0)

    assert second != first
    assert list(await watching.learned(second, 1)) == ["x[0]"]
    assert await watching.learned(second, 1) != await watching.learned(first, 1)
