"""Stands between requests and versions: lets through or refuses, takes note of every outcome, and makes incidents."""

import dataclasses
from collections.abc import Collection, Sequence

from chassis.clock import Clock
from headwater.names import IncidentName
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import Deployment
from services.inference.guard.breaker import Change, Position
from services.inference.guard.errors import BreakerOpen
from services.inference.guard.evidence import incident_of
from services.inference.guard.watch import CRASHES, Seen, Watch
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.model import Kind, State, Version
from services.inference.question import Question

_CRASHED = frozenset({"ENGINE_CRASHED", "ENGINE_OUT_OF_MEMORY"})
_ONE_CRASH_S = 0.05  # requests of one batch fail by one crash, and within that
_OVERLOAD = frozenset({"QUEUE_FULL", "QUEUE_TIMED_OUT", "RECORDS_BEHIND"})
"""That so much is asked is no incident: nothing is broken."""
_EXHAUSTED_OVER_S = 60.0


@dataclasses.dataclass(slots=True)
class _Exhausted:
    """That nobody could answer for a deployment, for how many requests, and when last."""

    incident: IncidentName
    last: float
    requests: int = 1


class Guard:
    """The defence of everything that this process serves. Used in one event loop."""

    def __init__(self, incidents: IncidentLog, clock: Clock) -> None:
        self._incidents = incidents
        self._clock = clock
        self._exhausted: dict[str, _Exhausted] = {}
        self._lasting: set[Watch] = set()
        """Those of which an incident lasts, or did until a moment ago."""

    def allow(self, loaded: Loaded) -> int:
        """Let one request through to ``loaded``; what is returned goes to :meth:`succeeded` or :meth:`failed`, one of
        which must be called, whatever comes of the request.

        Raises:
            BreakerOpen: the version is not to be asked now.
        """
        breaker = loaded.watch.breaker
        if breaker.position is Position.CLOSED:
            return breaker.permit
        now = self._clock.monotonic()
        permit = breaker.ask(now)
        if breaker.changes:
            self._report(loaded)
        if permit is None:
            loaded.watch.refused += 1
            loaded.requests.fail(BreakerOpen.reason, 0.0)
            raise BreakerOpen(
                model=loaded.deployment.served_name,
                version=loaded.version_number,
                retry_after_ms=int(breaker.retry_s(now) * 1000) + 1,
            )
        return permit

    def succeeded(
        self, loaded: Loaded, permit: int, question: Question, request_id: str, seconds: float, engine_s: float
    ) -> None:
        """An answer was given, after ``seconds``, of which the engine took ``engine_s`` for its batch; 0 for an answer
        that was kept, which says nothing of how the model is now."""
        now, watch = self._clock.monotonic(), loaded.watch
        if not engine_s:
            watch.breaker.give_back(permit)
            return
        limit_s = watch.guarding.breaker.max_p99_s
        slow = 0.0 < limit_s < engine_s
        watch.window.succeed(now, seconds, slow=slow)
        watch.saw(Seen(now, request_id, question.client_request_id, question.caller, seconds))
        watch.breaker.succeed(permit, now, slow=slow)
        if watch.breaker.changes:
            self._report(loaded)

    def failed(
        self,
        loaded: Loaded,
        permit: int,
        question: Question,
        request_id: str,
        seconds: float,
        reason: str,
        message: str,
    ) -> None:
        """The request ended without an answer of this version, for a reason that may or may not be the model's."""
        now, watch = self._clock.monotonic(), loaded.watch
        fault = watch.guarding.breaker.is_fault(reason)
        if fault:
            watch.saw(Seen(now, request_id, question.client_request_id, question.caller, seconds, reason, message))
            fault = watch.count_failing(question.caller, now) >= watch.guarding.breaker.min_callers
        watch.window.fail(now, reason, fault=fault)
        if not fault:
            watch.breaker.give_back(permit)
            return
        watch.breaker.fail(permit, now, reason)
        if watch.breaker.changes:
            self._report(loaded)
        if reason in _CRASHED:
            self._crashed(loaded, now, reason)

    def stood_in(self, chosen: Loaded, by: str) -> None:
        """``by`` has answered in the place of ``chosen``."""
        if chosen.watch.incident is not None:
            chosen.watch.stood_in[by] += 1

    def exhausted(self, deployment: Deployment, asked: Sequence[Loaded], reason: str) -> None:
        """Nobody could answer: neither who was chosen, nor any of those who stand in. ``asked`` are those that were
        tried, and ``reason`` is that of the error that the caller gets."""
        if reason in _OVERLOAD:
            return
        now = self._clock.monotonic()
        known = self._exhausted.get(deployment.uid)
        if known is not None:
            known.last = now
            known.requests += 1
        elif asked:
            others = [Version("fallback", str(each.version.name), each.version.digest) for each in asked[1:]]
            text = f"{reason}, and {len(asked) - 1} others that were asked could not answer either"
            incident = incident_of(Kind.FALLBACKS_EXHAUSTED, text, asked[0], self._clock, *others)
            self._exhausted[deployment.uid] = _Exhausted(incident.name, now)
            self._incidents.begin(incident)

    def canary_aborted(self, loaded: Loaded, reason: str, instead: Loaded | None = None) -> IncidentName:
        """The canary ``loaded`` was taken back, and ``instead`` answers alone; the incident of it."""
        others = [] if instead is None else [Version("good", str(instead.version.name), instead.version.digest)]
        incident = incident_of(Kind.CANARY_ABORTED, reason, loaded, self._clock, *others)
        self._incidents.begin(incident)
        return incident.name

    def tick(self, deployment: Deployment, versions: Sequence[Loaded]) -> None:
        """To be called from time to time: go by the rules as they are now, and see what has passed."""
        now = self._clock.monotonic()
        for loaded in versions:
            watch = loaded.watch
            watch.configure(deployment.options.guard)
            if watch.breaker.changes:
                self._report(loaded)
            if watch.crash_incident is not None and now - watch.crashes[-1] > watch.window.seconds:
                self._incidents.note(watch.crash_incident, "it has not broken down for a while", State.RECOVERED)
                watch.crash_incident = None
        exhausted = self._exhausted.get(deployment.uid)
        if exhausted is not None and now - exhausted.last > _EXHAUSTED_OVER_S:
            text = f"{exhausted.requests} requests found nobody who could answer; none for {_EXHAUSTED_OVER_S:g} s"
            self._incidents.note(exhausted.incident, text, State.RECOVERED)
            del self._exhausted[deployment.uid]

    def keep_only(self, versions: Collection[Loaded], deployments: Collection[str]) -> None:
        """Only these versions are loaded, of deployments with these uids: what lasted of any other has ended."""
        loaded = {each.watch for each in versions}
        for watch in [watch for watch in self._lasting if watch not in loaded]:
            self._end(watch, "the version is served no longer")
        for uid in [uid for uid in self._exhausted if uid not in deployments]:
            self._incidents.note(self._exhausted.pop(uid).incident, "it is served no longer", State.RECOVERED)

    async def close(self) -> None:
        """Say of what lasts that nobody in this process looks any more."""
        for watch in list(self._lasting):
            self._end(watch, "the process that watched it has ended")
        for exhausted in self._exhausted.values():
            self._incidents.note(exhausted.incident, "the process that watched it has ended", State.RECOVERED)
        self._exhausted.clear()

    def _end(self, watch: Watch, what: str) -> None:
        for incident in (watch.incident, watch.crash_incident):
            if incident is not None:
                self._incidents.note(incident, what, State.RECOVERED)
        watch.incident = watch.crash_incident = None
        self._lasting.discard(watch)

    def _report(self, loaded: Loaded) -> None:
        """Make an incident of what the breaker has done, or add to the one there is."""
        watch = loaded.watch
        changes, watch.breaker.changes = watch.breaker.changes, []
        for change in changes:
            if watch.incident is None:
                if change.position is Position.CLOSED:  # it was switched off before anybody looked
                    continue
                incident = incident_of(Kind.BREAKER_OPENED, change.reason, loaded, self._clock)
                watch.incident = incident.name
                watch.refused = 0
                watch.stood_in.clear()
                self._lasting.add(watch)
                self._incidents.begin(incident)
                continue
            state = State.RECOVERED if change.position is Position.CLOSED else None
            self._incidents.note(watch.incident, _told(change, loaded), state)
            if state is not None:
                watch.incident = None

    def _crashed(self, loaded: Loaded, now: float, reason: str) -> None:
        watch = loaded.watch
        if watch.crashes and now - watch.crashes[-1] < _ONE_CRASH_S:
            return
        watch.crashes.append(now)
        often = len(watch.crashes) == CRASHES and now - watch.crashes[0] <= watch.window.seconds
        if often and watch.crash_incident is None:
            text = f"the engine broke down {CRASHES} times within {watch.window.seconds:g} s, the last time {reason}"
            incident = incident_of(Kind.ENGINE_CRASHED, text, loaded, self._clock)
            watch.crash_incident = incident.name
            self._lasting.add(watch)
            self._incidents.begin(incident)


def _told(change: Change, loaded: Loaded) -> str:
    match change.position:
        case Position.OPEN:
            return f"open for {change.open_s:.3g} s more: {change.reason}"
        case Position.HALF_OPEN:
            return "half-open: some requests are let through as probes"
    watch = loaded.watch
    answered = "".join(f", {count} answered by {who}" for who, count in sorted(watch.stood_in.items()))
    return f"closed: {change.reason}; meanwhile {watch.refused} requests were not let through{answered}"
