"""``headwater guard``: how a deployment defends itself."""

from collections.abc import Sequence
from typing import Annotated

import cyclopts

from headwater import guards, references
from headwater.cli.render import facts
from headwater.client import Connection
from headwater.inference.v1 import guard_pb2
from headwater.names import DEFAULT_PROJECT

app = cyclopts.App(name="guard", help="How a deployment defends itself against a version that fails.")


@app.command
def show(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Show the rules of a deployment.

    Parameters
    ----------
    name
        The served name.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        _print(guards.get(connection, references.deployment(name, project)))


@app.command(name="set")
def set_(
    name: str,
    *,
    window_ms: int = 0,
    consecutive_failures: int = 0,
    min_requests: int = 0,
    max_error_rate: float = 0.0,
    max_p99_ms: int = 0,
    open_ms: int = 0,
    max_open_ms: int = 0,
    probes: int = 0,
    min_callers: int = 0,
    also_counts: Annotated[Sequence[str], cyclopts.Parameter(negative="")] = (),
    rollback_after_open_ms: int = 0,
    probation_ms: int = 0,
    probation_max_error_rate: float = 0.0,
    probation_max_p99_ms: int = 0,
    breaker: bool | None = None,
    rollback: bool | None = None,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Change rules of a deployment. What you do not name stays as it is.

    Parameters
    ----------
    name
        The served name.
    window_ms
        How far back requests are judged.
    consecutive_failures
        So many failures in a row open the breaker of a version.
    min_requests
        Over fewer requests neither error rate nor latency is judged.
    max_error_rate
        A share of failures above this opens it.
    max_p99_ms
        Opens it when more than one answer in a hundred takes the engine longer.
    open_ms
        How long it stays open the first time.
    max_open_ms
        The longest that it stays open without a probe.
    probes
        So many requests try whether the version answers again.
    min_callers
        The model must fail at requests of so many callers before it counts.
    also_counts
        Reasons that count as failures beside the model's own: QUEUE_FULL, DEADLINE_EXCEEDED and others.
    rollback_after_open_ms
        The deployment goes back when the breaker has not closed for so long.
    probation_ms
        How long a version is on probation after it was put in place.
    probation_max_error_rate
        On probation, a share of failures above this is enough.
    probation_max_p99_ms
        On probation, a p99 from arrival to answer above this is enough.
    breaker
        Whether breakers open.
    rollback
        Whether the deployment goes back by itself.
    project
        The project of the deployment.
    """
    changes = guard_pb2.Guard(
        window_ms=window_ms,
        breaker=guard_pb2.CircuitBreaker(
            consecutive_failures=consecutive_failures,
            min_requests=min_requests,
            max_error_rate=max_error_rate,
            max_p99_ms=max_p99_ms,
            open_ms=open_ms,
            max_open_ms=max_open_ms,
            probes=probes,
            min_callers=min_callers,
            also_counts=also_counts,
        ),
        rollback=guard_pb2.Rollback(
            after_open_ms=rollback_after_open_ms,
            probation_ms=probation_ms,
            max_error_rate=probation_max_error_rate,
            max_p99_ms=probation_max_p99_ms,
        ),
    )
    deployment = references.deployment(name, project)
    with Connection.discover() as connection:
        _print(guards.change(connection, deployment, changes, breaker=breaker, rollback=rollback))


def _print(guard: guard_pb2.Guard) -> None:
    breaker, rollback = guard.breaker, guard.rollback
    facts(
        window=f"{guard.window_ms} ms",
        breaker="off" if breaker.disabled else "on",
        consecutive_failures=breaker.consecutive_failures,
        min_requests=breaker.min_requests,
        max_error_rate=breaker.max_error_rate,
        max_p99=f"{breaker.max_p99_ms} ms" if breaker.max_p99_ms else "not judged",
        open=f"{breaker.open_ms} ms, later up to {breaker.max_open_ms} ms",
        probes=breaker.probes,
        min_callers=breaker.min_callers,
        also_counts=", ".join(breaker.also_counts),
        rollback="off" if rollback.disabled else "on",
        rollback_after_open=f"{rollback.after_open_ms} ms",
        probation=f"{rollback.probation_ms} ms",
        probation_max_error_rate=rollback.max_error_rate,
        probation_max_p99=f"{rollback.max_p99_ms} ms" if rollback.max_p99_ms else "not judged",
    )
