"""Streams that are taken up again where they broke."""

import random
import time
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

import pyarrow as pa

from headwater.errors import HeadwaterError, Unavailable

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0

T = TypeVar("T")


def unbroken(
    open_after: Callable[[int], Iterator[pa.RecordBatch]], patience_s: float
) -> Generator[pa.RecordBatch, None, None]:
    """The rows of ``open_after(0)``; when the service goes away, after n rows, goes on with those of ``open_after(n)``.

    Raises:
        HeadwaterError: the service refuses, or has been away for ``patience_s`` in which no row came.
    """
    received, pauses = 0, _Pauses(patience_s)
    while True:
        try:
            for batch in open_after(received):
                received, pauses = received + batch.num_rows, _Pauses(patience_s)
                yield batch
        except HeadwaterError as error:
            time.sleep(pauses.after(error))
        else:
            return


def patiently(call: Callable[[], T], patience_s: float) -> T:
    """``call()``, tried again while the service is away, for ``patience_s`` at most."""
    pauses = _Pauses(patience_s)
    while True:
        try:
            return call()
        except HeadwaterError as error:
            time.sleep(pauses.after(error))


class _Pauses:
    """How long to wait before each new attempt, as long as there is to be one."""

    def __init__(self, patience_s: float) -> None:
        self._give_up_at = time.monotonic() + patience_s
        self._next_s = _FIRST_PAUSE_S

    def after(self, error: HeadwaterError) -> float:
        """The pause; raises ``error`` where none would help."""
        hint_s = (error.retry_after_ms or 0) / 1000
        if not (isinstance(error, Unavailable) or hint_s):
            raise error
        # So that readers that lost the same server do not come back in step.
        pause_s = (hint_s or self._next_s) * random.uniform(0.8, 1.2)  # noqa: S311
        if time.monotonic() + pause_s > self._give_up_at:
            raise error
        self._next_s = min(2 * self._next_s, _LONGEST_PAUSE_S)
        return pause_s
