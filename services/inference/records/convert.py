"""Records and what is said about recording between protobuf and the domain."""

import datetime
import json
from collections.abc import Iterable

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from headwater.errors import InvalidArgument
from headwater.inference.v1 import deployments_pb2, flight_pb2, recording_pb2
from headwater.names import DeploymentName, InvalidName, ModelVersionName, ProjectName
from services.inference.records.feedback.model import Said
from services.inference.records.model import Record, RecordQuery
from services.inference.records.recording import (
    DEFAULT_MAX_BODY_BYTES,
    LowConfidence,
    RecordedTensor,
    Recording,
    check,
)


def record_to_proto(record: Record, said: Said) -> deployments_pb2.InferenceRecord:
    """The record as the API shows it, with what was said of it later."""
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
        cached=record.cached,
        row_count=record.rows,
        client_request_id=record.client_request_id,
        result_code=record.result,
        request_size_bytes=record.request_bytes,
        response_size_bytes=record.response_bytes,
        inputs=_facts(record.inputs),
        outputs=_facts(record.outputs),
        preprocessing_digest=record.preprocessing_digest,
        part_of=record.part_of,
        is_final=record.is_final,
        variant=record.variant,
        body_reason=record.body_reason,
        redacted=json.loads(record.redacted),
        request_body=record.request_body or b"",
        response_body=record.response_body or b"",
        feedback_score=said.score,
        feedback_actions=said.actions,
        explanation=said.explanation,
    )
    message.request_time.FromDatetime(record.request_time)
    if said.ground_truth is not None:
        json_format.ParseDict(said.ground_truth, message.ground_truth)
    return message


def query_from_proto(query: flight_pb2.RecordsQuery | deployments_pb2.ListInferenceRecordsRequest) -> RecordQuery:
    """Which records are meant.

    Raises:
        InvalidName: what is named is in another project, or no such name.
    """
    project = ProjectName.parse(query.parent, "parent").project
    deployment = DeploymentName.parse(query.deployment, "deployment") if query.deployment else None
    version = ModelVersionName.parse(query.model_version, "model_version") if query.model_version else None
    for name, field in ((deployment, "deployment"), (version, "model_version")):
        if name is not None and name.project != project:
            raise InvalidName(f"{field} must be one of projects/{project}.", field=field)
    return RecordQuery(
        project,
        deployment.deployment if deployment else "",
        str(version) if version else "",
        query.result_code,
        _time(query.start_time, "start_time") if query.HasField("start_time") else None,
        _time(query.end_time, "end_time") if query.HasField("end_time") else None,
    )


def recording_from_proto(message: recording_pb2.Recording) -> Recording:
    """What is to be recorded.

    Raises:
        InvalidRecording: it contradicts itself.
    """
    unsure = message.low_confidence
    return check(
        Recording(
            sample_rate=message.sample_rate,
            on_error=message.on_error,
            low_confidence=LowConfidence(unsure.output, unsure.below, unsure.logits)
            if message.HasField("low_confidence")
            else None,
            max_body_bytes=message.max_body_bytes or DEFAULT_MAX_BODY_BYTES,
            inputs=_tensors_from_proto(message.inputs),
            outputs=_tensors_from_proto(message.outputs),
        )
    )


def recording_to_proto(recording: Recording) -> recording_pb2.Recording:
    """The same as the API shows it."""
    message = recording_pb2.Recording(
        sample_rate=recording.sample_rate,
        on_error=recording.on_error,
        max_body_bytes=recording.max_body_bytes,
        inputs=_tensors_to_proto(recording.inputs),
        outputs=_tensors_to_proto(recording.outputs),
    )
    if (unsure := recording.low_confidence) is not None:
        message.low_confidence.output = unsure.output
        message.low_confidence.below = unsure.below
        message.low_confidence.logits = unsure.logits
    return message


def _tensors_from_proto(messages: Iterable[recording_pb2.RecordedTensor]) -> tuple[RecordedTensor, ...]:
    return tuple(
        RecordedTensor(each.name, tuple(each.columns), each.redacted, tuple(each.redacted_columns)) for each in messages
    )


def _tensors_to_proto(tensors: Iterable[RecordedTensor]) -> list[recording_pb2.RecordedTensor]:
    return [
        recording_pb2.RecordedTensor(
            name=each.name, columns=each.columns, redacted=each.redacted, redacted_columns=each.redacted_columns
        )
        for each in tensors
    ]


def _facts(facts: str) -> list[deployments_pb2.TensorFacts]:
    return [
        deployments_pb2.TensorFacts(name=name, datatype=datatype, shape=shape)
        for name, datatype, shape in json.loads(facts)
    ]


def _time(time: Timestamp, field: str) -> datetime.datetime:
    try:
        return time.ToDatetime(datetime.UTC)
    except ValueError as error:
        raise InvalidArgument(f"{field} is no time that there can be.", field=field) from error
