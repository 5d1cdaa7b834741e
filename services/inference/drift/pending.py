"""Answers that wait to be looked at: as many as fit, of every one the same chance to be among them."""

import random
import threading
from collections.abc import Sequence

from services.inference.records.model import Answered
from services.inference.tensors.model import Tensor

MAX_REQUESTS = 2048
MAX_BYTES = 8 * 2**20
MAX_ROWS = 4096
"""Of one request; of a larger one every second, third … row is looked at."""

Looked = tuple[Sequence[Tensor], Sequence[Tensor]]


class Pending:
    """A reservoir (Vitter 1985, algorithm R) of inputs and outputs, bounded in number and bytes, of which one request
    is kept whatever its size. Filled by the recorder's thread and emptied by another."""

    def __init__(self, *, batchable: bool) -> None:
        self._batchable = batchable
        self._lock = threading.Lock()
        self._kept: list[Looked] = []
        self._offered = 0
        self._rows = 0
        self._mean_bytes = 0.0

    def offer(self, answers: Sequence[Answered]) -> None:
        """Keep some of them, or all."""
        with self._lock:
            for answered in answers:
                self._offered += 1
                self._rows += answered.rows if self._batchable else 1
                self._mean_bytes += (answered.size_bytes - self._mean_bytes) / self._offered
                limit = min(MAX_REQUESTS, max(int(MAX_BYTES / max(self._mean_bytes, 1)), 1))
                if len(self._kept) < limit:
                    self._kept.append(self._looked(answered))
                elif (place := int(random.random() * self._offered)) < len(self._kept):  # noqa: S311 - no secret
                    self._kept[place] = self._looked(answered)

    def take(self) -> tuple[Sequence[Looked], int]:
        """What was kept, and how many rows were offered. The next ones begin anew."""
        with self._lock:
            taken, rows = self._kept, self._rows
            self._kept, self._offered, self._rows, self._mean_bytes = [], 0, 0, 0.0
            return taken, rows

    def _looked(self, answered: Answered) -> Looked:
        if not self._batchable or answered.rows <= MAX_ROWS:
            return list(answered.inputs), list(answered.outputs)
        every = -(-answered.rows // MAX_ROWS)
        return [_thinned(each, every) for each in answered.inputs], [_thinned(each, every) for each in answered.outputs]


def _thinned(tensor: Tensor, every: int) -> Tensor:
    # A copy: a view would keep all of it in memory.
    return Tensor(tensor.name, tensor.datatype, tensor.array[::every].copy()) if tensor.array.ndim else tensor
