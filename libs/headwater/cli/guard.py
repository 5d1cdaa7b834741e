"""``headwater guard``: how a deployment defends itself."""

from collections.abc import Mapping, Sequence
from typing import Any

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
    window_ms: int | None = None,
    consecutive_failures: int | None = None,
    min_requests: int | None = None,
    max_error_rate: float | None = None,
    max_p99_ms: int | None = None,
    open_ms: int | None = None,
    max_open_ms: int | None = None,
    probes: int | None = None,
    min_callers: int | None = None,
    also_counts: Sequence[str] | None = None,
    rollback_after_open_ms: int | None = None,
    probation_ms: int | None = None,
    probation_max_error_rate: float | None = None,
    probation_max_p99_ms: int | None = None,
    breaker: bool | None = None,
    rollback: bool | None = None,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Change rules of a deployment. What you do not name stays as it is; 0 stands for the default, which `show` shows.

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
    said: Mapping[str, object] = {
        "window_ms": window_ms,
        "breaker.consecutive_failures": consecutive_failures,
        "breaker.min_requests": min_requests,
        "breaker.max_error_rate": max_error_rate,
        "breaker.max_p99_ms": max_p99_ms,
        "breaker.open_ms": open_ms,
        "breaker.max_open_ms": max_open_ms,
        "breaker.probes": probes,
        "breaker.min_callers": min_callers,
        "breaker.also_counts": also_counts,
        "rollback.after_open_ms": rollback_after_open_ms,
        "rollback.probation_ms": probation_ms,
        "rollback.max_error_rate": probation_max_error_rate,
        "rollback.max_p99_ms": probation_max_p99_ms,
    }
    deployment = references.deployment(name, project)
    with Connection.discover() as connection:
        _print(
            guards.change(
                connection,
                deployment,
                _changes(said),
                breaker=breaker,
                rollback=rollback,
                defaults=[path for path, value in said.items() if value is not None and not value],
            )
        )


def _changes(said: Mapping[str, object]) -> guard_pb2.Guard:
    """What is to be put in the place of what holds, by the path of each field."""
    nested: dict[str, Any] = {}
    for path, value in said.items():
        part, _, field = path.rpartition(".")
        if value:
            (nested.setdefault(part, {}) if part else nested)[field] = value
    return guard_pb2.Guard(**nested)


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
