"""The time a caller gave, known to everything that works on the caller's behalf (promise 9).

The edges set it once per call, and give the call up a little before it has passed; ``chassis.db`` ends a transaction
with it.
"""

import contextvars
import time

_MARGIN_S = 0.02  # so that our answer, which says more, is there before the caller's own timeout

_deadline: contextvars.ContextVar[tuple[float, float] | None] = contextvars.ContextVar(
    "headwater_deadline", default=None
)
"""When the call is given up, and when the caller does that."""


def set_remaining_s(seconds: float | None) -> float | None:
    """For the edges, and for work that goes on when the call is over: from here on, in this task, the caller waits
    ``seconds`` longer; None means without end.

    Returns after how many seconds the edge is to give the call up.
    """
    if seconds is None:
        _deadline.set(None)
        return None
    patience_s = max(seconds - _MARGIN_S, seconds / 2, 0.0)
    now = time.monotonic()
    _deadline.set((now + patience_s, now + seconds))
    return patience_s


def remaining_s() -> float | None:
    """How long the caller still waits, in seconds: negative when it is over, None when there is no end."""
    deadline = _deadline.get()
    return None if deadline is None else deadline[1] - time.monotonic()


def is_given_up() -> bool:
    """Whether the caller's time is over, so that the edge ends the call: why work is cancelled, where it is."""
    deadline = _deadline.get()
    return deadline is not None and time.monotonic() >= deadline[0]
