"""The web console: what there is, and where a prediction comes from."""

import asyncio
from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, datasets_pb2_grpc
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DEFAULT_PROJECT, ProjectName
from headwater.registry.v1 import models_pb2, models_pb2_grpc
from headwater.trace import trace
from services.gateway import graph

_FILES = 25
_RECENT = 20


class Console:
    """Pages over the services, read in the caller's name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pages = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )

    @property
    def routes(self) -> list[Route]:
        """The pages."""
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/login", self.login, methods=["GET"]),
            Route("/traces/{request_id}", self.trace, methods=["GET"]),
        ]

    async def home(self, _request: Request) -> Response:
        """Datasets, models, deployments and the newest requests."""
        return self._page("home.html", **await asyncio.to_thread(self._overview))

    async def login(self, request: Request) -> Response:
        """The form that asks for a token; it posts to the session edge (``chassis.http``)."""
        return self._page("login.html", failed="failed" in request.query_params)

    async def trace(self, request: Request) -> Response:
        """One request, traced back, as a picture and as a tree."""
        request_id = request.path_params["request_id"]
        root = await asyncio.to_thread(trace, self._connection, request_id, max_files=_FILES)
        return self._page("trace.html", request_id=request_id, root=root, picture=graph.draw(root))

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

    def _page(self, template: str, **values: object) -> HTMLResponse:
        return HTMLResponse(self._pages.get_template(template).render(values))
