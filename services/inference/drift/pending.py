"""Answers that wait to be looked at: as many as fit, of every one the same chance to be among them."""

import random
import threading
from collections.abc import Sequence

from services.inference.records.model import Answered
from services.inference.tensors.model import Tensor, size_bytes

MAX_REQUESTS = 2048
MAX_BYTES = 8 * 2**20
MAX_ROWS = 4096
"""Of one request; of a larger one every second, third … row is looked at."""

Looked = tuple[Sequence[Tensor], Sequence[Tensor]]


class Pending:
    """A reservoir (Vitter 1985, algorithm R) of inputs and outputs, bounded in number and bytes; one request is kept
    whatever its size. Filled by the recorder's thread and emptied by another."""

    def __init__(self, *, batchable: bool) -> None:
        self._batchable = batchable
        self._lock = threading.Lock()
        self._begin()

    def offer(self, answers: Sequence[Answered]) -> None:
        """Keep some of them, or all."""
        with self._lock:
            for answered in answers:
                self._offered += 1
                self._rows += answered.rows if self._batchable else 1
                if len(self._kept) < self._room:
                    self._kept.append(self._looked(answered))
                elif (place := _random(self._offered)) < len(self._kept):
                    self._bytes -= self._kept[place][1]
                    self._kept[place] = self._looked(answered)
                else:
                    continue
                self._make_room()

    def take(self) -> tuple[Sequence[Looked], int]:
        """What was kept, and how many rows were offered. The next ones begin anew."""
        with self._lock:
            taken, rows = [looked for looked, _ in self._kept], self._rows
            self._begin()
            return taken, rows

    def _begin(self) -> None:
        self._kept: list[tuple[Looked, int]] = []
        self._room = MAX_REQUESTS
        self._offered = self._rows = self._bytes = 0

    def _make_room(self) -> None:
        """Drop some by chance while they are too large; from then on there is room for as many as are left."""
        while self._bytes > MAX_BYTES and len(self._kept) > 1:
            place = _random(len(self._kept))
            self._kept[place], self._kept[-1] = self._kept[-1], self._kept[place]
            self._bytes -= self._kept.pop()[1]
            self._room = len(self._kept)

    def _looked(self, answered: Answered) -> tuple[Looked, int]:
        inputs, outputs = list(answered.inputs), list(answered.outputs)
        if self._batchable and answered.rows > MAX_ROWS:
            every = -(-answered.rows // MAX_ROWS)
            inputs, outputs = _thinned(inputs, every), _thinned(outputs, every)
        size = sum([size_bytes(tensor.array) for tensor in (*inputs, *outputs)])
        self._bytes += size
        return (inputs, outputs), size


def _random(below: int) -> int:
    return int(random.random() * below)  # noqa: S311 - no secret, and three times as fast as randrange


def _thinned(tensors: Sequence[Tensor], every: int) -> list[Tensor]:
    # Copies: a view would keep all of it in memory.
    return [Tensor(each.name, each.datatype, each.array[::every].copy()) for each in tensors]
