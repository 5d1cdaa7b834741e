"""An incident: one trip of a deployment's defence, from its cause to its end."""

import dataclasses
import datetime
import enum
from collections.abc import Sequence
from typing import Self

from headwater.errors import FailedPrecondition, NotFound
from headwater.names import IncidentName
from services.inference.drift.model import FeatureDrift
from services.inference.guard.options import Guarding
from services.inference.guard.window import Measured
from services.inference.texts import storable

MAX_REQUESTS = 32
MAX_TEXT = 300
_FIRST_EVENTS, _LAST_EVENTS = 16, 48

ITSELF = "headwater"
"""The actor of what the platform does by itself."""


class IncidentNotFound(NotFound):
    """No incident of this id is there."""

    reason = "INCIDENT_NOT_FOUND"
    text = "No such incident."


class IncidentResolved(FailedPrecondition):
    """The incident was resolved already."""

    reason = "INCIDENT_RESOLVED"
    text = "The incident is resolved."


class Kind(enum.Enum):
    """What happened. The values are what the database keeps."""

    BREAKER_OPENED = "breaker-opened"
    ROLLED_BACK = "rolled-back"
    CANARY_ABORTED = "canary-aborted"
    FALLBACKS_EXHAUSTED = "fallbacks-exhausted"
    ENGINE_CRASHED = "engine-crashed"
    DRIFTED = "drifted"


class State(enum.Enum):
    """How it stands. RECOVERED: it passed by itself; RESOLVED: somebody said that nothing is left to do."""

    OPEN = "open"
    RECOVERED = "recovered"
    RESOLVED = "resolved"


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in it, who or what did it, and from when."""

    time: datetime.datetime
    what: str
    actor: str = ITSELF


@dataclasses.dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request that is part of the evidence; ``reason`` is empty where it was answered."""

    end_time: datetime.datetime
    request_id: str
    client_request_id: str
    caller: str
    latency_ms: float
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class Version:
    """A version that is part of it. ``part`` is what it has to do with it: ``failing``, ``good``."""

    part: str
    model_version: str
    model_digest: str


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """What was the case when it began: bounded, whatever callers send."""

    requests: tuple[AskedRequest, ...] = ()
    measured: Measured | None = None
    versions: tuple[Version, ...] = ()
    rules: Guarding | None = None
    drifted: tuple[FeatureDrift, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Incident:
    """One incident. ``sequence`` is the store's order; 0 until it is stored."""

    id: str
    project: str
    deployment: str
    kind: Kind
    reason: str
    create_time: datetime.datetime
    state: State = State.OPEN
    end_time: datetime.datetime | None = None
    acknowledged_by: str = ""
    resolved_by: str = ""
    note: str = ""
    evidence: Evidence = dataclasses.field(default_factory=Evidence)
    timeline: tuple[Event, ...] = ()
    events_left_out: int = 0
    """Events from the middle of a long timeline that were not kept."""
    sequence: int = 0

    @property
    def name(self) -> IncidentName:
        """Its resource name."""
        return IncidentName(self.project, self.id)

    def after(self, events: Sequence[Event], state: State | None = None) -> Self:
        """The incident with what happened since, in this state unless somebody has resolved it."""
        timeline = (*self.timeline, *events)
        left_out = max(len(timeline) - _FIRST_EVENTS - _LAST_EVENTS, 0)
        if left_out:
            timeline = (*timeline[:_FIRST_EVENTS], *timeline[_FIRST_EVENTS + left_out :])
        changed = dataclasses.replace(self, timeline=timeline, events_left_out=self.events_left_out + left_out)
        if state is None or self.state is State.RESOLVED:
            return changed
        return dataclasses.replace(
            changed, state=state, end_time=events[-1].time if state is not State.OPEN and events else None
        )

    def acknowledged(self, actor: str, note: str, now: datetime.datetime) -> Self:
        """Somebody looks after it.

        Raises:
            IncidentResolved: there is nothing to look after any more.
        """
        if self.state is State.RESOLVED:
            raise IncidentResolved(incident=self.name, resolved_by=self.resolved_by)
        changed = self.after([Event(now, _said("acknowledged", note), actor)])
        return dataclasses.replace(changed, acknowledged_by=actor, note=note or self.note)

    def resolved(self, actor: str, note: str, now: datetime.datetime) -> Self:
        """Somebody says that nothing is left to do.

        Raises:
            IncidentResolved: it was resolved before.
        """
        if self.state is State.RESOLVED:
            raise IncidentResolved(incident=self.name, resolved_by=self.resolved_by)
        changed = self.after([Event(now, _said("resolved", note), actor)])
        return dataclasses.replace(
            changed,
            state=State.RESOLVED,
            end_time=self.end_time or now,
            resolved_by=actor,
            note=note or self.note,
        )


def shortened(text: str) -> str:
    """At most ``MAX_TEXT`` characters of what a caller or an engine has said, without any that no database keeps."""
    kept = storable(text[:MAX_TEXT])
    return kept if len(text) <= MAX_TEXT else f"{kept[:-1]}…"


def _said(what: str, note: str) -> str:
    return f"{what}: {note}" if note else what
