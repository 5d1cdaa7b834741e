"""A record as a CloudEvent (https://github.com/cloudevents/spec, version 1.0.2), and many as one batch of them."""

import json
from collections.abc import Sequence
from typing import Any

from headwater.inference_log import LoggedRequest, request_of
from headwater.names import DeploymentName, InferenceRecordName
from services.inference.records.model import Record

TYPE = "headwater.inference.request.v1"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"


def to_event(record: Record) -> dict[str, Any]:
    """The event in structured mode. Its ``source`` and ``id`` are those of the record, so that a receiver can tell one
    that comes again."""
    request = _logged(record)
    return {
        "specversion": "1.0",
        "id": record.request_id,
        "source": f"/{DeploymentName(record.project, record.deployment)}",
        "type": TYPE,
        "subject": str(InferenceRecordName(record.project, record.request_id)),
        "time": record.request_time.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {
            **request_of(request),
            "modelInfo": {"models": [request.model_id] if request.model_id else []},
            "modelVersion": record.model_version,
            "isFinal": record.is_final,
            "variant": record.variant,
            "digests": {
                "model": record.model_digest,
                "request": record.request_digest,
                "response": record.response_digest,
                "preprocessing": record.preprocessing_digest,
            },
        },
    }


def to_batch(records: Sequence[Record]) -> bytes:
    """The events in JSON batch format."""
    return json.dumps([to_event(record) for record in records], separators=(",", ":")).encode()


def to_lines(records: Sequence[Record]) -> bytes:
    """An event a line."""
    return b"".join(json.dumps(to_event(record), separators=(",", ":")).encode() + b"\n" for record in records)


def _logged(record: Record) -> LoggedRequest:
    # Without bodies: what leaves the platform are facts, not what people have asked.
    return LoggedRequest(
        project=record.project,
        request_id=record.request_id,
        deployment=record.deployment,
        model_version=record.model_version,
        model_digest=record.model_digest,
        request_digest=record.request_digest,
        response_digest=record.response_digest,
        caller=record.caller,
        request_time=record.request_time,
        latency_ms=record.latency_ms,
        result=record.result,
        response_bytes=record.response_bytes,
        inputs=json.loads(record.inputs),
        preprocessing_digest=record.preprocessing_digest,
        part_of=record.part_of,
        is_final=record.is_final,
        variant=record.variant,
    )
