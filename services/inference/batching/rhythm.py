"""How fast requests of one shape come, and how long batches of it take: what the decision to wait rests on."""

import math

from services.inference.batching.curve import Curve

_SMOOTHING = 0.1  # the weight of the newest request
_SHORTEST_GAP_S = 1e-6
_POISSON = math.exp(0.5772156649)
"""The mean of gaps between arrivals at random over their geometric mean (e to Euler's constant)."""


class Rhythm:
    """Of one shape. Arrivals are told by the queue under its lock, batches by the threads that compute them.

    The mean of gaps is taken of their logarithms: between two bursts there may be a pause as long as a thousand gaps,
    and it is in the burst that somebody asks whether the next one comes soon.
    """

    __slots__ = ("_last", "_log_gap", "_rows", "curve")

    def __init__(self) -> None:
        self.curve = Curve()
        self._last = 0.0
        self._log_gap: float | None = None
        self._rows = 0.0

    def arrive(self, rows: int, now: float) -> None:
        """A request has come."""
        if not self._last:
            self._last, self._rows = now, rows
            return
        log_gap = math.log(max(now - self._last, _SHORTEST_GAP_S))
        before = self._log_gap
        self._log_gap = log_gap if before is None else before + _SMOOTHING * (log_gap - before)
        self._rows += _SMOOTHING * (rows - self._rows)
        self._last = now

    def rows_per_s(self, now: float) -> float:
        """How fast rows come; the longer none has come, the slower. 0 until two requests have come."""
        if self._log_gap is None:
            return 0.0
        return self._rows / max(math.exp(self._log_gap) * _POISSON, now - self._last)
