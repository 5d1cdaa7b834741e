"""What is recorded of one request (M-83…M-88, K-14)."""

import dataclasses
import datetime
import functools
import itertools
import json
from collections.abc import Collection
from typing import NamedTuple, TypeAlias

from headwater.errors import NotFound
from headwater.names import InferenceRecordName
from services.inference.records.recording import NOTHING, RecordedTensor, Recording
from services.inference.records.redaction import redact
from services.inference.records.sampling import OK, body_reason
from services.inference.tensors.digest import canonical, digest
from services.inference.tensors.model import Tensor, size_bytes
from services.inference.texts import storable

_UNFITTING = frozenset({"SIGNATURE_MISMATCH", "INVALID_TENSOR", "INVALID_REQUEST", "NO_PIPELINE", "RAW_REFUSED"})
"""The inputs were not those that the model takes, so that nobody knows what lies where in them."""
_MAX_FACTS = 64
_MAX_NAME = 255


_Bodies: TypeAlias = tuple[str, str, bytes | None, bytes | None]
"""Why there are bodies, what was left out of them, and the request's and response's."""
_NO_BODIES: _Bodies = ("", "[]", None, None)


class RecordNotFound(NotFound):
    """No request with this id was recorded in this project."""

    reason = "RECORD_NOT_FOUND"
    text = "No such inference record."


# Records, and what they are made of, are tuples: a frozen dataclass of so many fields takes four times as long to make,
# which counts at some thousands a second.
class Record(NamedTuple):
    """One request and how it ended. ``sequence`` is the store's order of arrival; 0 until it is stored."""

    request_id: str
    project: str
    deployment: str
    model_version: str
    model_digest: str
    request_digest: str
    response_digest: str
    """Empty when there was no answer."""
    caller: str
    request_time: datetime.datetime
    latency_ms: float
    batch_rows: int
    rows: int
    client_request_id: str
    result: str = OK
    """``OK``, or the reason of the error that was the answer."""
    request_bytes: int = 0
    response_bytes: int = 0
    inputs: str = "[]"
    """The tensors without their values, as JSON: ``[["x", "FP32", [2, 4]]]``."""
    outputs: str = "[]"
    preprocessing_digest: str = ""
    part_of: str = ""
    """The request id that the client was given, where that is another one: of shadows, and of attempts that failed."""
    is_final: bool = True
    """Whether this is the answer that the client was given."""
    variant: str = ""
    body_reason: str = ""
    """Why there are bodies; empty when there are none."""
    redacted: str = "[]"
    """What was left out of the bodies, as JSON: ``["x", "table.age"]``."""
    request_body: bytes | None = None
    """The tensors in canonical form (see tensors.digest), without what was left out."""
    response_body: bytes | None = None
    sequence: int = 0

    @property
    def name(self) -> InferenceRecordName:
        """The record's resource name."""
        return InferenceRecordName(self.project, self.request_id)

    @property
    def cached(self) -> bool:
        """Whether the answer was kept of an equal request: it has rows, and there was no batch."""
        return self.result == OK and self.rows > 0 and self.batch_rows == 0

    @property
    def has_bodies(self) -> bool:
        """Whether there is any body, be it empty."""
        return self.request_body is not None or self.response_body is not None

    @property
    def body_bytes(self) -> int:
        """The memory of the bodies."""
        return len(self.request_body or b"") + len(self.response_body or b"")


@dataclasses.dataclass(frozen=True, slots=True)
class RecordQuery:
    """Which records of a project are wanted; what is empty selects nothing out."""

    project: str
    deployment: str = ""
    model_version: str = ""
    result: str = ""
    start: datetime.datetime | None = None
    end: datetime.datetime | None = None

    def admits(self, record: Record) -> bool:
        """Whether the record is one of those."""
        return (
            record.project == self.project
            and self.deployment in ("", record.deployment)
            and self.model_version in ("", record.model_version)
            and self.result in ("", record.result)
            and (self.start is None or record.request_time >= self.start)
            and (self.end is None or record.request_time < self.end)
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """Who answers: the deployment and, as resource name and digest, the model version."""

    project: str
    deployment: str
    model_version: str
    model_digest: str
    preprocessing_digest: str = ""
    recording: Recording = NOTHING


class Answered(NamedTuple):
    """A record to be: what is known when the answer is given. The rest is worked out when somebody has time for it."""

    request_id: str
    served: Served
    caller: str
    client_request_id: str
    answer_time: datetime.datetime
    latency_s: float
    batch_rows: int
    rows: int
    inputs: Collection[Tensor]
    """Empty when the request was refused before anybody looked at it; it has no digest then."""
    outputs: Collection[Tensor]
    result: str = OK
    """The reason of the error, when that was the answer."""
    part_of: str = ""
    is_final: bool = True
    variant: str = ""

    @property
    def size_bytes(self) -> int:
        """The memory that the tensors keep."""
        return _total_bytes(self.inputs) + _total_bytes(self.outputs)

    def to_record(self) -> Record:
        """The record, with the digests of the tensors. Takes about 0.2 ms per MB."""
        served, inputs, outputs = self.served, self.inputs, self.outputs
        bodies = self._bodies() if served.recording.records_bodies else _NO_BODIES
        # By position: names take half as long again.
        return Record(
            self.request_id,
            served.project,
            served.deployment,
            served.model_version,
            served.model_digest,
            digest(inputs) if inputs else "",
            digest(outputs) if outputs else "",
            storable(self.caller),
            self.answer_time - datetime.timedelta(0, self.latency_s),
            self.latency_s * 1000,
            self.batch_rows,
            self.rows,
            storable(self.client_request_id),
            self.result,
            _total_bytes(inputs),
            _total_bytes(outputs),
            _facts(inputs),
            _facts(outputs),
            served.preprocessing_digest,
            self.part_of,
            self.is_final,
            self.variant,
            *bodies,
        )

    def _bodies(self) -> _Bodies:
        """The tensors, as far as they are to be recorded, without what is to be left out of them."""
        recording = self.served.recording
        reason = body_reason(recording, self.request_id, self.result, self.outputs)
        if reason is None:
            return _NO_BODIES
        # A secret may have come under another name, or in another shape, beside everything that the rules name.
        known = self.result not in _UNFITTING or not any(rule.redacts for rule in recording.inputs)
        request, of_request = _body(self.inputs if known else (), recording.inputs, recording.max_body_bytes)
        response, of_response = _body(self.outputs, recording.outputs, recording.max_body_bytes)
        if request is None and response is None:
            return _NO_BODIES
        return str(reason), json.dumps([*of_request, *of_response]), request, response


def _body(
    tensors: Collection[Tensor], rules: tuple[RecordedTensor, ...], max_bytes: int
) -> tuple[bytes | None, Collection[str]]:
    if not tensors or _total_bytes(tensors) > max_bytes:
        return None, ()
    redacted = redact(tensors, rules)
    return (None, ()) if redacted is None else (canonical(redacted.tensors), redacted.left_out)


def _total_bytes(tensors: Collection[Tensor]) -> int:
    total = 0
    for tensor in tensors:
        total += tensor.array.nbytes if tensor.datatype != "BYTES" else size_bytes(tensor.array)
    return total


def _facts(tensors: Collection[Tensor]) -> str:
    if not tensors:
        return "[]"
    if len(tensors) == 1:
        (tensor,) = tensors
        return _only_fact(tensor.name[:_MAX_NAME], tensor.datatype, tensor.array.shape)
    # A request that was refused may have come with any names, and as many.
    first = tensors if len(tensors) <= _MAX_FACTS else itertools.islice(tensors, _MAX_FACTS)
    return f"[{','.join([_fact(tensor.name[:_MAX_NAME], tensor.datatype, tensor.array.shape) for tensor in first])}]"


@functools.lru_cache(1024)
def _only_fact(name: str, datatype: str, shape: tuple[int, ...]) -> str:
    return f"[{_fact(name, datatype, shape)}]"


@functools.lru_cache(1024)
def _fact(name: str, datatype: str, shape: tuple[int, ...]) -> str:
    """Requests of one model mostly look alike."""
    return json.dumps((name, datatype, shape), separators=(",", ":"))
