"""When a deployment goes back, to which version, and until when. Real engines; time moves as the test says."""

import asyncio
import dataclasses
import gc
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.testing.clock import ManualClock
from headwater.errors import Unavailable
from services.inference.deployments.errors import DeploymentArchived, InvalidDeployment
from services.inference.deployments.model import Deployment, State
from services.inference.guard.errors import BreakerOpen, NothingToGoBackTo
from services.inference.guard.guard import Guard
from services.inference.guard.options import BreakerRules, Guarding, RollbackRules
from services.inference.guard.rollback import Rollbacks
from services.inference.guard.standing import MemoryStandings, Standing
from services.inference.guard.warden import Warden
from services.inference.guard.window import Window
from services.inference.incidents import model as incidents
from services.inference.incidents.store import Wanted
from services.inference.models.source import NoSuchVersion, Selector, SelectorKind, VersionArchived
from services.inference.question import Question
from tests.integration.inference import pipelines
from tests.unit.inference.test_serving import MODEL, NAME, PRODUCTION, World
from tests.unit.inference.waiting import eventually

GUARDING = Guarding(
    breaker=BreakerRules(consecutive_failures=3, min_requests=10),
    rollback=RollbackRules(after_open_s=20, probation_s=100),
)
QUESTION = Question("digits", "", {}, (), "tester", "mine", 0.0)


class Guarded(World):
    """A world that defends itself, and a caller whose requests end as the test says."""

    def __init__(self, directory: Path, clock: ManualClock, beside: "Guarded | None" = None) -> None:
        super().__init__(directory, clock, beside)
        self.clock = clock
        self.guard = Guard(self.incidents, clock)
        self.warden = Warden(self.serving, self.guard, self.rollbacks, interval_s=1)

    async def go_round(self, seconds: float = 0.0) -> None:
        """Let time pass; then look at what is served, and follow what comes of it."""
        self.clock.advance(seconds)
        await self.warden.step()
        await self.follow()

    async def begin(self) -> Deployment:
        """Version 1 has served well, and version 2 has taken its place."""
        self.add(3)
        deployment = await self.deploy()
        await self.deployments.update(NAME, "", options={"guard": GUARDING})
        await self.follow()
        await self.go_round()
        self.answer(5)
        self.add(5)
        await self.follow()
        await self.go_round()
        return deployment

    def answer(self, times: int = 1, seconds: float = 0.01, caller: str = "tester") -> None:
        question = dataclasses.replace(QUESTION, caller=caller)
        for _ in range(times):
            loaded = self.serving.find("digits")
            permit = self.guard.allow(loaded)
            loaded.requests.succeed(seconds, 0)
            self.guard.succeeded(loaded, permit, question, "answered", seconds, seconds)

    def fail(self, times: int = 1, reason: str = "ENGINE_FAILED", caller: str = "tester") -> None:
        question = dataclasses.replace(QUESTION, caller=caller)
        for _ in range(times):
            loaded = self.serving.find("digits")
            permit = self.guard.allow(loaded)
            self.guard.failed(loaded, permit, question, "failed", 0.01, reason, "no")

    async def of_kind(self, kind: incidents.Kind) -> list[incidents.Incident]:
        page = await self.incidents.page(Wanted("p"), 100, "")
        return [each for each in page.items if each.kind is kind]


@pytest_asyncio.fixture
async def world(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Guarded]:
    made = Guarded(tmp_path / "cache", clock)
    yield made
    await made.serving.close()


async def test_a_version_that_fails_on_probation_gives_way_to_the_one_before(world: Guarded) -> None:
    """N-10, M-105."""
    await world.begin()
    assert await world.factor() == 5
    world.fail(3)
    await world.go_round()

    assert await world.factor() == 3
    status = await world.status()
    assert status.state is State.ROLLED_BACK
    assert "Version 2 is set aside by headwater: its breaker opened while it was on probation" in status.failure
    (incident,) = await world.of_kind(incidents.Kind.ROLLED_BACK)
    assert [(each.part, each.model_version) for each in incident.evidence.versions] == [
        ("failing", "projects/p/models/digits/versions/2"),
        ("good", "projects/p/models/digits/versions/1"),
    ]
    assert [each.reason for each in incident.evidence.requests] == ["ENGINE_FAILED"] * 3
    (opened,) = await world.of_kind(incidents.Kind.BREAKER_OPENED)
    assert [event.what for event in opened.timeline][1:] == ["version 1 is served from now on"]
    await world.go_round()
    (opened,) = await world.of_kind(incidents.Kind.BREAKER_OPENED)
    assert (opened.state, opened.timeline[-1].what) == (
        incidents.State.RECOVERED,
        "the version is served no longer",
    )


async def test_a_pipeline_that_fails_gives_way_to_another_one_before_the_same_model(world: Guarded) -> None:
    """The digest of the files, which both have, does not tell them apart."""
    old, new = pipelines.recorded(pipelines.document()), pipelines.recorded(pipelines.document(mean=0.25))
    world.add(3, by=old)
    deployment = await world.deploy()
    await world.deployments.update(NAME, "", options={"guard": GUARDING})
    await world.follow()
    await world.go_round()
    world.answer(5)
    world.add(3, by=new)
    await world.go_round()
    await world.go_round()
    assert (await world.status()).model_version.endswith("/2")
    world.fail(3)
    await world.go_round()
    shown = await world.status()
    assert (shown.state, shown.model_version) == (State.ROLLED_BACK, "projects/p/models/digits/versions/1")

    await world.rollbacks.resume(deployment, "ada")
    await world.follow()
    await world.rollbacks.roll_back(deployment, "1", "customers complain", "ada")
    await world.follow()
    assert (await world.status()).model_version.endswith("/1")


async def test_too_many_failures_on_probation_are_enough_before_the_breaker_opens(world: Guarded) -> None:
    await world.begin()
    for _ in range(5):
        world.answer(2)
        world.fail()
    await world.go_round()
    assert (await world.status()).state is State.ROLLED_BACK
    assert "33.3% of its requests failed" in (await world.status()).failure


async def test_a_version_that_becomes_too_slow_on_probation_gives_way(world: Guarded) -> None:
    await world.begin()
    slow = dataclasses.replace(GUARDING, rollback=dataclasses.replace(GUARDING.rollback, max_p99_s=0.1))
    await world.deployments.update(NAME, "", options={"guard": slow})
    world.answer(20, seconds=0.05)
    await world.go_round()
    assert await world.factor() == 5
    world.answer(5, seconds=0.5)
    await world.go_round()
    assert (await world.status()).state is State.ROLLED_BACK
    assert "its p99 was" in (await world.status()).failure


async def test_after_probation_only_a_breaker_that_does_not_close_is_reason_enough(world: Guarded) -> None:
    await world.begin()
    world.answer()
    await world.go_round(101)
    world.fail(3)
    await world.go_round()
    assert (await world.status()).state is State.READY
    await world.go_round(20)
    assert (await world.status()).state is State.ROLLED_BACK
    assert await world.factor() == 3


async def test_callers_mistakes_and_too_many_requests_are_no_reason(world: Guarded) -> None:
    await world.begin()
    for reason in ("INVALID_TENSOR", "QUEUE_FULL", "CANCELLED", "DEADLINE_EXCEEDED", "RECORDS_BEHIND"):
        world.fail(50, reason)
    await world.go_round()
    assert (await world.status()).state is State.READY
    assert (await world.incidents.page(Wanted("p"), 10, "")).items == []


async def test_one_caller_cannot_break_what_answers_others_where_two_have_to_fail(world: Guarded) -> None:
    """Whoever may ask can send what a model cannot compute."""
    await world.begin()
    breaker = dataclasses.replace(GUARDING.breaker, min_callers=2)
    await world.deployments.update(NAME, "", options={"guard": dataclasses.replace(GUARDING, breaker=breaker)})
    await world.go_round()
    await world.go_round()
    world.answer(1, caller="ada")
    world.fail(100, caller="mallory")
    await world.go_round(31)
    assert (await world.status()).state is State.READY
    world.fail(100, caller="ada")  # mallory's are forgotten
    world.fail(1, caller="mallory")
    assert world.serving.find("digits").watch.window.read(world.clock.monotonic()).faults == 1
    world.fail(2, caller="ada")
    await world.go_round()
    assert (await world.status()).state is State.ROLLED_BACK


async def test_what_is_set_aside_stays_so_until_the_selector_chooses_another_version(world: Guarded) -> None:
    await world.begin()
    world.fail(3)
    for _ in range(5):
        await world.go_round(1000)
        assert await world.factor() == 3

    world.add(7)
    await world.go_round()
    assert await world.factor() == 7
    assert (await world.status()).state is State.READY
    for _ in range(3):
        await world.go_round()
    (incident,) = await world.of_kind(incidents.Kind.ROLLED_BACK)
    assert incident.state is incidents.State.RECOVERED
    assert incident.timeline[-1].what == "the selector chose another version"

    world.models.point(MODEL, PRODUCTION, await world.models.resolve(MODEL, Selector(SelectorKind.VERSION, "2")))
    await world.go_round()
    assert await world.factor() == 5  # chosen anew, it is tried anew


async def test_a_restarted_process_serves_what_was_served_before(world: Guarded, tmp_path: Path) -> None:
    """What is set aside, and what was good, are kept."""
    await world.begin()
    world.fail(3)
    await world.warden.step()
    await world.serving.close()

    restarted = Guarded(tmp_path / "another", world.clock, beside=world)
    await restarted.follow()
    assert await restarted.factor() == 3
    assert (await restarted.status()).state is State.ROLLED_BACK
    await restarted.serving.close()


async def test_a_version_that_fails_after_a_restart_still_gives_way(world: Guarded, tmp_path: Path) -> None:
    await world.begin()
    await world.serving.close()
    restarted = Guarded(tmp_path / "another", world.clock, beside=world)
    await restarted.follow()
    await restarted.go_round()
    assert await restarted.factor() == 5
    restarted.fail(3)
    await restarted.go_round()
    assert await restarted.factor() == 3
    await restarted.serving.close()


async def test_of_two_replicas_one_decides_and_the_other_follows(world: Guarded, tmp_path: Path) -> None:
    await world.begin()
    other = Guarded(tmp_path / "other", world.clock, beside=world)
    await other.follow()
    await other.go_round()
    for each in (world, other):
        each.fail(3)
    await world.warden.step()
    await other.warden.step()
    for each in (world, other):
        await each.follow()
        assert await each.factor() == 3
    assert len(await world.of_kind(incidents.Kind.ROLLED_BACK)) == 1
    assert len(await other.of_kind(incidents.Kind.ROLLED_BACK)) == 0
    await other.serving.close()


async def test_the_first_version_has_nothing_to_go_back_to_and_its_incident_says_so(world: Guarded) -> None:
    world.add(3)
    await world.deploy()
    await world.deployments.update(NAME, "", options={"guard": GUARDING})
    await world.follow()
    await world.go_round()
    world.fail(3)
    for _ in range(3):
        await world.go_round()
    assert (await world.status()).state is State.READY
    (incident,) = await world.of_kind(incidents.Kind.BREAKER_OPENED)
    assert len([event for event in incident.timeline if "no earlier version is known" in event.what]) == 1


async def test_a_version_that_never_answered_is_not_gone_back_to(world: Guarded) -> None:
    await world.begin()
    world.add(7)  # version 2 has not answered
    await world.go_round()
    await world.go_round()
    world.fail(3)
    await world.go_round()
    assert await world.factor() == 3


async def test_an_archived_version_is_not_gone_back_to(world: Guarded) -> None:
    await world.begin()
    world.models.mark(await world.models.resolve(MODEL, Selector(SelectorKind.VERSION, "1")), archived=True)
    world.fail(3)
    await world.go_round()
    assert (await world.status()).model_version.endswith("/2")
    with pytest.raises(BreakerOpen):
        world.answer()


async def test_when_the_earlier_version_fails_too_it_is_left_at_that(world: Guarded) -> None:
    """No going to and fro when it is not the version that is broken."""
    await world.begin()
    world.fail(3)
    await world.go_round()
    await world.go_round()
    world.fail(3)
    for _ in range(3):
        await world.go_round(5)
    assert await world.factor() == 3
    assert len(await world.of_kind(incidents.Kind.ROLLED_BACK)) == 1


async def test_one_that_may_not_go_back_by_itself_does_not(world: Guarded) -> None:
    await world.begin()
    off = dataclasses.replace(GUARDING, rollback=RollbackRules(enabled=False))
    await world.deployments.update(NAME, "", options={"guard": off})
    await world.follow()
    world.fail(3)
    await world.go_round(1000)
    assert (await world.status()).state is State.READY


async def test_a_pinned_version_stays(world: Guarded) -> None:
    await world.begin()
    await world.deployments.update(NAME, "", selector=Selector(SelectorKind.VERSION, "2"))
    await world.follow()
    world.fail(3)
    await world.go_round(1000)
    assert (await world.status()).state is State.READY


async def test_who_pins_the_version_that_was_set_aside_gets_it(world: Guarded) -> None:
    await world.begin()
    world.fail(3)
    await world.go_round()
    assert await world.factor() == 3
    await world.deployments.update(NAME, "", selector=Selector(SelectorKind.VERSION, "2"))
    for _ in range(3):
        await world.go_round()
        assert await world.factor() == 5
    (incident,) = await world.of_kind(incidents.Kind.ROLLED_BACK)
    assert incident.state is incidents.State.RECOVERED


async def test_an_operator_goes_back_and_forth(world: Guarded) -> None:
    """M-105."""
    deployment = await world.begin()
    await world.rollbacks.roll_back(deployment, "", "customers complain", "ada")
    await world.rollbacks.roll_back(deployment, "", "customers complain", "ada")
    await world.follow()
    assert await world.factor() == 3
    assert "set aside by ada: customers complain" in (await world.status()).failure
    (incident,) = await world.of_kind(incidents.Kind.ROLLED_BACK)
    assert incident.timeline[0].actor == "ada"

    for _ in range(2):
        await world.rollbacks.resume(deployment, "bob")
        await world.follow()
        assert (await world.factor(), (await world.status()).state) == (5, State.READY)
    (incident,) = await world.of_kind(incidents.Kind.ROLLED_BACK)
    assert (incident.state, incident.timeline[-1].actor) == (incidents.State.RECOVERED, "bob")


async def test_an_operator_names_the_version_to_go_back_to(world: Guarded) -> None:
    """If failing, use model last-year.last-month (M-105): it need not be known to be good."""
    world.add(2, stage=False)
    deployment = await world.begin()
    await world.rollbacks.roll_back(deployment, "1", "an old one", "ada")
    await world.follow()
    assert await world.factor() == 2
    with pytest.raises(InvalidDeployment):
        await world.rollbacks.roll_back(deployment, "3", "it is that", "ada")
    with pytest.raises(NoSuchVersion):
        await world.rollbacks.roll_back(deployment, "9", "there is none", "ada")
    world.models.mark(await world.models.resolve(MODEL, Selector(SelectorKind.VERSION, "2")), archived=True)
    with pytest.raises(VersionArchived):
        await world.rollbacks.roll_back(deployment, "2", "it is archived", "ada")


async def test_there_must_be_a_version_to_go_back_to_and_a_deployment(world: Guarded) -> None:
    world.add(3)
    deployment = await world.deploy()
    await world.go_round()
    with pytest.raises(NothingToGoBackTo):
        await world.rollbacks.roll_back(deployment, "", "a try", "ada")
    archived = await world.deployments.archive(NAME, "")
    with pytest.raises(DeploymentArchived):
        await world.rollbacks.roll_back(archived, "", "a try", "ada")


class Slow(MemoryStandings):
    """Standings that are read at once and told when the test says so."""

    def __init__(self, kept: MemoryStandings) -> None:
        self._kept = kept
        self.told = asyncio.Event()
        self.away = False

    async def all(self, uids: Sequence[str]) -> Mapping[str, Standing]:
        found = await self._kept.all(uids)
        await self.told.wait()
        return found

    async def replace(self, standing: Standing) -> bool:
        if self.away:
            raise Unavailable()
        return await self._kept.replace(standing)


async def test_what_was_read_before_a_decision_does_not_undo_it(world: Guarded) -> None:
    """Serving reads the standings again and again, also while somebody decides."""
    deployment = await world.begin()
    slow = Slow(world.standings)
    rollbacks = Rollbacks(slow, world.models, world.incidents, world.clock)
    reading = asyncio.create_task(rollbacks.refresh([deployment.uid]))
    await asyncio.sleep(0)
    early, slow.told = slow.told, asyncio.Event()
    slow.told.set()
    await rollbacks.roll_back(deployment, "1", "customers complain", "ada")
    early.set()
    await reading
    chosen = await world.models.resolve(MODEL, PRODUCTION)
    assert rollbacks.instead_of(deployment, chosen) is not None


async def test_what_only_a_later_release_can_read_is_left_as_it_is_until_an_operator_decides(world: Guarded) -> None:
    """Promise 17: it may say that a version is set aside, for the replicas of that release."""
    world.add(3)
    deployment = await world.deploy()
    await world.deployments.update(NAME, "", options={"guard": GUARDING})
    unread = Standing(deployment.uid, is_unread=True)
    assert await world.standings.replace(unread)
    await world.follow()
    world.answer(5)
    world.add(5)
    await world.follow()
    await world.go_round()
    world.answer(5)
    await world.go_round(200)
    assert await world.standings.all([deployment.uid]) == {deployment.uid: dataclasses.replace(unread, revision=1)}

    await world.rollbacks.roll_back(deployment, "1", "customers complain", "ada")
    await world.follow()
    assert await world.factor() == 3


async def test_that_a_version_served_well_is_not_forgotten_while_it_cannot_be_kept(world: Guarded) -> None:
    world.add(3)
    await world.deploy()
    await world.deployments.update(NAME, "", options={"guard": GUARDING})
    slow = Slow(world.standings)
    slow.told.set()
    world.rollbacks._store = slow
    await world.follow()
    await world.go_round()
    world.answer(5)
    slow.away = True
    world.add(5)
    await world.follow()
    await world.go_round()
    slow.away = False
    await world.go_round()
    world.fail(3)
    await world.go_round()
    assert (await world.status()).state is State.ROLLED_BACK


async def test_a_version_that_is_unloaded_is_not_kept_in_memory_by_its_defence(world: Guarded) -> None:
    await world.begin()
    watched = weakref.ref(world.serving.find("digits").watch.window)
    await world.deployments.update(NAME, "", options={"unloaded": True})
    await world.go_round()
    await world.go_round()
    await eventually(lambda: _collected(watched))


def _collected(watched: "weakref.ref[Window]") -> bool:
    gc.collect()
    return watched() is None
