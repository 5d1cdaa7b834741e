"""Datasets as JSON in the shape of their protos. A resource's path is ``/api/v1/`` and its name."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, views_pb2
from headwater.datasets.catalog import stub
from headwater.datasets.views import stub as view_stub
from headwater.errors import InvalidArgument
from headwater.names import CheckpointName, DatasetName, DatasetVersionName, ProfileName, ProjectName, ResourceName
from services.gateway.datasets.console import DATASET, PROFILE, PROJECT, VERSION

API: Final = "/api/v1"
Answer = Callable[[Request], Any]


class DatasetRest:
    """REST over the dataset service, in the caller's name. Lists take ``page_size`` and ``page_token``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def routes(self) -> list[Route]:
        """The resources."""
        connection = self._connection
        catalog, kept = stub(connection), view_stub(connection)
        answers: dict[str, Answer] = {
            PROJECT: _listed(ProjectName, catalog.ListDatasets, datasets_pb2.ListDatasetsRequest),
            DATASET: _one(DatasetName, catalog.GetDataset, datasets_pb2.GetDatasetRequest),
            f"{DATASET}/versions": _listed(
                DatasetName, catalog.ListDatasetVersions, datasets_pb2.ListDatasetVersionsRequest
            ),
            VERSION: _one(DatasetVersionName, catalog.GetDatasetVersion, datasets_pb2.GetDatasetVersionRequest),
            f"{VERSION}/views": _listed(DatasetVersionName, kept.ListViews, views_pb2.ListViewsRequest),
            f"{VERSION}/profiles": _listed(DatasetVersionName, kept.ListProfiles, views_pb2.ListProfilesRequest),
            f"{VERSION}/checkpoints": _listed(
                DatasetVersionName, kept.ListCheckpoints, views_pb2.ListCheckpointsRequest
            ),
            f"{VERSION}/checkpoints/{{checkpoint}}": _one(
                CheckpointName, kept.GetCheckpoint, views_pb2.GetCheckpointRequest
            ),
            PROFILE: _one(ProfileName, kept.GetProfile, views_pb2.GetProfileRequest),
        }
        return [Route(API + path, answer, methods=["GET"]) for path, answer in answers.items()]


def _one(kind: type[ResourceName], call: Callable[[Any], Message], message: type[Message]) -> Answer:
    async def answer(request: Request) -> Response:
        name = str(kind(**request.path_params))
        return JSONResponse(_as_json(await asyncio.to_thread(call, message(name=name))))

    return answer


def _listed(kind: type[ResourceName], call: Callable[[Any], Message], message: type[Message]) -> Answer:
    async def answer(request: Request) -> Response:
        values = {
            "parent": str(kind(**request.path_params)),
            "page_size": _size(request.query_params.get("page_size", "")),
            "page_token": request.query_params.get("page_token", ""),
        }
        return JSONResponse(_as_json(await asyncio.to_thread(call, message(**values))))

    return answer


def _as_json(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _size(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and len(text) < 7):
        raise InvalidArgument("page_size must be a number from 0 to 999999.", field="page_size")
    return int(text or 0)
