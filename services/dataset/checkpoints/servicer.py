"""The RPCs of checkpoints: convert, call, convert."""

from typing import Any, TypeAlias

import grpc.aio

from chassis.auth import current_principal
from chassis.db.requests import body_digest
from headwater.dataset.v1 import views_pb2
from headwater.names import CheckpointName, DatasetVersionName
from services.dataset.checkpoints import convert
from services.dataset.checkpoints.checkpoints import Checkpoints
from services.dataset.checkpoints.model import checkpoint_name

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class CheckpointMethods:
    """The methods of ``headwater.dataset.v1.DatasetViewService`` about checkpoints."""

    _checkpoints: Checkpoints

    async def CreateCheckpoint(
        self, request: views_pb2.CreateCheckpointRequest, context: Context
    ) -> views_pb2.DatasetCheckpoint:
        version = DatasetVersionName.parse(request.parent, "parent")
        made = await self._checkpoints.create(
            checkpoint_name(version, request.checkpoint_id),
            materialize=request.materialize,
            author=current_principal().subject,
            request_id=request.request_id,
            body=body_digest(request),
        )
        return convert.checkpoint_to_proto(made)

    async def GetCheckpoint(
        self, request: views_pb2.GetCheckpointRequest, context: Context
    ) -> views_pb2.DatasetCheckpoint:
        return convert.checkpoint_to_proto(await self._checkpoints.get(CheckpointName.parse(request.name)))

    async def ListCheckpoints(
        self, request: views_pb2.ListCheckpointsRequest, context: Context
    ) -> views_pb2.ListCheckpointsResponse:
        version = DatasetVersionName.parse(request.parent, "parent")
        page = await self._checkpoints.list(version, request.page_size, request.page_token)
        return views_pb2.ListCheckpointsResponse(
            checkpoints=[convert.checkpoint_to_proto(each) for each in page.items],
            next_page_token=page.next_page_token,
        )
