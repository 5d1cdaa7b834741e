"""A record as a CloudEvent (https://github.com/cloudevents/spec, version 1.0.2), and many as one batch of them."""

import datetime
import functools
import json
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from headwater.inference_log import LoggedRequest, request_of
from headwater.names import DeploymentName, InferenceRecordName
from services.inference.records.model import Record
from services.inference.records.pacing import paced

TYPE = "headwater.inference.request.v1"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json; charset=utf-8"

# What differs from one request to the next. All else is mostly the same for thousands, and put into JSON once.
_OWN = ("request_id", "part_of", "request_digest", "response_digest", "latency_ms", "response_bytes")
_MARKS = {name: f"{name}-{secrets.token_hex(16)}" for name in _OWN}
"""Stand for them in what is put into JSON once; nobody can know them, so that no text of a client's has one."""
_NUMBERS = ("latency_ms", "response_bytes")
_MARKED_TIME = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(0, secrets.randbelow(10**9), 1)
_MAX_FORMS = 1024
_LONGEST_KEY = 2048
"""Characters of what a form is kept by. A refused request's names can be as long as its sender likes: those are put
into JSON each time, so that what is kept stays within some megabytes."""


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
        "time": _time(record),
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
    """The events in JSON batch format. Call it in a thread."""
    return f"[{','.join(_texts(records))}]".encode()


def to_lines(records: Sequence[Record]) -> bytes:
    """An event a line. Call it in a thread."""
    return "".join([f"{text}\n" for text in _texts(records)]).encode()


def _texts(records: Sequence[Record]) -> Iterator[str]:
    """The JSON of ``to_event`` for each of the records."""
    for record in paced(records):
        same = (
            record.project,
            record.deployment,
            record.model_version,
            record.model_digest,
            record.caller,
            record.result,
            record.inputs,
            record.preprocessing_digest,
            record.variant,
        )
        if sum(map(len, same)) > _LONGEST_KEY:
            yield _to_json(record)
            continue
        form = _form(*same, record.is_final, bool(record.part_of))
        own = (
            record.request_id,
            record.part_of,
            record.request_digest,
            record.response_digest,
            repr(record.latency_ms),
            record.response_bytes,
            _time(record),
        )
        yield form.format(*own)


@functools.lru_cache(_MAX_FORMS)
def _form(
    project: str,
    deployment: str,
    model_version: str,
    model_digest: str,
    caller: str,
    result: str,
    inputs: str,
    preprocessing_digest: str,
    variant: str,
    is_final: bool,
    is_part: bool,
) -> str:
    """The JSON of all events that agree in these, with a place for each of _OWN and, behind them, for the time."""
    marks: dict[str, Any] = _MARKS if is_part else _MARKS | {"part_of": ""}
    marked = Record(
        project=project,
        deployment=deployment,
        model_version=model_version,
        model_digest=model_digest,
        caller=caller,
        request_time=_MARKED_TIME,
        batch_rows=0,
        rows=0,
        client_request_id="",
        result=result,
        inputs=inputs,
        preprocessing_digest=preprocessing_digest,
        is_final=is_final,
        variant=variant,
        **marks,
    )
    text = _to_json(marked).replace("{", "{{").replace("}", "}}")
    for place, name in enumerate(_OWN):
        quoted = f'"{_MARKS[name]}"' if name in _NUMBERS else _MARKS[name]
        text = text.replace(quoted, f"{{{place}}}")
    return text.replace(_time(marked), f"{{{len(_OWN)}}}")


def _to_json(record: Record) -> str:
    return json.dumps(to_event(record), separators=(",", ":"))


def _time(record: Record) -> str:
    return record.request_time.isoformat(timespec="microseconds").replace("+00:00", "Z")


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
