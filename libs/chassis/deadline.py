"""The time a caller gave, known to everything that works on the caller's behalf (promise 9).

The edges set it once per call; ``chassis.db`` ends a transaction when it passes.
"""

import contextvars
import time

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("headwater_deadline", default=None)


def set_remaining_s(seconds: float | None) -> None:
    """For the edges: from here on, in this task, the caller waits ``seconds`` longer; None means without end."""
    _deadline.set(None if seconds is None else time.monotonic() + seconds)


def remaining_s() -> float | None:
    """How long the caller still waits, in seconds: negative when it is over, None when there is no end."""
    deadline = _deadline.get()
    return None if deadline is None else deadline - time.monotonic()
