"""When to start again what has ended."""

import math
from collections.abc import Callable

_FIRST_S, _LAST_S = 0.1, 30.0
_STABLE_S = 60.0
_LEAST_RETRY_MS = 50


class Backoff:
    """At once the first time; then after 0.1 s, and each time twice as long, up to 30 s. What ran for a minute was
    well, and begins anew."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._began = self._next = monotonic()
        self._delay_s = 0.0

    def started(self) -> None:
        """It runs."""
        self._began = self._monotonic()

    def ended(self) -> None:
        """It has ended, or could not be started."""
        now = self._monotonic()
        if now - self._began > _STABLE_S:
            self._delay_s = 0.0
        self._began = math.inf
        self._next = now + self._delay_s
        self._delay_s = min(max(self._delay_s * 2, _FIRST_S), _LAST_S)

    def remaining_s(self) -> float:
        """How long to wait before the next start."""
        return max(self._next - self._monotonic(), 0.0)

    def retry_after_ms(self) -> int:
        """When to ask again, for callers."""
        return int(self.remaining_s() * 1000) + _LEAST_RETRY_MS
