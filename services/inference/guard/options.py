"""What a deployment says about its own defence. Everything is on by default, with bounds that a healthy model keeps."""

import dataclasses

FAULTS = frozenset({"INTERNAL", "REMOTE_UNAVAILABLE"})
"""Reasons that are always the model's fault, beside those that begin with ``ENGINE_``."""
COUNTABLE = frozenset({"QUEUE_FULL", "QUEUE_TIMED_OUT", "REMOTE_BUSY", "DEADLINE_EXCEEDED"})
"""Reasons that can be the model's fault as well as the load's or the caller's: counted where a deployment says so."""


@dataclasses.dataclass(frozen=True, slots=True)
class BreakerRules:
    """When one version is not asked any more, and when it is tried again.

    Attributes:
        enabled: whether it ever opens.
        consecutive_failures: so many failures in a row open it.
        min_requests: over fewer requests in the window neither the error rate nor the latency is judged.
        max_error_rate: a share of failures above this opens it.
        max_p99_s: more than one answer in a hundred for which the engine took longer opens it; 0: not judged.
        open_s: how long it stays open the first time; twice as long each time after a probe that failed.
        max_open_s: the longest that it stays open without a probe.
        probes: so many requests try whether the version answers again, and all have to succeed.
        min_callers: while requests of fewer callers fail, it is what they send, and not the model's fault.
        also_counts: those of ``COUNTABLE`` that count as failures.
    """

    enabled: bool = True
    consecutive_failures: int = 5
    min_requests: int = 20
    max_error_rate: float = 0.5
    max_p99_s: float = 0.0
    open_s: float = 5.0
    max_open_s: float = 60.0
    probes: int = 3
    min_callers: int = 1
    also_counts: tuple[str, ...] = ()

    def is_fault(self, reason: str) -> bool:
        """Whether an error with this reason is the model's fault, and not its caller's or the load's."""
        return reason.startswith("ENGINE_") or reason in FAULTS or reason in self.also_counts


@dataclasses.dataclass(frozen=True, slots=True)
class RollbackRules:
    """When a deployment goes back to the last version that served well.

    Attributes:
        enabled: whether it does so by itself.
        after_open_s: when the breaker of what the selector chose has not closed for so long.
        probation_s: how long a version is on probation after it was put in place; having come through, it is good.
        max_error_rate: on probation, a share of failures above this is enough.
        max_p99_s: on probation, a p99 from arrival to answer above this is enough; 0: not judged.
    """

    enabled: bool = True
    after_open_s: float = 30.0
    probation_s: float = 300.0
    max_error_rate: float = 0.2
    max_p99_s: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Guarding:
    """A deployment's defence: over how many seconds it looks back, and its rules."""

    window_s: float = 30.0
    breaker: BreakerRules = dataclasses.field(default_factory=BreakerRules)
    rollback: RollbackRules = dataclasses.field(default_factory=RollbackRules)
