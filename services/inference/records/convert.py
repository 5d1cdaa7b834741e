"""Records to protobuf."""

from headwater.inference.v1 import deployments_pb2
from headwater.names import DeploymentName
from services.inference.records.model import Record


def record_to_proto(record: Record) -> deployments_pb2.InferenceRecord:
    """The record as the API shows it."""
    message = deployments_pb2.InferenceRecord(
        name=str(record.name),
        deployment=str(DeploymentName(record.project, record.deployment)),
        model_version=record.model_version,
        model_digest=record.model_digest,
        request_digest=record.request_digest,
        response_digest=record.response_digest,
        caller=record.caller,
        latency_ms=record.latency_ms,
        batch_size=record.batch_rows,
        row_count=record.rows,
        client_request_id=record.client_request_id,
    )
    message.request_time.FromDatetime(record.request_time)
    return message
