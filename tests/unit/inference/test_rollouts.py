"""Rollouts step by step. Real engines; the store's time moves as the test says."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.testing.clock import ManualClock
from headwater.errors import Unavailable
from headwater.inference.v1 import rollouts_pb2
from headwater.names import DeploymentName
from services.inference.deployments.deployments import Origin
from services.inference.deployments.loaded import Loaded
from services.inference.guard.guard import Guard
from services.inference.models.source import Selector, SelectorKind
from services.inference.traffic.rollouts.driver import Driver
from services.inference.traffic.rollouts.model import Objectives, Plan, Rollout, State, Step
from services.inference.traffic.rollouts.rollouts import Rollouts
from services.inference.traffic.rollouts.servicer import RolloutServicer
from tests.unit.inference.test_serving import NAME, World

SECOND = Selector(SelectorKind.VERSION, "2")
PLAN = Plan("", (Step(50, 0, 60),), Objectives())
OTHER = DeploymentName("p", "other")


@pytest_asyncio.fixture
async def world(tmp_path: Path, clock: ManualClock) -> AsyncIterator[World]:
    """Version 1 is served by two deployments, version 2 is to take over."""
    made = World(tmp_path / "cache", clock)
    made.add(3)
    made.add(5, stage=False)
    await made.deploy()
    await made.deploy(name=OTHER)
    yield made
    await made.serving.close()


class Driven:
    """The driver of a world's rollouts. What is looked at of ``faulty`` fails with ``error``."""

    def __init__(self, world: World, clock: ManualClock) -> None:
        self.world = world
        self.rollouts = Rollouts(world.store, world.models, world.serving.wake)
        self.faulty: DeploymentName | None = None
        self.error: Exception = Unavailable()
        guard = Guard(world.incidents, clock)
        self.driver = Driver(world.store, world.serving, self.rollouts, guard, interval_s=1, doubts=[self._doubt])

    def _doubt(self, loaded: Loaded) -> str:
        if loaded.deployment.name == self.faulty:
            raise self.error
        return ""

    async def start(self, name: DeploymentName = NAME) -> Rollout:
        started = await self.rollouts.start(name, SECOND, PLAN, Origin("tester"))
        await self.world.follow()
        return started


@pytest.fixture
def driven(world: World, clock: ManualClock) -> Driven:
    return Driven(world, clock)


async def test_what_a_step_waits_for_is_told_by_the_stores_clock(driven: Driven, clock: ManualClock) -> None:
    """The machine's own is months away from it here, and may be seconds away elsewhere."""
    started = await driven.start()
    servicer = RolloutServicer(driven.rollouts, driven.driver)
    wanted = rollouts_pb2.GetRolloutRequest(name=str(started.name))
    listed = rollouts_pb2.ListRolloutsRequest(parent=str(NAME))
    for passed, left in ((0, "60 s"), (20, "40 s"), (39, "1 s"), (1, "")):
        clock.advance(passed)
        assert (await servicer.GetRollout(wanted, None)).waits_for == left
        assert [each.waits_for for each in (await servicer.ListRollouts(listed, None)).rollouts] == [left]
    await driven.driver.step()
    done = await servicer.GetRollout(wanted, None)
    assert (done.state, done.waits_for) == (rollouts_pb2.Rollout.STATE_SUCCEEDED, "")
    assert done.update_time.ToDatetime(clock.now().tzinfo) == clock.now()


@pytest.mark.parametrize("error", [Unavailable(), ZeroDivisionError()])
@pytest.mark.parametrize("faulty", [NAME, OTHER])
async def test_what_hinders_one_rollout_holds_up_no_other(
    driven: Driven, clock: ManualClock, error: Exception, faulty: DeploymentName
) -> None:
    """Whichever of them is looked at first; and it goes on once nothing hinders it any more."""
    started = {name: await driven.start(name) for name in (NAME, OTHER)}
    driven.faulty, driven.error = faulty, error
    clock.advance(61)
    await driven.driver.step()
    states = {name: (await driven.rollouts.get(each.name)).state for name, each in started.items()}
    assert states == {NAME: State.SUCCEEDED, OTHER: State.SUCCEEDED} | {faulty: State.RUNNING}

    driven.faulty = None
    await driven.driver.step()
    assert (await driven.rollouts.get(started[faulty].name)).state is State.SUCCEEDED
