"""IncidentService: convert, call, convert."""

from typing import Any

from chassis.auth import current_principal
from headwater.inference.v1 import incidents_pb2, incidents_pb2_grpc
from headwater.names import DeploymentName, IncidentName, InvalidName, ProjectName
from services.inference.incidents.convert import incident_to_proto, state_from_proto
from services.inference.incidents.log import IncidentLog
from services.inference.incidents.store import Wanted


class IncidentServicer(incidents_pb2_grpc.IncidentServiceServicer):
    """See protos/headwater/inference/v1/incidents.proto."""

    def __init__(self, incidents: IncidentLog) -> None:
        self._incidents = incidents

    async def GetIncident(self, request: incidents_pb2.GetIncidentRequest, _context: Any) -> incidents_pb2.Incident:
        """See the proto."""
        return incident_to_proto(await self._incidents.get(IncidentName.parse(request.name)), whole=True)

    async def ListIncidents(
        self, request: incidents_pb2.ListIncidentsRequest, _context: Any
    ) -> incidents_pb2.ListIncidentsResponse:
        """See the proto."""
        project = ProjectName.parse(request.parent, "parent").project
        wanted = Wanted(project, _deployment_of(project, request.deployment), state_from_proto(request.state))
        page = await self._incidents.page(wanted, request.page_size, request.page_token)
        return incidents_pb2.ListIncidentsResponse(
            incidents=[incident_to_proto(incident, whole=False) for incident in page.items],
            next_page_token=page.next_page_token,
        )

    async def AcknowledgeIncident(
        self, request: incidents_pb2.AcknowledgeIncidentRequest, _context: Any
    ) -> incidents_pb2.Incident:
        """See the proto."""
        name, actor = IncidentName.parse(request.name), current_principal().subject
        return incident_to_proto(await self._incidents.acknowledge(name, actor, request.note), whole=True)

    async def ResolveIncident(
        self, request: incidents_pb2.ResolveIncidentRequest, _context: Any
    ) -> incidents_pb2.Incident:
        """See the proto."""
        name, actor = IncidentName.parse(request.name), current_principal().subject
        return incident_to_proto(await self._incidents.resolve(name, actor, request.note), whole=True)


def _deployment_of(project: str, text: str) -> str:
    if not text:
        return ""
    name = DeploymentName.parse(text, "deployment")
    if name.project != project:
        raise InvalidName(f"deployment must be one of projects/{project}.", field="deployment")
    return name.deployment
