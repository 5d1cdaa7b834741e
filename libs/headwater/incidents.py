"""Incidents from Python: what went wrong with something served, with the evidence, and who looks after it."""

from collections.abc import Iterator

from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.inference.v1 import incidents_pb2, incidents_pb2_grpc
from headwater.names import DeploymentName, IncidentName, ProjectName
from headwater.pages import pages

STATES = ("open", "recovered", "resolved")


def find(
    connection: Connection,
    project: ProjectName,
    *,
    deployment: DeploymentName | None = None,
    state: str = "",
) -> Iterator[incidents_pb2.Incident]:
    """The incidents of a project, newest first, without their evidence; those of one ``deployment``, or in one
    ``state``, when that is given.

    Raises:
        InvalidArgument: there is no such state.
    """
    if state and state not in STATES:
        raise InvalidArgument(f"The state must be one of {', '.join(STATES)}.", field="state")
    request = incidents_pb2.ListIncidentsRequest(
        parent=str(project),
        page_size=200,
        deployment=str(deployment) if deployment else "",
        state=incidents_pb2.Incident.State.Value(f"STATE_{(state or 'unspecified').upper()}"),
    )
    for page in pages(_incidents(connection).ListIncidents, request):
        yield from page.incidents


def get(connection: Connection, name: IncidentName) -> incidents_pb2.Incident:
    """One incident with its evidence; raises NotFound."""
    return _incidents(connection).GetIncident(incidents_pb2.GetIncidentRequest(name=str(name)))


def acknowledge(connection: Connection, name: IncidentName, note: str = "") -> incidents_pb2.Incident:
    """Say that you look after it.

    Raises:
        NotFound
        FailedPrecondition: it is resolved.
    """
    request = incidents_pb2.AcknowledgeIncidentRequest(name=str(name), note=note)
    return _incidents(connection).AcknowledgeIncident(request)


def resolve(connection: Connection, name: IncidentName, note: str = "") -> incidents_pb2.Incident:
    """Say that nothing is left to do, and in ``note`` what it was.

    Raises:
        NotFound
        FailedPrecondition: it was resolved before.
    """
    request = incidents_pb2.ResolveIncidentRequest(name=str(name), note=note)
    return _incidents(connection).ResolveIncident(request)


def _incidents(connection: Connection) -> incidents_pb2_grpc.IncidentServiceStub:
    return incidents_pb2_grpc.IncidentServiceStub(connection.channel("inference"))
