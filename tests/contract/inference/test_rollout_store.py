"""What both stores of rollouts promise."""

import dataclasses
import datetime

import pytest
from sqlalchemy import select

from chassis.db.engine import Database
from chassis.ids import new_id
from headwater.names import DeploymentName, RolloutName
from services.inference.deployments.postgres import PostgresDeployments
from services.inference.deployments.store import DeploymentStore
from services.inference.kept import OfLaterRelease
from services.inference.traffic.rollouts.errors import RolloutActive, RolloutNotFound
from services.inference.traffic.rollouts.model import Event, Evidence, Kind, Objectives, Plan, Rollout, State, Step
from services.inference.traffic.rollouts.store import Active
from services.inference.traffic.rollouts.tables import rollouts

NOW = datetime.datetime(2026, 1, 1, 12, 30, 15, 250_000, tzinfo=datetime.UTC)


def rollout(deployment_uid: str = "", name: str = "digits") -> Rollout:
    evidence = Evidence(100, 2, {"ENGINE_FAILED": 2}, 12.5, 50, 49, None)
    events = (
        Event(Kind.STARTED, NOW, 0, 1.5, "tester"),
        Event(Kind.ADVANCED, NOW, 1, 50, reason="it went well", evidence=evidence),
    )
    plan = Plan("2", (Step(1.5, 100, 60), Step(50, 10, 0.5)), Objectives(0.01, None, 0.9), 25)
    uid = deployment_uid or new_id()
    return Rollout(new_id(), DeploymentName("p", name), uid, plan, State.RUNNING, 1, NOW, NOW, NOW, "tester", events)


async def insert(store: DeploymentStore, *rollouts: Rollout) -> None:
    async with store.transaction() as tx:
        for each in rollouts:
            await tx.rollouts.insert(each)


async def test_a_rollout_comes_back_as_it_was_put_in(store: DeploymentStore) -> None:
    """M-104: with the evidence of its steps."""
    new = rollout()
    await insert(store, new)
    async with store.transaction() as tx:
        assert await tx.rollouts.get(new.name) == new
        assert await tx.rollouts.active() == Active((new,))
        assert await tx.rollouts.active_of(new.deployment_uid) == new
        assert await tx.rollouts.active_of(new_id()) is None


async def test_two_versions_are_not_rolled_out_to_one_deployment_at_once(store: DeploymentStore) -> None:
    first = rollout()
    await insert(store, first)
    with pytest.raises(RolloutActive):
        await insert(store, rollout(first.deployment_uid))
    async with store.transaction() as tx:
        assert await tx.rollouts.replace(first.moved(Kind.ABORTED, State.ABORTED, NOW, actor="tester"))
    second = rollout(first.deployment_uid)
    await insert(store, second)
    async with store.transaction() as tx:
        assert await tx.rollouts.active() == Active((second,))


async def test_of_two_who_change_it_at_once_the_first_wins(store: DeploymentStore) -> None:
    """Habit 9: replicas decide for themselves, and one of them counts."""
    new = rollout()
    await insert(store, new)
    async with store.transaction() as tx:
        assert await tx.rollouts.replace(new.moved(Kind.PAUSED, State.PAUSED, NOW, actor="first"))
    async with store.transaction() as tx:
        assert not await tx.rollouts.replace(new.moved(Kind.ADVANCED, State.RUNNING, NOW, step=1))
    async with store.transaction() as tx:
        kept = await tx.rollouts.get(new.name)
    assert (kept.state, kept.events[-1].actor, kept.revision) == (State.PAUSED, "first", 2)


async def test_rollouts_are_listed_newest_first(store: DeploymentStore) -> None:
    rollouts = [dataclasses.replace(rollout(), state=State.SUCCEEDED) for _ in range(3)]
    await insert(store, *rollouts, rollout(name="other"))
    async with store.transaction() as tx:
        newest = await tx.rollouts.page(DeploymentName("p", "digits"), "", 2)
        older = await tx.rollouts.page(DeploymentName("p", "digits"), newest[-1].uid, 2)
    assert [each.uid for each in [*newest, *older]] == [each.uid for each in reversed(rollouts)]


async def test_one_that_never_was_is_not_found(store: DeploymentStore) -> None:
    new = rollout()
    await insert(store, new)
    for name in (RolloutName("p", "digits", "x"), RolloutName("p", "other", new.uid)):
        async with store.transaction() as tx:
            with pytest.raises(RolloutNotFound):
                await tx.rollouts.get(name)


async def test_time_is_the_stores_and_what_fails_changes_nothing(store: DeploymentStore) -> None:
    new = rollout()

    async def fail() -> None:
        async with store.transaction() as tx:
            await tx.rollouts.insert(new)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with store.transaction() as tx:
        assert await tx.rollouts.active() == Active()
        now = await tx.rollouts.now()
    assert abs(now - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(minutes=1)


async def test_a_replica_of_an_older_release_keeps_what_a_later_one_has_planned(postgres_url: str) -> None:
    """Promise 17: it only takes the next step."""
    database = Database(postgres_url, "inference", 2)
    store, new = PostgresDeployments(database), rollout(name="of-two-releases")
    await insert(store, new)
    this = rollouts.c.uid == new.uid
    async with database.transaction() as connection:
        kept = (await connection.execute(select(rollouts.c.rollout).where(this))).scalar_one()
        kept["plan"]["objectives"]["later"] = 0.5
        kept["events"][1]["evidence"]["later"] = 7
        await connection.execute(rollouts.update().where(this).values(rollout=kept))
    async with store.transaction() as tx:
        assert await tx.rollouts.replace(new.moved(Kind.PAUSED, State.PAUSED, NOW))
    async with database.transaction() as connection:
        found = (await connection.execute(select(rollouts.c.rollout).where(this))).scalar_one()
    await database.close()
    assert found["plan"] == kept["plan"]
    assert found["events"][:2] == kept["events"]
    assert found["state"] == "paused"


async def test_a_rollout_that_only_a_later_release_understands_hides_no_other(postgres_url: str) -> None:
    """Promise 17."""
    database = Database(postgres_url, "inference", 2)
    store, odd, usual = PostgresDeployments(database), rollout(name="of-later"), rollout(name="of-this")
    await insert(store, odd, usual)
    this = rollouts.c.uid == odd.uid
    async with database.transaction() as connection:
        kept = (await connection.execute(select(rollouts.c.rollout).where(this))).scalar_one()
        await connection.execute(rollouts.update().where(this).values(rollout={**kept, "state": "baking"}))
    async with store.transaction() as tx:
        active = await tx.rollouts.active()
        with pytest.raises(OfLaterRelease) as refused:
            await tx.rollouts.get(odd.name)
    async with database.transaction() as connection:  # of nobody's concern after this test
        found = (await connection.execute(select(rollouts.c.rollout).where(this))).scalar_one()
        await connection.execute(rollouts.delete().where(rollouts.c.uid.in_([odd.uid, usual.uid])))
    await database.close()
    assert usual in active.rollouts
    assert active.of_later_release == (odd.name,)
    assert refused.value.metadata["at"] == "state"
    assert found["state"] == "baking"
