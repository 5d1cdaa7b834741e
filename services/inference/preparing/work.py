"""The preparation of one request's rows, by several threads."""

import dataclasses
import threading
from collections.abc import Sequence

from headwater.errors import HeadwaterError
from headwater.tensors import Array
from headwater.transforms import Pipeline, RowInvalid
from headwater.transforms.feeding import Feed
from services.inference.preparing.errors import RawRefused, RowUnusable
from services.inference.preparing.room import Place


@dataclasses.dataclass(slots=True, eq=False)
class Work:
    """Rows to prepare, and what came of it: ``arrays``, or the ``error`` of the first row that failed, with its number.
    What is kept takes room in ``place``."""

    pipeline: Pipeline
    feed: Feed
    files: Sequence[bytes]
    place: Place
    arrays: list[Array | None] = dataclasses.field(init=False)
    error: tuple[int, HeadwaterError] | None = None
    _stopped: bool = False
    _next: int = 0
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.arrays = [None] * len(self.files)

    def run(self) -> None:
        """Prepare rows until none is left; called by as many threads as are to help."""
        while (row := self._take()) is not None:
            try:
                self.arrays[row] = self._prepare(row)
            except HeadwaterError as error:
                self._fail(row, error)

    def stop(self) -> None:
        """Begin no further row: nobody waits any more."""
        self._stopped = True

    def _take(self) -> int | None:
        with self._lock:
            row = self._next
            if self._stopped or self.error is not None or row == len(self.files):
                return None
            self._next = row + 1
            return row

    def _fail(self, row: int, error: HeadwaterError) -> None:
        with self._lock:  # the first row that fails is told, whichever thread came to it first
            if self.error is None or row < self.error[0]:
                self.error = row, error

    def _prepare(self, row: int) -> Array:
        try:
            array = self.pipeline.prepare(self.files[row], row)
        except RowInvalid as error:
            step = error.metadata.get("step", "")
            raise RowUnusable(f"`raw`, step {step}: {error.message}", row=row, step=step) from error
        if not self.feed.admits(array):
            raise RawRefused(
                f"`raw`: row {row} becomes {list(array.shape)}; the model takes {list(self.feed.shape)} (-1 varies).",
                row=row,
            )
        self.place.reserve(array.nbytes)
        return array
