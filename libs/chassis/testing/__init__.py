"""A pytest plugin (``-p chassis.testing``): private real servers, started services, a clock that only tests move."""

from chassis.testing.clock import ManualClock

__all__ = ["ManualClock"]
