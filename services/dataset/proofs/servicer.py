"""The RPCs of proofs."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias

import grpc.aio

from headwater.dataset.v1 import proofs_pb2, proofs_pb2_grpc
from headwater.names import DatasetName, ProjectName
from services.dataset.proofs import convert
from services.dataset.proofs.proofs import RowProofs

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class RowProofServicer(proofs_pb2_grpc.RowProofServiceServicer):
    """``headwater.dataset.v1.RowProofService``; the protos say what each method does."""

    def __init__(self, proofs: RowProofs) -> None:
        self._proofs = proofs

    async def ListRowUses(
        self, request: proofs_pb2.ListRowUsesRequest, context: Context
    ) -> proofs_pb2.ListRowUsesResponse:
        kind = DatasetName if "/datasets/" in request.parent else ProjectName
        parent = kind.parse(request.parent, "parent")
        page = await self._proofs.uses(parent, request.row_digest, request.page_size, request.page_token)
        return proofs_pb2.ListRowUsesResponse(
            uses=[convert.use_to_proto(use) for use in page.items], next_page_token=page.next_page_token
        )

    async def ProveRow(
        self, request: proofs_pb2.ProveRowRequest, context: Context
    ) -> AsyncIterator[proofs_pb2.ProveRowResponse]:
        async for part in self._proofs.prove(request.version, request.row_digest):
            yield proofs_pb2.ProveRowResponse(proof=convert.part_to_proto(part))
