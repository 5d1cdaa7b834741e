"""The pages about incidents: their list, and one with its evidence."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater import incidents
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.inference.v1 import incidents_pb2, incidents_pb2_grpc
from headwater.names import DeploymentName, IncidentName, ProjectName
from services.gateway.explained import explained
from services.gateway.listing import Listing, listed
from services.gateway.pages import page
from services.gateway.serving import standings
from services.gateway.serving.drift import features_of
from services.gateway.serving.options import rules
from services.gateway.serving.paths import INCIDENT, INCIDENTS
from services.gateway.serving.wording import lasting, ms

_LISTED: Final = 50


class IncidentPages:
    """Pages over the inference service, read in the caller's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The pages."""
        return [
            Route(INCIDENTS, explained(self.project), methods=["GET"]),
            Route(INCIDENT, explained(self.incident), methods=["GET"]),
        ]

    async def project(self, request: Request) -> Response:
        """The incidents of a project, newest first: ``?deployment=`` of one, ``?state=open`` in one state."""
        name = ProjectName(request.path_params["project"])
        asked = {key: request.query_params.get(key, "").strip() for key in ("deployment", "state")}
        token = request.query_params.get("page", "")
        found = await asyncio.to_thread(self._found, name, asked["deployment"], asked["state"], token)
        return page(
            "serving/incidents.html",
            found.status,
            project=name,
            asked=asked,
            states=incidents.STATES,
            found=found,
            began=bool(token),
            standings=standings,
        )

    async def incident(self, request: Request) -> Response:
        """One incident: what happened on what grounds, and who looks after it."""
        name = IncidentName(**request.path_params)
        found = await asyncio.to_thread(incidents.get, self._connection, name)
        return page(
            "serving/incident.html",
            name=name,
            incident=found,
            standing=standings.of_incident(found),
            kind=standings.kind_of(found),
            rules=rules(found.rules) if found.HasField("rules") else (),
            measured=found.measurements if found.HasField("measurements") else None,
            drifted=features_of(found.drifted),
            lasting=lasting,
            ms=ms,
        )

    def _found(self, project: ProjectName, deployment: str, state: str, token: str) -> Listing:
        try:
            if state and state not in incidents.STATES:
                raise InvalidArgument(f"The state must be one of {', '.join(incidents.STATES)}.", field="state")
            request = incidents_pb2.ListIncidentsRequest(
                parent=str(project),
                deployment=str(DeploymentName(project.project, deployment)) if deployment else "",
                state=incidents_pb2.Incident.State.Value(f"STATE_{(state or 'unspecified').upper()}"),
                page_size=_LISTED,
                page_token=token,
            )
        except InvalidArgument as error:
            return Listing(refused=error.message)
        stub = incidents_pb2_grpc.IncidentServiceStub(self._connection.channel("inference"))
        return listed(stub.ListIncidents, request, "incidents")
