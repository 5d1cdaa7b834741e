"""``headwater incident``: what went wrong with something served, and who looks after it."""

from typing import Annotated

import cyclopts

from headwater import incidents, references
from headwater.cli.render import as_json, facts, output, table, when
from headwater.client import Connection
from headwater.inference.v1 import incidents_pb2
from headwater.names import DEFAULT_PROJECT

AsJson = Annotated[bool, cyclopts.Parameter(name="--json", negative="")]
app = cyclopts.App(name="incident", help="Incidents: what went wrong with something served, with the evidence.")


@app.command(name="list")
def list_(*, deployment: str | None = None, state: str = "", project: str = DEFAULT_PROJECT) -> None:
    """List incidents, newest first.

    Parameters
    ----------
    deployment
        Only those of this deployment.
    state
        Only those in this state: open, recovered (it passed by itself) or resolved (somebody said so).
    project
        The project of both.
    """
    with Connection.discover() as connection:
        found = incidents.find(
            connection,
            references.project(project),
            deployment=references.deployment(deployment, project) if deployment else None,
            state=state,
        )
        rows = [
            (_last(each.name), when(each.create_time), _kind(each), _state(each), _last(each.deployment), each.reason)
            for each in found
        ]
    table(("incident", "began", "kind", "state", "deployment", "reason"), rows)


@app.command
def show(incident: str, *, in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Show one incident with its evidence.

    Parameters
    ----------
    incident
        Its id, or its full name.
    in_json
        Print the incident as JSON.
    project
        Its project.
    """
    with Connection.discover() as connection:
        _print(incidents.get(connection, references.incident(incident, project)), in_json)


@app.command
def acknowledge(incident: str, *, note: str = "", in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Say that you look after an incident.

    Parameters
    ----------
    incident
        Its id, or its full name.
    note
        What there is to say.
    in_json
        Print the incident as JSON.
    project
        Its project.
    """
    with Connection.discover() as connection:
        _summary(incidents.acknowledge(connection, references.incident(incident, project), note), in_json)


@app.command
def resolve(incident: str, *, note: str = "", in_json: AsJson = False, project: str = DEFAULT_PROJECT) -> None:
    """Say that nothing is left to do about an incident.

    Parameters
    ----------
    incident
        Its id, or its full name.
    note
        What it was, and what was done.
    in_json
        Print the incident as JSON.
    project
        Its project.
    """
    with Connection.discover() as connection:
        _summary(incidents.resolve(connection, references.incident(incident, project), note), in_json)


def _summary(incident: incidents_pb2.Incident, in_json: bool = False) -> None:
    if in_json:
        as_json(incident)
        return
    ended = incident.HasField("end_time")
    facts(
        incident=incident.name,
        deployment=incident.deployment,
        kind=_kind(incident),
        state=_state(incident),
        reason=incident.reason,
        began=when(incident.create_time),
        ended=when(incident.end_time) if ended else "",
        acknowledged_by=incident.acknowledged_by,
        resolved_by=incident.resolved_by,
        note=incident.note,
        **{version.part: f"{version.model_version} {version.model_digest}" for version in incident.versions},
    )


def _print(incident: incidents_pb2.Incident, in_json: bool) -> None:
    _summary(incident, in_json)
    if in_json:
        return
    measured = incident.measurements
    if incident.HasField("measurements"):
        failed = ", ".join(f"{count} {reason}" for reason, count in sorted(measured.failed.items()))
        output.print(f"\nIn the {measured.window_ms / 1000:g} s before:")
        latency = f"p50 {measured.p50_ms:.3g} ms, p95 {measured.p95_ms:.3g} ms, p99 {measured.p99_ms:.3g} ms"
        facts(
            answered=measured.answered,
            failed=failed,
            error_rate=f"{measured.error_rate:.1%}",
            latency=latency if measured.answered else "",
        )
    if incident.requests:
        output.print("\nThe last requests:")
        table(
            ("ended", "request", "caller", "ms", "result"),
            (
                (when(each.end_time), each.request_id, each.caller, f"{each.latency_ms:.1f}", each.reason or "answered")
                for each in incident.requests
            ),
        )
    output.print("\nWhat happened:")
    table(("when", "what", "who"), ((when(event.time), event.what, event.actor) for event in incident.timeline))


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _kind(incident: incidents_pb2.Incident) -> str:
    return incidents_pb2.Incident.Kind.Name(incident.kind).removeprefix("KIND_").lower().replace("_", " ")


def _state(incident: incidents_pb2.Incident) -> str:
    return incidents_pb2.Incident.State.Name(incident.state).removeprefix("STATE_").lower()
