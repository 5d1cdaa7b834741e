"""Time, passed in, so that tests can set it. Leases and order are decided by the database, never by this."""

import datetime
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime.datetime:
        """The time of day in UTC, with its time zone set."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back. For measuring durations."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime.datetime:
        """See Clock."""
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic()
