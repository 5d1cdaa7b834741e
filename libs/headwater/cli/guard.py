"""``headwater guard``: how a deployment defends itself."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import cyclopts

from headwater import guards, references
from headwater.cli.render import facts
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.inference.v1 import guard_pb2
from headwater.names import DEFAULT_PROJECT

app = cyclopts.App(name="guard", help="How a deployment defends itself against a version that fails.")
_PATHS = {
    "window-ms": "window_ms",
    "consecutive-failures": "breaker.consecutive_failures",
    "min-requests": "breaker.min_requests",
    "max-error-rate": "breaker.max_error_rate",
    "max-p99-ms": "breaker.max_p99_ms",
    "open-ms": "breaker.open_ms",
    "max-open-ms": "breaker.max_open_ms",
    "probes": "breaker.probes",
    "min-callers": "breaker.min_callers",
    "also-counts": "breaker.also_counts",
    "rollback-after-open-ms": "rollback.after_open_ms",
    "probation-ms": "rollback.probation_ms",
    "probation-max-error-rate": "rollback.max_error_rate",
    "probation-max-p99-ms": "rollback.max_p99_ms",
}
"""Where the option stands in the rules, by its name here."""
_OFF_AT_0 = frozenset({"breaker.max_p99_ms", "rollback.max_p99_ms"})


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
    default: Annotated[tuple[str, ...], cyclopts.Parameter(negative="", consume_multiple=False)] = (),
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
        Opens it when more than one answer in a hundred takes the engine longer; 0: latency is not judged.
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
        On probation, a p99 from arrival to answer above this is enough; 0: it is not judged.
    breaker
        Whether breakers open.
    rollback
        Whether the deployment goes back by itself.
    default
        Put this option back to its default: window-ms, for example. May be given several times.
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
    restored = _restored(default, said)
    deployment = references.deployment(name, project)
    with Connection.discover() as connection:
        _print(
            guards.change(
                connection,
                deployment,
                _changes(said),
                breaker=breaker,
                rollback=rollback,
                defaults=[*restored, *(path for path, value in said.items() if value is not None and not value)],
            )
        )


def _restored(options: Sequence[str], said: Mapping[str, object]) -> list[str]:
    """What is to have its default again.

    Raises:
        InvalidArgument: no such option, one that is given as well, or a 0 that could be taken for a default.
    """
    words = {path: word for word, path in _PATHS.items()}
    for path, value in said.items():
        if value == 0 and path not in _OFF_AT_0:
            word = words[path]
            raise InvalidArgument(f"{word} cannot be 0; --default {word} puts it back to its default.", field=word)
    for word in options:
        if word not in _PATHS:
            raise InvalidArgument(f"{word} has no default; there are {', '.join(_PATHS)}.", field="default")
        if said[_PATHS[word]] is not None:
            raise InvalidArgument(f"Give --{word} or --default {word}.", field="default")
    return [_PATHS[word] for word in options]


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
