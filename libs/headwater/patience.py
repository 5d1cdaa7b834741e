"""Trying again while a service is away."""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from headwater.errors import DeadlineExceeded, HeadwaterError, Unavailable

PATIENCE_S: Final = 60.0
"""How long a service may be away."""
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0

T = TypeVar("T")


def patiently(call: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """``call()``, tried again for ``patience_s`` at most while the service is away: it may restart while a job runs."""
    pauses = Pauses(patience_s)
    while True:
        try:
            return call()
        except HeadwaterError as error:
            time.sleep(pauses.after(error))


class Pauses:
    """How long to wait before each new attempt, as long as there is to be one."""

    def __init__(self, patience_s: float) -> None:
        self._give_up_at = time.monotonic() + patience_s
        self._next_s = _FIRST_PAUSE_S

    def after(self, error: HeadwaterError) -> float:
        """The pause; raises ``error`` where none would help."""
        hint_s = (error.retry_after_ms or 0) / 1000
        if not (isinstance(error, Unavailable | DeadlineExceeded) or hint_s):
            raise error
        # So that callers that lost the same server do not come back in step.
        pause_s = (hint_s or self._next_s) * random.uniform(0.8, 1.2)  # noqa: S311
        if time.monotonic() + pause_s > self._give_up_at:
            raise error
        self._next_s = min(2 * self._next_s, _LONGEST_PAUSE_S)
        return pause_s
