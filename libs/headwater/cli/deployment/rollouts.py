"""``headwater deployment rollout``: a version takes over by steps, or goes back by itself."""

import cyclopts

from headwater import references, rollouts
from headwater.cli.deployment.app import AsJson, app
from headwater.cli.render import as_json, facts, table, when
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.inference.v1.rollouts_pb2 import Rollout, RolloutEvent, RolloutStep
from headwater.names import DEFAULT_PROJECT, DeploymentName, RolloutName

rollout = cyclopts.App(name="rollout", help="Let a version take over by steps while its objectives hold.")
app.command(rollout)


@rollout.command
def start(
    name: str,
    version: str,
    *,
    steps: str = "1,5,25,50",
    min_requests: int = 100,
    min_seconds: float = 60.0,
    max_error_rate: float | None = None,
    max_p99_ms: float | None = None,
    min_agreement: float | None = None,
    max_drift_psi: float | None = None,
    shadow_percent: float = 0.0,
    wait: bool = False,
    in_json: AsJson = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Roll out a version: more and more requests while the objectives hold, else none, and an incident.

    Parameters
    ----------
    name
        The served name.
    version
        3 or v1.2.3 is a version, production and staging are stages, any other word is an alias. What it stands for now
        is rolled out.
    steps
        The shares in percent, ascending; after the last one the version becomes the deployment's own. With a share of 0
        it gets copies only.
    min_requests
        How many requests the version must have answered in each step.
    min_seconds
        How long each step takes at least.
    max_error_rate
        The largest share of requests at which it may fail; 0.01 where no objective is given.
    max_p99_ms
        The largest p99 from arrival to answer, in milliseconds.
    min_agreement
        The smallest share of its shadow answers that agree with the main version's.
    max_drift_psi
        How far a feature may drift in a window, as PSI; the deployment must watch drift.
    shadow_percent
        The share of the main version's requests that it gets copies of; all of them with min_agreement.
    wait
        Return only when it has ended.
    in_json
        Print the rollout as JSON.
    project
        The project of the deployment.
    """
    planned = [
        RolloutStep(weight_percent=share, min_requests=min_requests, min_seconds=min_seconds)
        for share in _shares(steps)
    ]
    with Connection.discover() as connection:
        started = rollouts.start(
            connection,
            references.deployment(name, project),
            version,
            planned,
            max_error_rate=max_error_rate,
            max_p99_ms=max_p99_ms,
            min_agreement=min_agreement,
            max_drift_psi=max_drift_psi,
            shadow_percent=shadow_percent,
        )
        _print(rollouts.wait(connection, RolloutName.parse(started.name)) if wait else started, in_json)


@rollout.command
def show(name: str, rollout: str = "", *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Show a rollout with what was measured at each of its steps.

    Parameters
    ----------
    name
        The served name.
    rollout
        Its id; the newest unless given.
    in_json
        Print the rollout as JSON.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        _print(rollouts.get(connection, _named(connection, references.deployment(name, project), rollout)), in_json)


@rollout.command(name="list")
def list_(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """List the rollouts to a deployment, newest first.

    Parameters
    ----------
    name
        The served name.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        found = rollouts.find(connection, references.deployment(name, project))
    rows = [
        (each.name.rpartition("/")[2], when(each.create_time), each.plan.version, _state(each), each.events[-1].reason)
        for each in found
    ]
    table(("rollout", "started", "version", "state", "last"), rows)


@rollout.command
def pause(name: str, rollout: str = "", *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Go no step further. If an objective does not hold, the version still goes back.

    Parameters
    ----------
    name
        The served name.
    rollout
        Its id; the newest unless given.
    in_json
        Print the rollout as JSON.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        _print(rollouts.pause(connection, _named(connection, references.deployment(name, project), rollout)), in_json)


@rollout.command
def resume(name: str, rollout: str = "", *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Go on after a pause.

    Parameters
    ----------
    name
        The served name.
    rollout
        Its id; the newest unless given.
    in_json
        Print the rollout as JSON.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        _print(rollouts.resume(connection, _named(connection, references.deployment(name, project), rollout)), in_json)


@rollout.command
def promote(name: str, rollout: str = "", *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """End it now with success: the version becomes the deployment's own.

    Parameters
    ----------
    name
        The served name.
    rollout
        Its id; the newest unless given.
    in_json
        Print the rollout as JSON.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        _print(rollouts.promote(connection, _named(connection, references.deployment(name, project), rollout)), in_json)


@rollout.command
def abort(name: str, rollout: str = "", *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """End it now: all requests go where they went before.

    Parameters
    ----------
    name
        The served name.
    rollout
        Its id; the newest unless given.
    in_json
        Print the rollout as JSON.
    project
        The project of the deployment.
    """
    with Connection.discover() as connection:
        _print(rollouts.abort(connection, _named(connection, references.deployment(name, project), rollout)), in_json)


def _named(connection: Connection, deployment: DeploymentName, rollout: str) -> RolloutName:
    if rollout:
        return RolloutName(deployment.project, deployment.deployment, rollout)
    return RolloutName.parse(rollouts.latest(connection, deployment).name)


def _shares(text: str) -> list[float]:
    try:
        return [float(part.strip().removesuffix("%")) for part in text.split(",")]
    except ValueError as error:
        raise InvalidArgument(
            f"steps must be percentages, 1,5,25 for example; they are {text!r}.", field="steps"
        ) from error


def _print(shown: Rollout, in_json: bool) -> None:
    if in_json:
        as_json(shown)
        return
    facts(
        rollout=shown.name,
        version=shown.plan.version,
        state=_state(shown),
        step=f"{shown.step + 1} of {len(shown.plan.steps)}, {shown.weight_percent:g} %",
        waits_for=shown.waits_for,
    )
    table(("when", "what", "share", "by", "why"), [_row(event) for event in shown.events])


def _row(event: RolloutEvent) -> tuple[object, ...]:
    what = RolloutEvent.Kind.Name(event.kind).removeprefix("KIND_").lower().replace("_", " ")
    return when(event.event_time), what, f"{event.weight_percent:g} %", event.actor, event.reason


def _state(shown: Rollout) -> str:
    return Rollout.State.Name(shown.state).removeprefix("STATE_").lower().replace("_", " ")
