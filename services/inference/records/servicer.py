"""InferenceRecordService: convert, call, convert."""

from typing import Any

from chassis.paging import decode_token, page_of, page_size, query_digest
from headwater.inference.v1 import deployments_pb2, deployments_pb2_grpc
from headwater.names import DeploymentName, InferenceRecordName, InvalidName, ProjectName
from services.inference.records.convert import record_to_proto
from services.inference.records.model import RecordQuery
from services.inference.records.recorder import Recorder


class InferenceRecordServicer(deployments_pb2_grpc.InferenceRecordServiceServicer):
    """See protos/headwater/inference/v1/deployments.proto."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def GetInferenceRecord(
        self, request: deployments_pb2.GetInferenceRecordRequest, _context: Any
    ) -> deployments_pb2.InferenceRecord:
        """See the proto."""
        return record_to_proto(await self._recorder.find(InferenceRecordName.parse(request.name)))

    async def ListInferenceRecords(
        self, request: deployments_pb2.ListInferenceRecordsRequest, _context: Any
    ) -> deployments_pb2.ListInferenceRecordsResponse:
        """See the proto."""
        project = ProjectName.parse(request.parent, "parent").project
        deployment = _deployment_of(project, request.deployment)
        size = page_size(request.page_size)
        query = query_digest("ListInferenceRecords", project, deployment)
        after = decode_token(request.page_token, query, (int,))
        before = int(after[0]) if after else None
        records = await self._recorder.page(RecordQuery(project, deployment), before, size + 1)
        page = page_of(records, size, key=lambda record: (record.sequence,), query=query)
        return deployments_pb2.ListInferenceRecordsResponse(
            inference_records=[record_to_proto(record) for record in page.items], next_page_token=page.next_page_token
        )


def _deployment_of(project: str, text: str) -> str:
    if not text:
        return ""
    name = DeploymentName.parse(text, "deployment")
    if name.project != project:
        raise InvalidName(f"deployment must be one of projects/{project}.", field="deployment")
    return name.deployment
