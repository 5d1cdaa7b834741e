"""What the process that trains tells its data loader's workers: where passes begin, and the present token.

Workers hold copies of the dataset, made by fork or by pickle, and may outlive an epoch. So this lies in memory that all
share: it reaches those that run already, too.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import get_worker_info

from headwater.datasets.batches import Cursor
from headwater.errors import FailedPrecondition, InvalidArgument

_GENERATION, _EPOCH, _ROW, _BEGUN, _SLOTS = range(5)
_VERSION, _LENGTH = range(2)
_TOKEN_BYTES = 16 << 10


class StateInWorkers(FailedPrecondition):
    """The batches come from worker processes, and nothing in this one has counted which were handed out."""

    reason = "STATE_IN_WORKERS"
    text = "Workers read ahead, and only the loader knows what was handed out: use headwater.torch.FlightLoader."


class EpochNotSet(FailedPrecondition):
    """The second pass of a stock data loader's workers would begin where the first was resumed, not at row 0."""

    reason = "EPOCH_NOT_SET"
    text = "Call set_epoch before each pass, or use headwater.torch.FlightLoader, which needs no such call."


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    generation: int
    start: Cursor
    now: Cursor


class Position:
    """Where passes begin, shared with workers; and how far the last one is, of which each process knows its own."""

    def __init__(self) -> None:
        self._shared = _shared(_SLOTS, torch.int64)
        self._place: _Place | None = None
        self._counted = 0  # passes of workers since the last move, whose batches this process counts

    @property
    def start(self) -> Cursor:
        """Where the next pass begins."""
        return self._current().start

    @property
    def now(self) -> Cursor:
        """How far the last pass is.

        Raises:
            StateInWorkers: nobody in this process knows.
        """
        if get_worker_info() is None and self._shared[_BEGUN] > self._counted:
            raise StateInWorkers
        return self._current().now

    def move(self, start: Cursor) -> None:
        """Let passes begin at ``start``: in this process, and, unless it is a worker, in the workers too."""
        if get_worker_info() is None:
            self._shared[_EPOCH], self._shared[_ROW], self._shared[_BEGUN] = start.epoch, start.row, 0
            self._shared[_GENERATION] += 1
        self._place, self._counted = _Place(int(self._shared[_GENERATION]), start, start), 0

    def begin(self) -> Cursor:
        """Begin a pass in this process; says where.

        Raises:
            EpochNotSet
        """
        worker, place = get_worker_info(), self._current()
        if worker is not None and worker.id == 0:
            if self._shared[_BEGUN] and place.start.row:
                raise EpochNotSet(epoch=place.start.epoch, row=place.start.row)
            self._shared[_BEGUN] += 1
        self._place = dataclasses.replace(place, now=place.start)
        return place.start

    def begin_for_workers(self) -> Cursor:
        """Begin a pass of workers whose batches this process hands out and counts."""
        self._shared[_BEGUN], self._counted = 0, 1
        return self.begin()

    def reached(self, now: Cursor) -> None:
        """Rows up to ``now`` have been handed out."""
        self._place = dataclasses.replace(self._current(), now=now)

    def ended(self) -> None:
        """The pass is over: the next one, here, is that of the next epoch."""
        following = Cursor(self._current().now.epoch + 1)
        if get_worker_info() is None:
            self.move(following)
        else:
            # Where the workers' next pass begins is for the process that trains to say.
            self.reached(following)

    def _current(self) -> _Place:
        generation = int(self._shared[_GENERATION])
        if self._place is None or self._place.generation != generation:
            start = Cursor(int(self._shared[_EPOCH]), int(self._shared[_ROW]))
            self._place = _Place(generation, start, start)
        return self._place


class SharedToken:
    """The token of a connection, also for the processes that have no connection but this, as it is renewed."""

    def __init__(self, current: Callable[[], str]) -> None:
        self._current: Callable[[], str] | None = current
        self._header = _shared(2, torch.int64)
        self._text = _shared(_TOKEN_BYTES, torch.uint8)
        self._written: str | None = None
        self.publish()

    def publish(self) -> None:
        """Let the others know the present token."""
        token = self._current() if self._current is not None else self._written
        if token is None or token == self._written:
            return
        encoded = token.encode()
        if len(encoded) > _TOKEN_BYTES:
            raise InvalidArgument(f"A token has at most {_TOKEN_BYTES} bytes.")
        # An odd version says that the text is being changed.
        self._header[_VERSION] += 1
        self._header[_LENGTH] = len(encoded)
        self._text[: len(encoded)] = torch.frombuffer(bytearray(encoded), dtype=torch.uint8)
        self._header[_VERSION] += 1
        self._written = token

    def __call__(self) -> str:
        """The token as it was last published."""
        while True:
            version, length = (int(number) for number in self._header)
            text = bytes(self._text[:length].numpy())
            if version % 2 == 0 and int(self._header[_VERSION]) == version:
                return text.decode()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_current": None}


def _shared(size: int, kind: torch.dtype) -> torch.Tensor:
    tensor: torch.Tensor = torch.zeros(size, dtype=kind).share_memory_()  # type: ignore[no-untyped-call]
    return tensor
