"""InferenceRecordService: convert, call, convert."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from chassis.paging import decode_token, page_of, page_size, query_digest
from headwater.errors import Unavailable
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import InferenceRecordName
from services.inference.records.convert import query_from_proto, record_to_proto
from services.inference.records.feedback.model import Feedback, newest
from services.inference.records.feedback.store import FeedbackStore
from services.inference.records.known import KnownDeployments
from services.inference.records.model import Record, RecordQuery
from services.inference.records.recorder import Recorder


def digest_of(wanted: RecordQuery) -> str:
    """The query that a page token belongs to. What was added to queries since they had a project and a deployment is no
    part of it where nothing of it is wanted: a token of a release that did not have it yet goes on being taken."""
    project, deployment, *added = dataclasses.astuple(wanted)
    while added and not added[-1]:
        del added[-1]
    return query_digest("ListInferenceRecords", project, deployment, *added)


class InferenceRecordServicer(deployments_pb2_grpc.InferenceRecordServiceServicer):
    """See protos/headwater/inference/v1/deployments.proto."""

    def __init__(self, recorder: Recorder, feedback: FeedbackStore, deployments: KnownDeployments) -> None:
        self._recorder = recorder
        self._deployments = deployments
        self._feedback = feedback

    async def GetInferenceRecord(
        self, request: deployments_pb2.GetInferenceRecordRequest, _context: Any
    ) -> deployments_pb2.InferenceRecord:
        """See the proto."""
        record = await self._recorder.find(InferenceRecordName.parse(request.name))
        if not request.with_bodies:
            record = record._replace(request_body=None, response_body=None)
        return (await self._to_proto(record.project, [record]))[0]

    async def ListInferenceRecords(
        self, request: deployments_pb2.ListInferenceRecordsRequest, _context: Any
    ) -> deployments_pb2.ListInferenceRecordsResponse:
        """See the proto."""
        wanted = query_from_proto(request)
        size = page_size(request.page_size)
        query = digest_of(wanted)
        after = decode_token(request.page_token, query, (int,))
        before = int(after[0]) if after else None
        records = await self._recorder.page(wanted, before, size + 1)
        if not records:
            await self._deployments.check(wanted)
        page = page_of(records, size, key=lambda record: (record.sequence,), query=query)
        return deployments_pb2.ListInferenceRecordsResponse(
            inference_records=await self._to_proto(wanted.project, page.items), next_page_token=page.next_page_token
        )

    async def _to_proto(self, project: str, records: Sequence[Record]) -> list[deployments_pb2.InferenceRecord]:
        ids = [record.request_id for record in records]
        try:
            said: Mapping[str, Sequence[Feedback]] = await self._feedback.of(project, ids)
        except Unavailable:
            if not all(map(self._recorder.holds, ids)):
                raise
            said = {}  # what waits because the database is away has not been spoken of
        return [record_to_proto(record, newest(said.get(record.request_id, ()))) for record in records]
