"""Time that moves only when a test says so."""

import datetime


class ManualClock:
    """A Clock that stands still until :meth:`advance`."""

    def __init__(self, now: datetime.datetime = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)) -> None:
        self._now = now
        self._elapsed_s = 0.0

    def now(self) -> datetime.datetime:
        """The present, in UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since this clock was made."""
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._now += datetime.timedelta(seconds=seconds)
        self._elapsed_s += seconds
