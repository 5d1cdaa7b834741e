"""A deployment's defence between protobuf and the domain. 0 stands for a default; what is shown is what holds."""

from headwater.inference.v1 import guard_pb2
from services.inference.deployments.errors import InvalidDeployment
from services.inference.guard.options import COUNTABLE, BreakerRules, Guarding, RollbackRules

_DEFAULTS = Guarding()


def guard_from_proto(message: guard_pb2.Guard) -> Guarding:
    """The defence that is asked for.

    Raises:
        InvalidDeployment: its rules contradict each other, or one of them says nothing.
    """
    return Guarding(
        _seconds(message.window_ms, _DEFAULTS.window_s), _breaker(message.breaker), _rollback(message.rollback)
    )


def guard_to_proto(guarding: Guarding) -> guard_pb2.Guard:
    """The same as the API shows it."""
    breaker, rollback = guarding.breaker, guarding.rollback
    return guard_pb2.Guard(
        window_ms=_ms(guarding.window_s),
        breaker=guard_pb2.CircuitBreaker(
            disabled=not breaker.enabled,
            consecutive_failures=breaker.consecutive_failures,
            min_requests=breaker.min_requests,
            max_error_rate=breaker.max_error_rate,
            max_p99_ms=_ms(breaker.max_p99_s),
            open_ms=_ms(breaker.open_s),
            max_open_ms=_ms(breaker.max_open_s),
            probes=breaker.probes,
            min_callers=breaker.min_callers,
            also_counts=breaker.also_counts,
        ),
        rollback=guard_pb2.Rollback(
            disabled=not rollback.enabled,
            after_open_ms=_ms(rollback.after_open_s),
            probation_ms=_ms(rollback.probation_s),
            max_error_rate=rollback.max_error_rate,
            max_p99_ms=_ms(rollback.max_p99_s),
        ),
    )


def _breaker(message: guard_pb2.CircuitBreaker) -> BreakerRules:
    default = _DEFAULTS.breaker
    open_s = _seconds(message.open_ms, default.open_s)
    max_open_s = _seconds(message.max_open_ms, max(default.max_open_s, open_s))
    if max_open_s < open_s:
        raise InvalidDeployment(
            "max_open_ms must not be less than open_ms.", field="deployment.guard.breaker.max_open_ms"
        )
    unknown = sorted(set(message.also_counts) - COUNTABLE)
    if unknown:
        raise InvalidDeployment(
            f"What can be counted besides is: {', '.join(sorted(COUNTABLE))}.",
            field="deployment.guard.breaker.also_counts",
            reason_code=unknown[0],
        )
    return BreakerRules(
        not message.disabled,
        message.consecutive_failures or default.consecutive_failures,
        message.min_requests or default.min_requests,
        _share(message.max_error_rate, default.max_error_rate, "breaker.max_error_rate"),
        message.max_p99_ms / 1000,
        open_s,
        max_open_s,
        message.probes or default.probes,
        message.min_callers or default.min_callers,
        tuple(sorted(message.also_counts)),
    )


def _rollback(message: guard_pb2.Rollback) -> RollbackRules:
    default = _DEFAULTS.rollback
    return RollbackRules(
        not message.disabled,
        _seconds(message.after_open_ms, default.after_open_s),
        _seconds(message.probation_ms, default.probation_s),
        _share(message.max_error_rate, default.max_error_rate, "rollback.max_error_rate"),
        message.max_p99_ms / 1000,
    )


def _share(given: float, default: float, field: str) -> float:
    if not 0 <= given <= 1:  # also not-a-number
        raise InvalidDeployment("A share is between 0 and 1.", field=f"deployment.guard.{field}")
    return given or default


def _seconds(milliseconds: int, default_s: float) -> float:
    return milliseconds / 1000 if milliseconds else default_s


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
