"""What is recorded of one request that was answered (M-83…M-88, K-14)."""

import dataclasses
import datetime
from collections.abc import Sequence

from headwater.errors import NotFound
from headwater.names import InferenceRecordName
from services.inference.tensors.digest import digest
from services.inference.tensors.model import Tensor


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
class Answered:
    """A record to be: it holds the tensors until somebody has time to hash them."""

    record: Record
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]

    @property
    def size_bytes(self) -> int:
        """The memory that the tensors keep."""
        return sum(tensor.array.nbytes for tensors in (self.inputs, self.outputs) for tensor in tensors)

    def digested(self) -> Record:
        """The record with the digests of the tensors. Takes about 0.6 ms per MB."""
        return dataclasses.replace(
            self.record, request_digest=digest(self.inputs), response_digest=digest(self.outputs)
        )
