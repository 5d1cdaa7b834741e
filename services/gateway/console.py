"""The web console: what there is, and where a prediction comes from."""

import asyncio
from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, datasets_pb2_grpc
from headwater.errors import DeadlineExceeded, Unavailable
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DEFAULT_PROJECT, InferenceRecordName, ProjectName
from headwater.registry.v1 import models_pb2, models_pb2_grpc
from headwater.trace import trace
from services.gateway import graph
from services.gateway.explained import explained
from services.gateway.listing import Listing, listed
from services.gateway.pages import page
from services.gateway.serving import standings

_FILES = 25
_RECENT = 20


class Console:
    """Pages over the services, read in the caller's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The pages."""
        return [
            Route("/", explained(self.home), methods=["GET"]),
            Route("/traces/{request_id}", explained(self.trace), methods=["GET"]),
        ]

    async def home(self, _request: Request) -> Response:
        """Datasets, models, deployments and the newest requests."""
        return page("home.html", **await asyncio.to_thread(self._overview))

    async def trace(self, request: Request) -> Response:
        """One request, traced back, as a picture and as a tree; of another than the default project: ``?project=``."""
        request_id, project = request.path_params["request_id"], request.query_params.get("project", DEFAULT_PROJECT)
        root = await asyncio.to_thread(trace, self._connection, request_id, max_files=_FILES, project=project)
        record = InferenceRecordName(project, request_id)
        return page("trace.html", request_id=request_id, record=record, root=root, picture=graph.draw(root))

    def _overview(self) -> dict[str, Any]:
        project = str(ProjectName(DEFAULT_PROJECT))
        datasets = datasets_pb2_grpc.DatasetServiceStub(self._connection.channel("dataset"))
        models = models_pb2_grpc.ModelServiceStub(self._connection.channel("registry"))
        inference = self._connection.channel("inference")
        deployments = deployments_pb2_grpc.DeploymentServiceStub(inference)
        records = deployments_pb2_grpc.InferenceRecordServiceStub(inference)
        recent = deployments_pb2.ListInferenceRecordsRequest(parent=project, page_size=_RECENT)
        served = deployments_pb2.ListDeploymentsRequest(parent=project)
        return {
            "datasets": _told(datasets.ListDatasets, datasets_pb2.ListDatasetsRequest(parent=project), "datasets"),
            "models": _told(models.ListModels, models_pb2.ListModelsRequest(parent=project), "models"),
            "deployments": _told(deployments.ListDeployments, served, "deployments"),
            "records": _told(records.ListInferenceRecords, recent, "inference_records"),
            "standings": standings,
        }


def _told(call: Callable[[Any], Any], request: Message, field: str) -> Listing:
    """The first page of a list; of a service that is away, why there is none: the others are shown all the same."""
    try:
        return listed(call, request, field)
    except (Unavailable, DeadlineExceeded) as error:
        return Listing(refused=error.message)
