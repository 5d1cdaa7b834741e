"""What is recorded of one request that was answered (M-83…M-88, K-14)."""

import dataclasses
import datetime
from collections.abc import Collection

from headwater.errors import NotFound
from headwater.names import InferenceRecordName
from services.inference.tensors.digest import digest
from services.inference.tensors.model import Tensor, size_bytes


class RecordNotFound(NotFound):
    """No request with this id was answered in this project."""

    reason = "RECORD_NOT_FOUND"
    text = "No such inference record."


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One answered request. ``sequence`` is the store's order of arrival; 0 until it is stored."""

    request_id: str
    project: str
    deployment: str
    model_version: str
    model_digest: str
    request_digest: str
    response_digest: str
    caller: str
    request_time: datetime.datetime
    latency_ms: float
    batch_rows: int
    rows: int
    client_request_id: str
    sequence: int = 0

    @property
    def name(self) -> InferenceRecordName:
        """The record's resource name."""
        return InferenceRecordName(self.project, self.request_id)


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """Who answered: the deployment and, as resource name and digest, the model version."""

    project: str
    deployment: str
    model_version: str
    model_digest: str


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
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
    outputs: Collection[Tensor]

    @property
    def size_bytes(self) -> int:
        """The memory that the tensors keep."""
        return sum(size_bytes(tensor.array) for tensors in (self.inputs, self.outputs) for tensor in tensors)

    def to_record(self) -> Record:
        """The record, with the digests of the tensors. Takes about 0.6 ms per MB."""
        return Record(
            request_id=self.request_id,
            project=self.served.project,
            deployment=self.served.deployment,
            model_version=self.served.model_version,
            model_digest=self.served.model_digest,
            request_digest=digest(self.inputs),
            response_digest=digest(self.outputs),
            caller=self.caller,
            request_time=self.answer_time - datetime.timedelta(seconds=self.latency_s),
            latency_ms=self.latency_s * 1000,
            batch_rows=self.batch_rows,
            rows=self.rows,
            client_request_id=self.client_request_id,
        )
