"""A rollout: the plan, how far it has come, and what was found on the way."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping, Sequence
from typing import Self

from headwater.names import DeploymentName, RolloutName
from services.inference.models.source import Selector, SelectorKind
from services.inference.traffic.options import CANARY, CANARY_SHADOW, Role, Routing, Variant


class State(enum.Enum):
    """How a rollout stands. The values are what the database keeps."""

    RUNNING = "running"
    PAUSED = "paused"
    """It goes no step further; where an objective does not hold, it still goes back."""
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"

    @property
    def active(self) -> bool:
        """Whether the version has its share of the requests, and it is not the deployment's own yet."""
        return self in (State.RUNNING, State.PAUSED)


class Kind(enum.Enum):
    """What happened. The values are what the database keeps."""

    STARTED = "started"
    ADVANCED = "advanced"
    PAUSED = "paused"
    RESUMED = "resumed"
    PROMOTED = "promoted"
    SUCCEEDED = "succeeded"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """The share of the requests that the version gets, until it has answered so many and so much time has passed. In a
    step with the share 0 its copies as a shadow are what counts."""

    weight_percent: float
    min_requests: int
    min_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Objectives:
    """What must hold in every step; None is not asked for."""

    max_error_rate: float | None = None
    max_p99_ms: float | None = None
    min_agreement: float | None = None
    """The share of its shadow answers that agree with those of the main version."""
    max_drift_psi: float | None = None
    """Of any feature in a window of its drift, unless by chance."""


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Which version takes over, and how. ``shadow_percent`` is the share of the requests that it gets copies of."""

    version: str
    steps: tuple[Step, ...]
    objectives: Objectives
    shadow_percent: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Evidence:
    """What one process has measured of the version during a step.

    Attributes:
        requests: that say something of the version: it answered them, or failed at them.
        errors: those of them at which it failed.
        reasons: the errors, by their reason.
        p99_ms: from arrival to answer; 0 where nothing was answered.
        compared: copies that it was asked as a shadow.
        agreed: those in which it agreed with the main version.
        largest_difference: of two numbers in what was compared; None for one that is not finite.
        drift_rows: in the last window of its drift that ended in the step; 0 where none has.
        drifted: the feature that has gone farthest in it, and not by chance; empty for none.
        drift_psi: how far.
    """

    requests: int = 0
    errors: int = 0
    reasons: Mapping[str, int] = dataclasses.field(default_factory=dict)
    p99_ms: float = 0.0
    compared: int = 0
    agreed: int = 0
    largest_difference: float | None = 0.0
    drift_rows: int = 0
    drifted: str = ""
    drift_psi: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a rollout. ``actor`` is who asked for it; empty where it happened by itself."""

    kind: Kind
    time: datetime.datetime
    step: int
    weight_percent: float
    actor: str = ""
    reason: str = ""
    evidence: Evidence | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout. ``revision`` grows with every change of it; ``step`` counts from 0; times are the database's."""

    uid: str
    deployment: DeploymentName
    deployment_uid: str
    plan: Plan
    state: State
    step: int
    step_time: datetime.datetime
    create_time: datetime.datetime
    update_time: datetime.datetime
    created_by: str
    events: tuple[Event, ...]
    revision: int = 1

    @property
    def name(self) -> RolloutName:
        """The resource name."""
        return RolloutName(self.deployment.project, self.deployment.deployment, self.uid)

    @property
    def etag(self) -> str:
        """Of this rollout in this state."""
        return f'"{self.uid}.{self.revision}"'

    @property
    def weight_percent(self) -> float:
        """The share of the requests that the version has now as the one that is rolled out."""
        return self.plan.steps[self.step].weight_percent if self.state.active else 0.0

    @property
    def selector(self) -> Selector:
        """Of the version that is rolled out."""
        return Selector(SelectorKind.VERSION, self.plan.version)

    def moved(
        self,
        kind: Kind,
        state: State,
        now: datetime.datetime,
        *,
        step: int | None = None,
        actor: str = "",
        reason: str = "",
        evidence: Evidence | None = None,
    ) -> Self:
        """The rollout after something has happened to it."""
        new_step = self.step if step is None else step
        changed = dataclasses.replace(
            self,
            state=state,
            step=new_step,
            step_time=self.step_time if step is None else now,
            update_time=now,
            revision=self.revision + 1,
        )
        event = Event(kind, now, new_step, changed.weight_percent, actor, reason, evidence)
        return dataclasses.replace(changed, events=(*self.events, event))


def overlaid(routing: Routing, rollout: Rollout | None) -> Routing:
    """How requests are shared out while ``rollout`` is active: as the deployment says, and the version beside it."""
    if rollout is None or not rollout.state.active:
        return routing
    left = routing.main_percent
    canary = Variant(CANARY, rollout.selector, min(rollout.weight_percent, left))
    added: Sequence[Variant] = [canary]
    if rollout.plan.shadow_percent:
        added = [canary, Variant(CANARY_SHADOW, rollout.selector, rollout.plan.shadow_percent, Role.SHADOW)]
    return dataclasses.replace(routing, variants=(*added, *routing.variants))
