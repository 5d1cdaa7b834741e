"""What both stores of incidents promise, and both stores of standings."""

import asyncio
import dataclasses
import datetime
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import structlog
from sqlalchemy import select

from chassis.db.engine import Database
from chassis.ids import new_id
from chassis.testing.clock import ManualClock
from headwater.names import IncidentName
from services.inference.guard.options import BreakerRules, Guarding
from services.inference.guard.postgres import PostgresStandings
from services.inference.guard.standing import GoodVersion, MemoryStandings, SetAside, Standing, StandingStore
from services.inference.guard.tables import deployment_standings
from services.inference.guard.window import Measured
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.memory import MemoryIncidents
from services.inference.incidents.model import (
    AskedRequest,
    Event,
    Evidence,
    Incident,
    IncidentNotFound,
    IncidentResolved,
    Kind,
    State,
    Version,
    shortened,
)
from services.inference.incidents.postgres import PostgresIncidents
from services.inference.incidents.store import IncidentStore, Wanted
from services.inference.incidents.tables import incidents
from services.inference.kept import OfLaterRelease

NOW = datetime.datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=datetime.UTC)


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[IncidentStore]:
    if request.param == "memory":
        yield MemoryIncidents()
        return
    database = Database(request.getfixturevalue("postgres_url"), "inference", 4)
    yield PostgresIncidents(database)
    await database.close()


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def standings(request: pytest.FixtureRequest) -> AsyncIterator[StandingStore]:
    if request.param == "memory":
        yield MemoryStandings()
        return
    database = Database(request.getfixturevalue("postgres_url"), "inference", 4)
    yield PostgresStandings(database)
    await database.close()


def incident(project: str = "p", deployment: str = "digits", kind: Kind = Kind.BREAKER_OPENED) -> Incident:
    nasty = shortened("zwölf \0 \ud800 " + "x" * 1000)
    return Incident(
        new_id(),
        project,
        deployment,
        kind,
        "5 failures in a row",
        NOW,
        evidence=Evidence(
            (AskedRequest(NOW, new_id(), nasty, "tester", 1.25, "ENGINE_FAILED", nasty),),
            Measured(30, 7, {"ENGINE_FAILED": 5, "INVALID_TENSOR": 1}, 5, 0, 0.001, 0.002, 0.003, 4, 3),
            (Version("failing", "projects/p/models/m/versions/2", "sha256:" + "a" * 64),),
            Guarding(window_s=7, breaker=BreakerRules(also_counts=("QUEUE_FULL",))),
        ),
        timeline=(Event(NOW, "it began"),),
    )


def as_put_in(found: Incident) -> Incident:
    return dataclasses.replace(found, sequence=0)


async def test_an_incident_comes_back_as_it_was_put_in(store: IncidentStore) -> None:
    """P-40, whatever callers and engines have said."""
    new = incident()
    await store.insert(new)
    assert as_put_in(await store.get(new.name)) == new


async def test_to_put_it_in_again_changes_nothing(store: IncidentStore) -> None:
    new = incident()
    await store.insert(new)
    changed = await store.change(new.name, lambda found: found.acknowledged("ada", "mine", NOW))
    await store.insert(new)
    assert await store.get(new.name) == changed


async def test_pages_are_newest_first_and_lose_none(store: IncidentStore) -> None:
    project = f"p{new_id()[:8]}"
    added = [incident(project, f"d{turn % 2}") for turn in range(7)]
    for each in added:
        await store.insert(each)
    found: list[Incident] = []
    before = None
    while page := await store.page(Wanted(project), before, 3):
        found += page
        before = page[-1].sequence
    assert [each.id for each in found] == [each.id for each in reversed(added)]
    of_one = await store.page(Wanted(project, "d1"), None, 10)
    assert [each.id for each in of_one] == [each.id for each in reversed(added[1::2])]
    assert await store.page(Wanted("another"), None, 10) == []


async def test_incidents_are_found_by_their_state_as_it_is_now(store: IncidentStore) -> None:
    project = f"p{new_id()[:8]}"
    first, second = incident(project), incident(project)
    for each in (first, second):
        await store.insert(each)
    await store.change(first.name, lambda found: found.resolved("ada", "", NOW))
    assert [each.id for each in await store.page(Wanted(project, state=State.OPEN), None, 10)] == [second.id]
    assert [each.id for each in await store.page(Wanted(project, state=State.RESOLVED), None, 10)] == [first.id]


async def test_changes_of_two_at_once_are_both_kept(store: IncidentStore) -> None:
    new = incident()
    await store.insert(new)

    def noted(text: str) -> Callable[[Incident], Incident]:
        return lambda found: found.after([Event(NOW, text)])

    await asyncio.gather(*(store.change(new.name, noted(text)) for text in "abcd"))
    assert sorted(event.what for event in (await store.get(new.name)).timeline[1:]) == ["a", "b", "c", "d"]


async def test_a_change_that_is_refused_changes_nothing(store: IncidentStore) -> None:
    new = incident()
    await store.insert(new)
    resolved = await store.change(new.name, lambda found: found.resolved("ada", "a bad file", NOW))
    with pytest.raises(IncidentResolved):
        await store.change(new.name, lambda found: found.acknowledged("bob", "", NOW))
    assert await store.get(new.name) == resolved


@pytest.mark.parametrize("name", [IncidentName("p", new_id()), IncidentName("p", "x"), IncidentName("p", "f" * 36)])
async def test_what_is_not_there_is_not_found(store: IncidentStore, name: IncidentName) -> None:
    with pytest.raises(IncidentNotFound):
        await store.get(name)
    with pytest.raises(IncidentNotFound):
        await store.change(name, lambda found: found)


async def test_an_incident_of_another_project_is_not_found(store: IncidentStore) -> None:
    new = incident()
    await store.insert(new)
    with pytest.raises(IncidentNotFound):
        await store.get(IncidentName("q", new.id))


async def test_a_standing_comes_back_as_it_was_kept(standings: StandingStore) -> None:
    uid = new_id()
    good = GoodVersion("1", "sha256:" + "a" * 64, "sha256:" + "a" * 64)
    aside = SetAside(
        "alias served", "sha256:" + "b" * 64, "2", good, "it failed", "headwater", NOW, IncidentName("p", new_id())
    )
    assert await standings.all([uid]) == {}
    assert await standings.replace(Standing(uid, (good,), aside))
    assert await standings.all([uid, new_id()]) == {uid: Standing(uid, (good,), aside, 1)}


async def test_of_several_who_decide_at_once_one_has_decided(standings: StandingStore) -> None:
    """One replica decides, by compare-and-set."""
    uid = new_id()
    for revision in (0, 1):
        decisions = [Standing(uid, (GoodVersion(str(n), "x", "x"),), revision=revision) for n in range(5)]
        kept = await asyncio.gather(*(standings.replace(decision) for decision in decisions))
        assert kept.count(True) == 1
        assert (await standings.all([uid]))[uid].good == decisions[kept.index(True)].good
    assert not await standings.replace(Standing(uid, revision=1))


async def test_a_standing_that_is_not_there_has_no_later_revision(standings: StandingStore) -> None:
    assert not await standings.replace(Standing(new_id(), revision=3))


def test_a_timeline_is_bounded_and_keeps_its_beginning_and_its_end() -> None:
    """Evidence is bounded in size."""
    long = incident()
    for turn in range(500):
        long = long.after([Event(NOW, str(turn))])
    assert len(long.timeline) == 64
    assert [long.timeline[0].what, long.timeline[-1].what] == ["it began", "499"]
    assert long.events_left_out == 501 - 64


def test_what_somebody_has_resolved_stays_resolved() -> None:
    resolved = incident().resolved("ada", "", NOW)
    assert resolved.after([Event(NOW, "closed")], State.RECOVERED).state is State.RESOLVED


async def test_what_another_release_kept_in_another_form_keeps_no_deployment_from_serving(postgres_url: str) -> None:
    database = Database(postgres_url, "inference", 4)
    kept = PostgresStandings(database)
    odd, usual = new_id(), new_id()
    assert await kept.replace(Standing(usual))
    async with database.transaction() as connection:
        form = {"uid": odd, "good": [{"number": "1", "digest": "x"}], "set_aside": None}
        await connection.execute(deployment_standings.insert().values(uid=odd, revision=4, standing=form))

    with structlog.testing.capture_logs() as said:
        for _ in range(2):
            unread = Standing(odd, revision=4, is_unread=True)
            assert await kept.all([odd, usual]) == {odd: unread, usual: Standing(usual, revision=1)}
    assert [each["uid"] for each in said] == [odd], "it is told once"
    assert await kept.replace(unread), "and an operator's decision can be kept"
    assert await kept.all([odd]) == {odd: Standing(odd, revision=5)}
    await database.close()


async def test_a_replica_of_an_older_release_keeps_what_a_later_one_has_added_to_a_standing(postgres_url: str) -> None:
    """Promise 17: though another version is put before those that were good, and what was set aside is no more."""
    database = Database(postgres_url, "inference", 2)
    store, uid = PostgresStandings(database), new_id()
    old, new = (GoodVersion(number, f"sha256:{number}", f"sha256:{number}") for number in "12")
    assert await store.replace(Standing(uid, (old,)))
    this = deployment_standings.c.uid == uid
    async with database.transaction() as connection:
        kept = (await connection.execute(select(deployment_standings.c.standing).where(this))).scalar_one()
        kept["later"] = {"enabled": True}
        kept["good"][0]["later"] = 7
        await connection.execute(deployment_standings.update().where(this).values(standing=kept))

    standing = (await store.all([uid]))[uid]
    assert standing == Standing(uid, (old,), revision=1)
    assert await store.replace(standing.with_good(new))

    async with database.transaction() as connection:
        found = (await connection.execute(select(deployment_standings.c.standing).where(this))).scalar_one()
    assert (await store.all([uid]))[uid] == Standing(uid, (new, old), revision=2)
    await database.close()
    assert found == {**kept, "good": [{"number": "2", "digest": "sha256:2", "content": "sha256:2"}, *kept["good"]]}


async def test_a_replica_of_an_older_release_keeps_what_a_later_one_has_added_to_an_incident(postgres_url: str) -> None:
    """Promise 17: also of the events that move up when those in the middle of a long timeline are left out."""
    database = Database(postgres_url, "inference", 2)
    store, new = PostgresIncidents(database), incident().after([Event(NOW, str(turn)) for turn in range(63)])
    await store.insert(new)
    this = incidents.c.id == new.id
    async with database.transaction() as connection:
        kept = (await connection.execute(select(incidents.c.incident).where(this))).scalar_one()
        kept["later"] = "new"
        kept["evidence"]["later"] = [1]
        kept["evidence"]["rules"]["breaker"]["later"] = 2
        for event in kept["timeline"]:
            event["later"] = event["what"]
        await connection.execute(incidents.update().where(this).values(incident=kept))

    resolved = await store.change(new.name, lambda found: found.resolved("ada", "a bad file", NOW))

    async with database.transaction() as connection:
        found = (await connection.execute(select(incidents.c.incident).where(this))).scalar_one()
    assert await store.get(new.name) == resolved
    await database.close()
    assert (found["later"], found["evidence"], found["state"]) == ("new", kept["evidence"], "resolved")
    assert found["timeline"][:-1] == [*kept["timeline"][:16], *kept["timeline"][17:]]
    assert found["timeline"][-1]["what"] == "resolved: a bad file"


async def test_an_incident_that_only_a_later_release_understands_holds_up_no_other(postgres_url: str) -> None:
    """What happens in it here is told to the log only."""
    database = Database(postgres_url, "inference", 2)
    store, clock = PostgresIncidents(database), ManualClock()
    odd, usual = incident(), incident()
    await store.insert(odd)
    async with database.transaction() as connection:
        row = await connection.execute(select(incidents.c.incident).where(incidents.c.id == odd.id))
        form = {**row.scalar_one(), "kind": "melted"}
        await connection.execute(incidents.update().where(incidents.c.id == odd.id).values(incident=form))
    log = IncidentLog(store, clock)
    log.note(odd.name, "it went on", State.RECOVERED)
    log.begin(usual)
    await log.flush()

    assert as_put_in(await store.get(usual.name)) == usual
    with pytest.raises(OfLaterRelease) as refused:
        await log.get(odd.name)
    async with database.transaction() as connection:
        await connection.execute(incidents.delete().where(incidents.c.id == odd.id))
    await database.close()
    assert refused.value.metadata["at"] == "kind"
