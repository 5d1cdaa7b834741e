"""A circuit breaker for one version, after Nygard, "Release It!": closed, open, half-open.

Who is let through gets a permit and brings it back with the outcome. A permit is good until the breaker moves: outcomes
of requests that were let through before do not move it again, and a probe whose outcome says nothing of the model (its
caller went away, its input was wrong) gives its place to the next. So a breaker cannot stay half-open for ever, nor be
closed by an answer from before it opened.
"""

import dataclasses
import enum
import random
from collections.abc import Callable

from services.inference.guard.options import BreakerRules
from services.inference.guard.window import Window

_MIN_SLOW = 5  # fewer slow answers are outliers, whatever share they are
_SLOW_SHARE = 0.01
_JITTER = 0.2
_PROBING_RETRY_S = 0.25  # for who comes while others probe


class Position(enum.Enum):
    """Where a breaker stands."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """That a breaker went to ``position``, and why. ``open_s`` is how long it stays open; 0 unless it does."""

    position: Position
    reason: str
    open_s: float = 0.0


class Breaker:
    """Used in one event loop; ``now`` is a reading of a monotonic clock. Whoever lets go of a permit must tell how.

    ``changes`` grows with every move; who acts on them empties it. ``chance`` gives numbers from 0 to 1.
    """

    def __init__(self, rules: BreakerRules, window: Window, chance: Callable[[], float] = random.random) -> None:
        self.rules = rules
        self.window = window
        self.position = Position.CLOSED
        self.changes: list[Change] = []
        self.failing_since: float | None = None
        """When it opened without having closed since."""
        self._chance = chance
        self.permit = 0
        """The permit of whoever is let through now."""
        self._in_a_row = 0
        self._until = 0.0
        self._openings = 0
        self._closed_at = 0.0
        self._probing = 0
        self._probed = 0

    def ask(self, now: float) -> int | None:
        """A permit for one request; None where it is refused."""
        if self.position is Position.CLOSED or not self.rules.enabled:
            return self.permit
        if self.position is Position.OPEN:
            if now < self._until:
                return None
            self._move(Position.HALF_OPEN, "it is tried again")
            self._probing = self._probed = 0
        elif self._probed >= self.rules.probes:  # fewer are wanted by now, and they were answered
            self._close(now)
            return self.permit
        if self._probing + self._probed >= self.rules.probes:
            return None
        self._probing += 1
        return self.permit

    def retry_s(self, now: float) -> float:
        """When who was refused should come again."""
        return max(self._until - now, _PROBING_RETRY_S)

    def succeed(self, permit: int, now: float, *, slow: bool = False) -> None:
        """An answer was given; the window has counted it. ``slow``: the engine took longer than the rules allow."""
        if permit != self.permit or not self.rules.enabled:
            return
        if self.position is Position.CLOSED:
            self._in_a_row = 0
            if slow:
                self._judge_latency(now)
        elif slow:
            self._open(now, "a probe was too slow")
        else:
            self._probing -= 1
            self._probed += 1
            if self._probed >= self.rules.probes:
                self._close(now)

    def fail(self, permit: int, now: float, reason: str) -> None:
        """The model failed at a request; the window has counted it."""
        if permit != self.permit or not self.rules.enabled:
            return
        if self.position is Position.HALF_OPEN:
            self._open(now, f"a probe failed: {reason}")
            return
        self._in_a_row += 1
        if self._in_a_row >= self.rules.consecutive_failures:
            self._open(now, f"{self._in_a_row} failures in a row, the last {reason}")
            return
        answered, faults, _ = self.window.counts(now)
        if answered + faults >= self.rules.min_requests and faults > self.rules.max_error_rate * (answered + faults):
            self._open(now, f"{faults} of {answered + faults} requests failed, the last {reason}")

    def give_back(self, permit: int) -> None:
        """How the request ended says nothing of the model."""
        if permit == self.permit and self.position is Position.HALF_OPEN:
            self._probing -= 1

    def configure(self, rules: BreakerRules) -> None:
        """Go by other rules from now on. One that is switched off is closed."""
        if not rules.enabled and self.position is not Position.CLOSED:
            self.failing_since = None
            self._move(Position.CLOSED, "it was switched off")
        self.rules = rules

    def _judge_latency(self, now: float) -> None:
        answered, faults, slow = self.window.counts(now)
        judged = answered + faults
        if judged >= self.rules.min_requests and slow >= _MIN_SLOW and slow > _SLOW_SHARE * judged:
            limit_ms = self.rules.max_p99_s * 1000
            self._open(now, f"{slow} of {judged} requests took the engine longer than {limit_ms:g} ms")

    def _open(self, now: float, reason: str) -> None:
        # One that opens again soon after it closed goes on where it was, so that it does not flap.
        if self.position is Position.CLOSED and now - self._closed_at > self.rules.max_open_s:
            self._openings = 0
        longest_s = min(self.rules.open_s * 2 ** min(self._openings, 30), self.rules.max_open_s)
        # Replicas are not to try again in step.
        open_s = longest_s * (1 + _JITTER * (2 * self._chance() - 1))
        self._openings += 1
        self._until = now + open_s
        if self.failing_since is None:
            self.failing_since = now
        self._move(Position.OPEN, reason, open_s)

    def _close(self, now: float) -> None:
        self.failing_since = None
        self._closed_at = now
        self._in_a_row = 0
        self.window.clear()  # what was before is judged already
        self._move(Position.CLOSED, f"{self._probed} probes were answered")

    def _move(self, position: Position, reason: str, open_s: float = 0.0) -> None:
        self.position = position
        self.permit += 1
        self.changes.append(Change(position, reason, open_s))
