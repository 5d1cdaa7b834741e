"""What is kept of one loaded version for its defence: window, breaker, and its last requests as evidence."""

import collections
from typing import NamedTuple

from headwater.names import IncidentName
from services.inference.guard.breaker import Breaker
from services.inference.guard.options import Guarding
from services.inference.guard.window import Window

CRASHES = 3
"""So many crashes of an engine within the window are an incident."""
_CALLERS = 1000  # more are not told apart: no rule asks for more
_FAILURES, _ANSWERS = 24, 8  # the last of each, so that answers do not push out the failures


class Seen(NamedTuple):
    """One request to the version. ``at`` is a reading of the monotonic clock, when it ended; ``reason`` is empty for an
    answer. A tuple, because one is made for every request."""

    at: float
    request_id: str
    client_request_id: str
    caller: str
    seconds: float
    reason: str = ""
    message: str = ""


class Watch:
    """One loaded version's defence. Used in one event loop."""

    def __init__(self, guarding: Guarding | None = None) -> None:
        self.guarding = guarding or Guarding()
        self.window = Window(self.guarding.window_s)
        self.breaker = Breaker(self.guarding.breaker, self.window)
        self.begun: float | None = None
        """When it was first seen to be in place."""
        self.incident: IncidentName | None = None
        """That of the breaker's not being closed."""
        self.crash_incident: IncidentName | None = None
        """That of the engine's crashing again and again."""
        self.crashes: collections.deque[float] = collections.deque(maxlen=CRASHES)
        """When the engine crashed last."""
        self.has_no_way_back = False
        """Whether it was said that there is no earlier version to go back to."""
        self.refused = 0
        """Requests that the breaker refused since it opened."""
        self.stood_in: collections.Counter[str] = collections.Counter()
        """Who answered in its place since then, and how often."""
        self._failures: collections.deque[Seen] = collections.deque(maxlen=_FAILURES)
        self._failing: dict[str, float] = {}
        """When the model failed last at a request of each caller, the oldest first."""
        self._answers: collections.deque[Seen] = collections.deque(maxlen=_ANSWERS)

    def saw(self, seen: Seen) -> None:
        """Keep it among the last ones."""
        (self._failures if seen.reason else self._answers).append(seen)

    def last(self) -> list[Seen]:
        """The last failures and the last answers, in the order in which they ended."""
        return sorted([*self._failures, *self._answers], key=lambda seen: seen.at)

    def count_failing(self, caller: str, now: float) -> int:
        """At how many callers' requests the model has failed within the window, with that of ``caller`` just now."""
        self._failing.pop(caller, None)
        self._failing[caller] = now
        while len(self._failing) > _CALLERS or next(iter(self._failing.values())) < now - self.window.seconds:
            del self._failing[next(iter(self._failing))]
        return len(self._failing)

    def configure(self, guarding: Guarding) -> None:
        """Go by these rules from now on; another length of the window begins with an empty one."""
        if guarding == self.guarding:
            return
        if guarding.window_s != self.guarding.window_s:
            self.window = self.breaker.window = Window(guarding.window_s)
        self.breaker.configure(guarding.breaker)
        self.guarding = guarding
