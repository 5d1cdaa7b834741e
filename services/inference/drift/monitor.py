"""Watches the drift of everything that is served where a deployment wants it, and makes incidents of it.

What was answered comes in by the recorder's thread, is counted in another once a second, and costs the event loop one
look into a dictionary. A version's references are read or learned once; while the dataset service is away, a version
that is to be compared with a profile is not watched, and its note says so.
"""

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence

import structlog

from chassis.clock import Clock
from headwater.errors import HeadwaterError, Unavailable
from headwater.names import IncidentName
from services.inference.deployments.loaded import Loaded
from services.inference.deployments.model import Deployment, Use
from services.inference.deployments.serving import Serving
from services.inference.drift.baselines import Baselines
from services.inference.drift.measuring import Columns, Side
from services.inference.drift.model import Watched, Window
from services.inference.drift.options import Drift, FollowedTensor
from services.inference.drift.store import Learned, ReferenceStore
from services.inference.drift.tracker import Tracker
from services.inference.guard.evidence import incident_of
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.model import Kind, State
from services.inference.records.model import Answered
from services.inference.records.recording import RecordedTensor, Recording

Key = tuple[str, str, str]
"""Project, deployment, model version."""
_RETRY_S = 30.0
_MAX_EVIDENCE = 16
_MAX_NAMED = 5

_log = structlog.get_logger("inference.drift")


class Trackers:
    """What is watched, by whom it is of. An Observer of the recorder; changed in the event loop only."""

    def __init__(self) -> None:
        self._by_key: Mapping[Key, Tracker] = {}

    def __call__(self, answers: Sequence[Answered]) -> None:
        """Hand each answer to who watches its version."""
        by_key = self._by_key  # replaced as a whole, so that no other thread sees it change
        if not by_key:
            return
        grouped: dict[Key, list[Answered]] = {}
        for answered in answers:
            served = answered.served
            key = served.project, served.deployment, served.model_version
            if key in by_key:
                grouped.setdefault(key, []).append(answered)
        for key, those in grouped.items():
            by_key[key].observe(those)

    def get(self, key: Key) -> Tracker | None:
        """Who watches this version; None for nobody."""
        return self._by_key.get(key)

    def replace(self, trackers: Mapping[Key, Tracker]) -> None:
        """Let these watch, and nobody else."""
        self._by_key = dict(trackers)


@dataclasses.dataclass(slots=True)
class _Followed:
    """One version that is watched, and the incident that lasts."""

    loaded: Loaded
    learned: Learned
    rules: tuple[Drift, Recording]
    tracker: Tracker
    incident: IncidentName | None = None
    alerts: tuple[str, ...] = ()


class Monitor:
    """Used in one event loop, which runs :meth:`run`."""

    def __init__(
        self,
        serving: Serving,
        incidents: IncidentLog,
        baselines: Baselines,
        references: ReferenceStore,
        trackers: Trackers,
        clock: Clock,
        *,
        interval_s: float,
    ) -> None:
        self._serving = serving
        self._incidents = incidents
        self._baselines = baselines
        self._references = references
        self._trackers = trackers
        self._clock = clock
        self._interval_s = interval_s
        self._followed: dict[Key, _Followed] = {}
        self._waiting: dict[Key, tuple[float, str]] = {}
        """When it is tried again to watch a version, and why it could not be."""

    async def run(self) -> None:
        """Look every interval, for ever."""
        while True:
            await self.step()
            await asyncio.sleep(self._interval_s)

    async def step(self) -> None:
        """Look once at everything that is served."""
        await self._follow(
            {
                _key(loaded): (follower.deployment, loaded)
                for follower in self._serving.followers()
                if follower.deployment.options.drift.enabled
                for loaded in follower.versions()
            }
        )
        for followed in list(self._followed.values()):
            await self._look(followed)

    async def _look(self, followed: _Followed) -> None:
        try:
            window = await asyncio.to_thread(followed.tracker.step, self._clock.now())
        except Exception:  # what callers send and models answer must not end this for all others
            _log.exception("drift cannot be told", model_version=followed.loaded.served.model_version)
            return
        if window is not None:
            self._report(followed, window)
        await self._keep(followed)

    async def _follow(self, wanted: Mapping[Key, tuple[Deployment, Loaded]]) -> None:
        """Watch these versions, by the rules of their deployments, and no others."""
        for key, followed in list(self._followed.items()):
            if key not in wanted:
                self._end(key, "it is watched no longer")
            elif _rules(wanted[key][0]) != followed.rules:
                self._end(key, "it is watched by other rules now")
            elif _learned(*wanted[key]) != followed.learned:  # of the same names
                self._end(key, "another deployment or model has taken its place")
        self._waiting = {key: waits for key, waits in self._waiting.items() if key in wanted}
        for key, (deployment, loaded) in wanted.items():
            if key in self._followed:
                self._followed[key].loaded = loaded
            elif self._waiting.get(key, (0.0, ""))[0] <= self._clock.monotonic():
                await self._begin(key, deployment, loaded)

    def watched(self, loaded: Loaded) -> Watched | None:
        """What is known of a version; None while nobody watches it."""
        tracker = self._trackers.get(_key(loaded))
        return None if tracker is None else tracker.watched()

    def last_window(self, loaded: Loaded) -> Window | None:
        """The last window of a version that is complete."""
        tracker = self._trackers.get(_key(loaded))
        return None if tracker is None else tracker.last

    def why_not(self, loaded: Loaded) -> str:
        """Why a version is not watched, though it is to be; empty where there is nothing to say."""
        return self._waiting.get(_key(loaded), (0.0, ""))[1]

    async def close(self) -> None:
        """Say of what lasts that nobody in this process looks any more."""
        for key in list(self._followed):
            self._end(key, "the process that watched it has ended")

    async def _begin(self, key: Key, deployment: Deployment, loaded: Loaded) -> None:
        drift, recording = rules = _rules(deployment)
        learned = _learned(deployment, loaded)
        try:
            profile, note = await self._baselines.of(loaded.version, drift)
            references = await self._references.get(learned)
        except HeadwaterError as error:
            self._waiting[key] = self._clock.monotonic() + _RETRY_S, f"{error.reason}: {error}"
            _log.warning("drift cannot be watched", deployment=str(deployment.name), reason=error.reason)
            return
        self._waiting.pop(key, None)
        tracker = Tracker(
            loaded.served.model_version,
            loaded.version.digest,
            drift,
            self._clock.now(),
            batchable=loaded.batcher.signature.batchable,
            profile=profile,
            note=note,
            columns={
                Side.INPUT: _columns(drift.inputs, recording.inputs),
                Side.PREDICTION: _columns(drift.outputs, recording.outputs),
            },
            learned=references,
        )
        self._followed[key] = _Followed(loaded, learned, rules, tracker)
        self._show()

    async def _keep(self, followed: _Followed) -> None:
        """Keep what was learned; what another replica kept before is what holds."""
        news = followed.tracker.take_news()
        if not news:
            return
        try:
            followed.tracker.adopt(await self._references.keep(followed.learned, news))
        except Unavailable as error:
            followed.tracker.give_back(news)
            _log.warning("what was learned of requests cannot be kept", reason=error.reason)

    def _report(self, followed: _Followed, window: Window) -> None:
        alerts = window.alerts
        named = ", ".join(str(each) for each in alerts[:_MAX_NAMED])
        more = f" and {len(alerts) - _MAX_NAMED} more" if len(alerts) > _MAX_NAMED else ""
        what = f"{window.rows} rows are unlike what they are compared with: {named}{more}"
        names = tuple(sorted(each.feature for each in alerts))
        if alerts and followed.incident is None:
            incident = incident_of(Kind.DRIFTED, what, followed.loaded, self._clock)
            evidence = dataclasses.replace(incident.evidence, drifted=tuple(alerts[:_MAX_EVIDENCE]))
            self._incidents.begin(dataclasses.replace(incident, evidence=evidence))
            followed.incident = incident.name
        elif followed.incident is not None and not alerts:
            text = f"{window.rows} rows are within the bounds again"
            self._incidents.note(followed.incident, text, State.RECOVERED)
            followed.incident = None
        elif followed.incident is not None and names != followed.alerts:
            self._incidents.note(followed.incident, what)
        followed.alerts = names

    def _end(self, key: Key, why: str) -> None:
        followed = self._followed.pop(key)
        if followed.incident is not None:
            self._incidents.note(followed.incident, why, State.RECOVERED)
        self._show()

    def _show(self) -> None:
        self._trackers.replace({key: followed.tracker for key, followed in self._followed.items()})


def _key(loaded: Loaded) -> Key:
    served = loaded.served
    return served.project, served.deployment, served.model_version


def _learned(deployment: Deployment, loaded: Loaded) -> Learned:
    """What is learned of first requests belongs to a version, by the uid of its model, within a deployment."""
    return Learned(deployment.uid, str(Use.of(deployment, loaded.version).version), deployment.options.drift.first_rows)


def _rules(deployment: Deployment) -> tuple[Drift, Recording]:
    """What of a deployment decides what is looked at."""
    return deployment.options.drift, deployment.options.recording


def _columns(followed: Sequence[FollowedTensor], recorded: Sequence[RecordedTensor]) -> Mapping[str, Columns]:
    """What is known of tensors by both, and what must not be looked at."""
    known: dict[str, Columns] = {}
    for each in recorded:
        hidden = None if each.redacted else frozenset(each.numbers)
        known[each.name] = Columns(each.columns, hidden)
    for tensor in followed:
        known[tensor.name] = dataclasses.replace(known.get(tensor.name, Columns()), names=tensor.columns)
    return known
