"""Time that moves only when a test says so."""

import datetime

import pytest

_START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class ManualClock:
    """A Clock that stands still until :meth:`advance`."""

    def __init__(self, now: datetime.datetime = _START) -> None:
        self._now = now
        self._elapsed_s = 0.0

    def now(self) -> datetime.datetime:
        """See chassis.clock.Clock."""
        return self._now

    def monotonic(self) -> float:
        """See chassis.clock.Clock; seconds since this clock was made."""
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._now += datetime.timedelta(seconds=seconds)
        self._elapsed_s += seconds


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at 2026-01-01 00:00 UTC."""
    return ManualClock()
