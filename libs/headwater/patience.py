"""Trying again while a service is away."""

import time
from collections.abc import Callable
from typing import TypeVar

from headwater.errors import DeadlineExceeded, Unavailable

PATIENCE_S = 60.0
"""How long a service may be away."""

T = TypeVar("T")


def patiently(call: Callable[[], T]) -> T:
    """``call``, tried again for a minute while the service is away: a service may restart while a job runs."""
    give_up_at = time.monotonic() + PATIENCE_S
    delay_s = 0.1
    while True:
        try:
            return call()
        except (Unavailable, DeadlineExceeded):
            if time.monotonic() + delay_s > give_up_at:
                raise
        time.sleep(delay_s)
        delay_s = min(2 * delay_s, 5.0)
