"""What both stores of deployments promise."""

import dataclasses
import datetime

import pytest
from sqlalchemy import select

from chassis.db.engine import Database
from chassis.db.requests import RequestIdReused
from chassis.ids import new_id
from headwater.names import DeploymentName, ModelName, ModelVersionName
from services.inference.batching.options import Batching
from services.inference.deployments.errors import DeploymentNotFound, ServedNameTaken
from services.inference.deployments.model import Deployment, Use
from services.inference.deployments.options import Options
from services.inference.deployments.postgres import PostgresDeployments
from services.inference.deployments.store import DeploymentStore
from services.inference.kept import OfLaterRelease
from services.inference.models.source import Selector, SelectorKind
from services.inference.tables import deployments

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(days=1)


def deployment(name: str = "digits", project: str = "p") -> Deployment:
    return Deployment(
        DeploymentName(project, name),
        new_id(),
        ModelName(project, "model"),
        Selector(SelectorKind.ALIAS, "champion"),
        Options(Batching(8, 16)),
        NOW,
        LATER,
        "tester",
    )


async def insert(store: DeploymentStore, *deployments: Deployment) -> None:
    async with store.transaction() as tx:
        for each in deployments:
            await tx.insert(each)


async def test_a_deployment_comes_back_as_it_was_put_in(store: DeploymentStore) -> None:
    new = deployment()
    await insert(store, new)
    async with store.transaction() as tx:
        assert await tx.get(new.name) == new
        assert await tx.get_by_uid(new.uid) == new
        assert await tx.get(new.name, for_update=True) == new


@pytest.mark.parametrize(("name", "project"), [("digits", "p"), ("DIGITS", "p"), ("digits", "q")])
async def test_a_served_name_is_taken(store: DeploymentStore, name: str, project: str) -> None:
    first = deployment()
    await insert(store, first)
    with pytest.raises(ServedNameTaken):
        await insert(store, deployment(name, project))
    async with store.transaction() as tx:
        assert list(await tx.all_served()) == [first]


async def test_archiving_frees_the_name(store: DeploymentStore) -> None:
    first, second = deployment(), deployment()
    await insert(store, first)
    archived = dataclasses.replace(first, archive_time=LATER, revision=2)
    async with store.transaction() as tx:
        await tx.replace(archived)
        assert await tx.get(first.name) == archived
        assert not await tx.all_served()

    await insert(store, second)
    async with store.transaction() as tx:
        assert await tx.get(first.name) == second
        assert await tx.get_by_uid(first.uid) == archived
        assert list(await tx.page("p", "", 10)) == [second]


async def test_of_several_archived_the_last_one_is_known(store: DeploymentStore) -> None:
    times = [NOW, LATER, NOW + datetime.timedelta(hours=1)]
    archived = [dataclasses.replace(deployment(), archive_time=time) for time in times]
    await insert(store, *archived)
    async with store.transaction() as tx:
        assert await tx.get(archived[0].name) == archived[1]


async def test_pages_are_by_name_and_of_one_project(store: DeploymentStore) -> None:
    names = ["B", "a", "a-1", "b2", "c"]
    await insert(store, *(deployment(name) for name in reversed(names)), deployment("other", "q"))
    async with store.transaction() as tx:
        assert [each.served_name for each in await tx.page("p", "", 3)] == names[:3]
        assert [each.served_name for each in await tx.page("p", "a-1", 10)] == names[3:]
        assert len(await tx.all_served()) == 6


async def test_what_never_was_is_not_found(store: DeploymentStore) -> None:
    async with store.transaction() as tx:
        with pytest.raises(DeploymentNotFound):
            await tx.get(DeploymentName("p", "nothing"))
        with pytest.raises(DeploymentNotFound):
            await tx.get_by_uid(new_id())


async def test_a_transaction_that_raises_leaves_nothing(store: DeploymentStore) -> None:
    new = deployment()

    async def fail_at_the_end() -> None:
        async with store.transaction() as tx:
            await tx.first_result("Create", "r1", "a")
            await tx.insert(new)
            await tx.remember("Create", "r1", "a", new.uid)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_at_the_end()
    async with store.transaction() as tx:
        assert not await tx.all_served()
        assert await tx.first_result("Create", "r1", "b") is None


async def test_requests_are_remembered_with_the_change(store: DeploymentStore) -> None:
    """Promise 4."""
    async with store.transaction() as tx:
        assert await tx.first_result("Create", "r1", "a") is None
        await tx.remember("Create", "r1", "a", "result")
    async with store.transaction() as tx:
        assert await tx.first_result("Create", "r1", "a") == "result"
    with pytest.raises(RequestIdReused):
        async with store.transaction() as tx:
            await tx.first_result("Create", "r1", "b")


async def test_every_change_is_to_be_announced_until_it_was(store: DeploymentStore) -> None:
    """R-25: archived ones, too; what changed while it was announced is to be announced again."""
    first, other = deployment(), deployment("other")
    await insert(store, first, other)
    async with store.transaction() as tx:
        waiting = await tx.unannounced(10)
        assert waiting == [first, other]
        assert 0 < waiting[0].change < waiting[1].change
        assert await tx.unannounced(1) == [first]
        archived = dataclasses.replace(first, archive_time=LATER)
        await tx.replace(archived)
        await tx.set_announced(waiting[0])
        await tx.set_announced(waiting[1])
    async with store.transaction() as tx:
        [again] = await tx.unannounced(10)
        assert (again, again.change > waiting[1].change) == (archived, True)
        await tx.set_announced(again)
        await tx.set_announced(waiting[0])  # by somebody who is late
        assert await tx.unannounced(10) == []
    successor = deployment()
    await insert(store, successor)
    async with store.transaction() as tx:
        [found] = await tx.unannounced(10)
        assert (found, found.change > again.change) == (successor, True)


async def test_a_use_is_announced_once(store: DeploymentStore) -> None:
    new = deployment()
    await insert(store, new)
    uses = [Use(new, ModelVersionName("p", "model", number)) for number in ("1", "2")]
    async with store.transaction() as tx:
        for use in (*uses, *uses):
            await tx.add_use(use)
        assert await tx.unannounced_uses(10) == uses
        await tx.set_use_announced(uses[0])
        await tx.add_use(uses[0])
    async with store.transaction() as tx:
        assert await tx.unannounced_uses(10) == uses[1:]


async def test_a_replica_of_an_older_release_keeps_what_a_later_one_has_configured(postgres_url: str) -> None:
    """Promise 17: who gives a deployment another selector has not looked at its other options."""
    database = Database(postgres_url, "inference", 2)
    store, new = PostgresDeployments(database), deployment("of-two-releases")
    await insert(store, new)
    this = deployments.c.uid == new.uid
    async with database.transaction() as connection:
        kept = (await connection.execute(select(deployments.c.options).where(this))).scalar_one()
        later = {**kept, "batching": {**kept["batching"], "later": 1}, "later": {"enabled": True}}
        await connection.execute(deployments.update().where(this).values(options=later))
    async with store.transaction() as tx:
        current = await tx.get(new.name, for_update=True)
        assert current.options == new.options
        await tx.replace(dataclasses.replace(current, options=dataclasses.replace(current.options, unloaded=True)))
    async with database.transaction() as connection:
        assert (await connection.execute(select(deployments.c.options).where(this))).scalar_one() == {
            **later,
            "unloaded": True,
        }
    await database.close()


async def test_what_only_a_later_release_understands_holds_up_no_other_deployment(postgres_url: str) -> None:
    """Promise 17."""
    database = Database(postgres_url, "inference", 2)
    store, new, other = PostgresDeployments(database), deployment("of-later"), deployment("of-this")
    await insert(store, new, other)
    async with database.transaction() as connection:
        options = {"preparing": {"takes": "something new"}}
        await connection.execute(deployments.update().where(deployments.c.uid == new.uid).values(options=options))
    async with store.transaction() as tx:
        served = {each.uid for each in await tx.all_served()}
        with pytest.raises(OfLaterRelease) as refused:
            await tx.get(new.name)
    async with database.transaction() as connection:  # of nobody's concern after this test
        await connection.execute(deployments.delete().where(deployments.c.uid == new.uid))
    await database.close()
    assert served.intersection({new.uid, other.uid}) == {other.uid}
    assert refused.value.metadata["at"] == "preparing.takes"
