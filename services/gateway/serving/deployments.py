"""The pages about deployments: their list, one deployment, one rollout."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from headwater import drift, model_versions, rollouts, traffic
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import HeadwaterError
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc, drift_pb2, incidents_pb2, incidents_pb2_grpc
from headwater.names import DEFAULT_PROJECT, DeploymentName, ModelVersionName, ProjectName, RolloutName
from services.gateway.explained import explained
from services.gateway.listing import listed
from services.gateway.pages import page
from services.gateway.serving import standings
from services.gateway.serving.calls import Addresses, Calls, calls, inputs_of
from services.gateway.serving.drift import Feature, features_of
from services.gateway.serving.options import topics
from services.gateway.serving.paths import DEPLOYMENT, DEPLOYMENTS, ROLLOUT, ROLLOUTS
from services.gateway.serving.rollouts import ACTIVE, objectives, steps_of
from services.gateway.serving.versions import other_fallbacks, targets_of
from services.gateway.serving.wording import chosen, percent, shares

_LISTED: Final = 100
_OPEN: Final = 1000
"""Open incidents of a project that are counted by deployment."""
_NEWEST: Final = 10


class DeploymentPages:
    """Pages over the inference service, read in the caller's name. ``addresses`` are told to who wants to call it."""

    def __init__(self, connection: Connection, addresses: Addresses) -> None:
        self._connection = connection
        self._addresses = addresses

    @property
    def routes(self) -> list[Route]:
        """The pages."""
        pages: dict[str, Callable[[Request], Any]] = {
            "/deployments": self.default_project,
            "/deployments/{rest:path}": self.default_project,
            DEPLOYMENTS: self.project,
            DEPLOYMENT: self.deployment,
            ROLLOUTS: self.to_deployment,
            ROLLOUT: self.rollout,
        }
        return [Route(path, explained(show), methods=["GET"]) for path, show in pages.items()]

    async def default_project(self, request: Request) -> Response:
        """The pages of the default project, by short addresses."""
        path = DEPLOYMENTS.format(project=DEFAULT_PROJECT) + request.url.path.removeprefix("/deployments").rstrip("/")
        return RedirectResponse(f"{path}?{request.url.query}" if request.url.query else path, 303)

    async def project(self, request: Request) -> Response:
        """The deployments of a project, a page at a time, with how many incidents each has open."""
        name, token = ProjectName(request.path_params["project"]), request.query_params.get("page", "")
        wanted = deployments_pb2.ListDeploymentsRequest(parent=str(name), page_size=_LISTED, page_token=token)
        found = await asyncio.to_thread(listed, self._deployments.ListDeployments, wanted, "deployments")
        opened = await asyncio.to_thread(self._open, str(name), "", _OPEN)
        return page(
            "serving/deployments.html",
            found.status,
            project=name,
            found=found,
            began=bool(token),
            opened=Counter(each.deployment for each in opened.incidents),
            more_opened=bool(opened.next_page_token),
            standings=standings,
            shares=shares,
        )

    async def deployment(self, request: Request) -> Response:
        """One deployment: what it serves and why, options, how to call it, incidents, newest requests."""
        name = DeploymentName(**request.path_params)
        return page("serving/deployment.html", name=name, **await asyncio.to_thread(self._deployment, name))

    async def to_deployment(self, request: Request) -> Response:
        """The rollouts to a deployment are on its page."""
        return RedirectResponse(f"/{DeploymentName(**request.path_params)}#rollouts", 303)

    async def rollout(self, request: Request) -> Response:
        """One rollout: steps, evidence, what happened."""
        name = RolloutName(**request.path_params)
        found = await asyncio.to_thread(rollouts.get, self._connection, name)
        return page("serving/rollout.html", name=name, **_told(found), standings=standings, percent=percent)

    def _deployment(self, name: DeploymentName) -> dict[str, Any]:
        connection, inference = self._connection, self._connection.channel("inference")
        found = self._deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=str(name)))
        rolled = rollouts.find(connection, name, limit=_NEWEST)
        active = next((each for each in rolled if each.state in ACTIVE), None)
        project = str(ProjectName(name.project))
        opened = self._open(project, found.name, _OPEN).incidents
        records = deployments_pb2_grpc.InferenceRecordServiceStub(inference)
        recent = deployments_pb2.ListInferenceRecordsRequest(parent=project, deployment=found.name, page_size=_NEWEST)
        past = incidents_pb2.ListIncidentsRequest(parent=project, deployment=found.name, page_size=_NEWEST)
        return {
            "deployment": found,
            "standing": standings.of_deployment(found),
            "chosen": chosen(found),
            "targets": targets_of(found, traffic.get(connection, name), opened, active),
            "other_fallbacks": other_fallbacks(found),
            "open_count": len(opened),
            "active": _told(active) if active is not None else None,
            "rolled": [each for each in rolled if each is not active],
            "drift": self._drift(name) if found.drift.enabled else None,
            "topics": topics(found),
            "calls": self._calls(name, found),
            "incidents": self._incidents.ListIncidents(past).incidents,
            "records": records.ListInferenceRecords(recent).inference_records,
            "limit": _NEWEST,
            "standings": standings,
            "percent": percent,
        }

    def _drift(self, name: DeploymentName) -> Sequence[tuple[drift_pb2.VersionDrift, Sequence[Feature]]]:
        versions = drift.get(self._connection, name).versions
        return [(each, features_of(each.last.features)) for each in versions]

    def _calls(self, name: DeploymentName, found: deployments_pb2.Deployment) -> Calls:
        """How it is called; what goes in is said by the deployment itself or else by the registry."""
        version = artifact_pb2.ModelMetadata()
        if found.model_version:
            try:
                version = model_versions.get(self._connection, ModelVersionName.parse(found.model_version))
            except HeadwaterError as error:
                if not found.engine.inputs:
                    told = calls(name.deployment, self._addresses, ())
                    return Calls(about=told.about, missing=f"What goes in cannot be told right now: {error.message}")
        return calls(name.deployment, self._addresses, inputs_of(found, version))

    def _open(self, project: str, deployment: str, limit: int) -> incidents_pb2.ListIncidentsResponse:
        state = incidents_pb2.Incident.STATE_OPEN
        return self._incidents.ListIncidents(
            incidents_pb2.ListIncidentsRequest(parent=project, deployment=deployment, state=state, page_size=limit)
        )

    @property
    def _deployments(self) -> deployments_pb2_grpc.DeploymentServiceStub:
        return deployments_pb2_grpc.DeploymentServiceStub(self._connection.channel("inference"))

    @property
    def _incidents(self) -> incidents_pb2_grpc.IncidentServiceStub:
        return incidents_pb2_grpc.IncidentServiceStub(self._connection.channel("inference"))


def _told(rollout: Any) -> dict[str, Any]:
    return {"rollout": rollout, "steps": steps_of(rollout), "objectives": objectives(rollout.plan.objectives)}
