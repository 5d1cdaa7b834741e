"""What becomes an incident, and how incidents are written down while the store is away."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.testing.clock import ManualClock
from headwater.errors import InvalidArgument, Unavailable
from services.inference.guard.breaker import Position
from services.inference.guard.errors import BreakerOpen
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.memory import MemoryIncidents
from services.inference.incidents.model import MAX_REQUESTS, MAX_TEXT, Incident, Kind, State, shortened
from services.inference.incidents.store import Wanted
from tests.unit.inference.test_rollback import QUESTION, Guarded
from tests.unit.inference.test_serving import NAME

_ALL = Wanted("p")


@pytest_asyncio.fixture
async def world(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Guarded]:
    made = Guarded(tmp_path / "cache", clock)
    made.add(3)
    await made.deploy()
    yield made
    await made.serving.close()


async def incidents(world: Guarded) -> list[Incident]:
    return [*(await world.incidents.page(_ALL, 100, "")).items]


async def test_an_engine_that_breaks_down_again_and_again_is_one_incident(world: Guarded, clock: ManualClock) -> None:
    """P-40: the requests of one batch fail by one crash."""
    for _ in range(2):
        world.fail(2, "ENGINE_CRASHED")
        clock.advance(1)
    assert await world.of_kind(Kind.ENGINE_CRASHED) == []
    world.fail(1, "ENGINE_CRASHED")
    (incident,) = await world.of_kind(Kind.ENGINE_CRASHED)
    assert "broke down 3 times within 30 s" in incident.reason

    await world.go_round(31)
    (incident,) = await world.of_kind(Kind.ENGINE_CRASHED)
    assert incident.state is State.RECOVERED


async def test_that_nobody_can_answer_is_one_incident_while_it_lasts(world: Guarded, clock: ManualClock) -> None:
    loaded = world.serving.find("digits")
    for _ in range(5):
        world.guard.exhausted(loaded.deployment, [loaded], "ENGINE_FAILED")
        clock.advance(30)
    world.guard.exhausted(loaded.deployment, [loaded], "QUEUE_FULL")
    assert len(await incidents(world)) == 1
    await world.go_round(31)
    (incident,) = await incidents(world)
    assert incident.state is State.RECOVERED
    assert incident.timeline[-1].what.startswith("5 requests found nobody")


async def test_a_breaker_that_opens_again_from_half_open_stays_one_incident(world: Guarded, clock: ManualClock) -> None:
    world.fail(5)
    for _ in range(3):
        clock.advance(100)
        world.fail(1)
    with pytest.raises(BreakerOpen) as refused:
        world.answer()
    assert refused.value.retry_after_ms
    clock.advance(100)
    world.answer(3)
    (incident,) = await incidents(world)
    assert [event.what.split(":")[0].split(" for ")[0] for event in incident.timeline] == [
        "5 failures in a row, the last ENGINE_FAILED",
        *["half-open", "open"] * 3,
        "half-open",
        "closed",
    ]
    assert incident.timeline[-1].what == "closed: 3 probes were answered; meanwhile 1 requests were not let through"
    assert incident.state is State.RECOVERED
    assert incident.end_time == clock.now()


async def test_what_lasts_ends_with_the_deployment_or_the_process(world: Guarded) -> None:
    world.fail(5)
    loaded = world.serving.find("digits")
    world.guard.exhausted(loaded.deployment, [loaded], "BREAKER_OPEN")
    await world.go_round()
    assert {each.state for each in await incidents(world)} == {State.OPEN}
    await world.guard.close()
    found = await incidents(world)
    assert [(each.state, each.timeline[-1].what) for each in found] == [
        (State.RECOVERED, "the process that watched it has ended")
    ] * 2
    world.guard.exhausted(loaded.deployment, [loaded], "BREAKER_OPEN")
    await world.deployments.archive(NAME, "")
    await world.go_round()
    await world.go_round()
    assert (await incidents(world))[0].timeline[-1].what == "it is served no longer"


async def test_an_answer_that_was_kept_closes_no_breaker(world: Guarded, clock: ManualClock) -> None:
    world.fail(5)
    clock.advance(100)
    loaded = world.serving.find("digits")
    for _ in range(10):
        world.guard.succeeded(loaded, world.guard.allow(loaded), QUESTION, "kept", 0.0001, 0.0)
    assert loaded.watch.breaker.position is Position.HALF_OPEN
    assert loaded.watch.window.read(clock.monotonic()).answered == 0
    world.answer(3)
    assert loaded.watch.breaker.position.value == "closed"


async def test_evidence_is_bounded_and_keeps_the_failures(world: Guarded) -> None:
    world.answer(1000)
    world.fail(5)
    (incident,) = await incidents(world)
    assert len(incident.evidence.requests) <= MAX_REQUESTS
    assert [each.reason for each in incident.evidence.requests if each.reason] == ["ENGINE_FAILED"] * 5
    assert incident.evidence.measured is not None
    assert incident.evidence.measured.answered == 1000


@pytest.mark.parametrize("text", ["", "short", "x" * 10_000, "\0\ud800", "é" * MAX_TEXT])
def test_what_callers_say_is_kept_as_far_as_it_can_be(text: str) -> None:
    kept = shortened(text)
    assert len(kept) <= MAX_TEXT
    assert "\0" not in kept
    kept.encode()


def incident_at(clock: ManualClock, number: int) -> Incident:
    return Incident(f"i{number}", "p", "digits", Kind.BREAKER_OPENED, "it failed", clock.now())


async def test_incidents_wait_while_the_store_is_away_and_nothing_is_lost(clock: ManualClock) -> None:
    store = MemoryIncidents()
    log = IncidentLog(store, clock)
    first, second = incident_at(clock, 1), incident_at(clock, 2)
    log.begin(first)
    await log.flush()
    store.away = True
    log.note(first.name, "half-open")
    log.begin(second)
    with pytest.raises(Unavailable):
        await log.page(_ALL, 10, "")
    log.note(first.name, "closed", State.RECOVERED)
    log.note(second.name, "closed", State.RECOVERED)
    with pytest.raises(Unavailable):
        await log.flush()
    store.away = False
    found = {each.id: each for each in (await log.page(_ALL, 10, "")).items}
    assert [event.what for event in found["i1"].timeline] == ["half-open", "closed"]
    assert [event.what for event in found["i2"].timeline] == ["closed"]
    assert {each.state for each in found.values()} == {State.RECOVERED}


async def test_what_is_too_much_to_wait_is_counted(clock: ManualClock) -> None:
    store = MemoryIncidents()
    store.away = True
    log = IncidentLog(store, clock)
    for number in range(300):
        log.begin(incident_at(clock, number))
    assert log.lost == 300 - 256
    await log.close()
    store.away = False
    await log.flush()
    assert len(await store.page(_ALL, None, 1000)) == 256


async def test_pages_belong_to_their_query(clock: ManualClock) -> None:
    log = IncidentLog(MemoryIncidents(), clock)
    for number in range(5):
        log.begin(incident_at(clock, number))
    first = await log.page(_ALL, 2, "")
    rest = await log.page(_ALL, 10, first.next_page_token)
    assert [each.id for each in [*first.items, *rest.items]] == ["i4", "i3", "i2", "i1", "i0"]
    with pytest.raises(InvalidArgument):
        await log.page(Wanted("p", state=State.OPEN), 2, first.next_page_token)
