"""How fast requests of one shape come, and how long batches of it take: what the decision to wait rests on."""

from services.inference.batching.curve import Curve

_SMOOTHING = 0.1  # the weight of the newest request


class Rhythm:
    """Of one shape. Arrivals are told by the queue under its lock, batches by the threads that compute them."""

    __slots__ = ("_gap_s", "_last", "_rows", "curve")

    def __init__(self) -> None:
        self.curve = Curve()
        self._last = 0.0
        self._gap_s = 0.0
        self._rows = 0.0

    def arrive(self, rows: int, now: float) -> None:
        """A request has come."""
        if not self._last:
            self._rows = rows
        elif not self._gap_s:
            self._gap_s = now - self._last
        else:
            self._gap_s += _SMOOTHING * (now - self._last - self._gap_s)
            self._rows += _SMOOTHING * (rows - self._rows)
        self._last = now

    def rows_per_s(self, now: float) -> float:
        """How fast rows come; the longer none has come, the slower. 0 until two requests have come."""
        gap_s = max(self._gap_s, now - self._last)
        return self._rows / gap_s if self._gap_s and gap_s > 0 else 0.0
