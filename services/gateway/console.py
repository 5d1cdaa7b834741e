"""The web console: what there is, and where a prediction comes from."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, datasets_pb2_grpc
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DEFAULT_PROJECT, ProjectName
from headwater.registry.v1 import models_pb2, models_pb2_grpc
from headwater.trace import trace
from services.gateway import graph
from services.gateway.explained import explained
from services.gateway.pages import page

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
        """One request, traced back, as a picture and as a tree."""
        request_id = request.path_params["request_id"]
        root = await asyncio.to_thread(trace, self._connection, request_id, max_files=_FILES)
        return page("trace.html", request_id=request_id, root=root, picture=graph.draw(root))

    def _overview(self) -> dict[str, Any]:
        project = str(ProjectName(DEFAULT_PROJECT))
        datasets = datasets_pb2_grpc.DatasetServiceStub(self._connection.channel("dataset"))
        models = models_pb2_grpc.ModelServiceStub(self._connection.channel("registry"))
        inference = self._connection.channel("inference")
        deployments = deployments_pb2_grpc.DeploymentServiceStub(inference)
        records = deployments_pb2_grpc.InferenceRecordServiceStub(inference)
        recent = deployments_pb2.ListInferenceRecordsRequest(parent=project, page_size=_RECENT)
        return {
            "datasets": datasets.ListDatasets(datasets_pb2.ListDatasetsRequest(parent=project)).datasets,
            "models": models.ListModels(models_pb2.ListModelsRequest(parent=project)).models,
            "deployments": deployments.ListDeployments(
                deployments_pb2.ListDeploymentsRequest(parent=project)
            ).deployments,
            "records": records.ListInferenceRecords(recent).inference_records,
        }
