"""Rollouts in both stores: what comes between their steps, and what a later release has made of one of them."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from chassis.clock import SystemClock
from chassis.db.engine import Database
from chassis.ids import new_id
from headwater.errors import Aborted
from headwater.names import DeploymentName, ModelName
from services.inference.deployments.deployments import Deployments, Origin
from services.inference.deployments.options import Options
from services.inference.deployments.postgres import PostgresDeployments
from services.inference.deployments.store import DeploymentStore
from services.inference.models.memory import MemoryModels
from services.inference.models.source import ModelVersion, NoSuchVersion, Selector, SelectorKind
from services.inference.traffic.metrics import TrafficCollector
from services.inference.traffic.rollouts.model import Objectives, Plan, Step
from services.inference.traffic.rollouts.rollouts import Rollouts
from services.inference.traffic.rollouts.tables import rollouts as rollouts_table
from tests.unit.inference.test_serving import MODEL, World

FIRST, SECOND = (Selector(SelectorKind.VERSION, number) for number in "12")
PLAN = Plan("", (Step(50, 0, 60),), Objectives())
TESTER = Origin("tester")


@pytest.fixture
def name() -> DeploymentName:
    return DeploymentName("p", f"d{new_id()[-12:]}")


class Interrupted(MemoryModels):
    """Models of which every look-up takes as long as it takes somebody else to do something."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Callable[[], Awaitable[object]]] = []

    async def resolve(self, model: ModelName, selector: Selector) -> ModelVersion:
        found = await super().resolve(model, selector)
        if self.meanwhile:
            await self.meanwhile.pop(0)()
        return found


@pytest.fixture
def models() -> Interrupted:
    """Two models: ``two`` has two versions, ``one`` has one."""
    made = Interrupted()
    for model in ("two", "two", "one"):
        made.add(ModelName("p", model), {})
    return made


async def test_a_deployment_that_is_made_anew_meanwhile_does_not_get_the_rollout_of_the_other(
    store: DeploymentStore, models: Interrupted, name: DeploymentName
) -> None:
    deployments = Deployments(store, models, SystemClock(), lambda: None)
    rollouts = Rollouts(store, models, lambda: None)
    await deployments.create(name, ModelName("p", "two"), FIRST, Options(), TESTER)

    async def make_anew(model: str) -> None:
        await deployments.archive(name, "")
        await deployments.create(name, ModelName("p", model), FIRST, Options(), TESTER)

    models.meanwhile = [lambda: make_anew("one")]
    with pytest.raises(NoSuchVersion, match="version 2 of projects/p/models/one"):
        await rollouts.start(name, SECOND, PLAN, TESTER)
    assert (await rollouts.page(name, 10, "")).items == []

    await make_anew("two")
    models.meanwhile = [lambda: make_anew("two")]
    started = await rollouts.start(name, SECOND, PLAN, TESTER)
    assert started.deployment_uid == (await deployments.get(name)).uid
    await deployments.archive(name, "")


async def test_a_deployment_that_changes_again_and_again_gets_no_rollout(
    store: DeploymentStore, models: Interrupted, name: DeploymentName
) -> None:
    deployments = Deployments(store, models, SystemClock(), lambda: None)
    rollouts = Rollouts(store, models, lambda: None)
    await deployments.create(name, ModelName("p", "two"), FIRST, Options(), TESTER)

    async def change() -> None:
        current = await deployments.get(name)
        await deployments.update(name, "", options={"unloaded": not current.options.unloaded})

    models.meanwhile = [change] * 10
    with pytest.raises(Aborted, match="keeps changing"):
        await rollouts.start(name, SECOND, PLAN, TESTER)
    assert (await rollouts.page(name, 10, "")).items == []
    models.meanwhile = [change]
    assert await rollouts.start(name, SECOND, PLAN, TESTER)
    await deployments.archive(name, "")


async def test_a_rollout_that_only_a_later_release_understands_stops_no_deployment(
    postgres_url: str, tmp_path: Path
) -> None:
    """Promise 17: it is left alone, told of once in the log, and shown in the metrics; all others go on."""
    database = Database(postgres_url, "inference", 4)
    store = PostgresDeployments(database)
    world = World(tmp_path / "cache", store=store)
    world.add(3)
    world.add(5, stage=False)
    odd, usual = (DeploymentName("p", f"d{new_id()[-12:]}") for _ in range(2))
    rollouts = Rollouts(store, world.models, lambda: None)
    for name in (odd, usual):
        await world.deployments.create(name, MODEL, FIRST, Options(), TESTER)
    left_alone = await rollouts.start(odd, SECOND, PLAN, TESTER)
    this = rollouts_table.c.uid == left_alone.uid
    async with database.transaction() as connection:
        kept = (await connection.execute(select(rollouts_table.c.rollout).where(this))).scalar_one()
        later = {**kept, "state": "baking"}
        await connection.execute(rollouts_table.update().where(this).values(rollout=later))
    await rollouts.start(usual, SECOND, PLAN, TESTER)

    with capture_logs() as logs:
        for _ in range(3):
            await world.follow()

    versions = {
        name: [each.version_number for each in world.serving.follower(name.deployment).versions()]
        for name in (odd, usual)
    }
    shown = [
        metric for metric in TrafficCollector(world.serving).collect() if metric.name == "headwater_rollouts_left_alone"
    ]
    await world.serving.close()
    async with database.transaction() as connection:
        found = (await connection.execute(select(rollouts_table.c.rollout).where(this))).scalar_one()
        await connection.execute(rollouts_table.delete().where(this))
    for name in (odd, usual):
        await world.deployments.archive(name, "")
    await database.close()

    assert (versions[odd], sorted(versions[usual])) == (["1"], ["1", "2"])
    told = [each["rollout"] for each in logs if "only a later release" in each["event"]]
    assert told == [str(left_alone.name)]
    assert [(sample.labels, sample.value) for sample in shown[0].samples] == [
        ({"deployment": str(odd), "rollout": left_alone.uid}, 1)
    ]
    assert found == later
