"""What one version did over the last seconds: counts and latencies, for whoever judges it.

Time is cut into slots. A request touches the newest slot alone; what the older ones add up to is kept, and changes only
when a slot ends, so that counting costs about a microsecond and reading costs a walk over the buckets of one histogram.
The breaker, the canary and the metrics read the same window.
"""

import bisect
import collections
import dataclasses
from collections.abc import Mapping, Sequence

_SLOTS = 10
_FIRST_S, _STEPS = 0.00005, 4
BOUNDS_S = tuple(_FIRST_S * 2 ** (step / _STEPS) for step in range(22 * _STEPS + 2))
"""Upper ends of the latency buckets, from 50 µs to about four minutes, each 19 % above the one before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """What a window holds at one moment.

    Attributes:
        seconds: how far back it looks.
        answered: requests that were answered.
        failed: requests that were not, by the reason of their error.
        faults: those of ``failed`` that were the model's fault.
        slow: answers for which the engine took longer than the breaker's rules allow.
        p50_s, p95_s, p99_s: from arrival to answer, within a fifth; 0 where nothing was answered.
        compared: answers that were compared with those of another version.
        agreed: those of ``compared`` that were the same.
    """

    seconds: float
    answered: int = 0
    failed: Mapping[str, int] = dataclasses.field(default_factory=dict)
    faults: int = 0
    slow: int = 0
    p50_s: float = 0.0
    p95_s: float = 0.0
    p99_s: float = 0.0
    compared: int = 0
    agreed: int = 0

    @property
    def judged(self) -> int:
        """Requests that say something of the model: it answered them, or failed at them."""
        return self.answered + self.faults

    @property
    def error_rate(self) -> float:
        """The share of ``faults`` in ``judged``; 0 where there is nothing to judge."""
        return self.faults / self.judged if self.judged else 0.0

    @property
    def agreement(self) -> float | None:
        """The share of ``agreed`` in ``compared``; None where nothing was compared."""
        return self.agreed / self.compared if self.compared else None


class _Counts:
    """One slot, or what several add up to."""

    __slots__ = ("agreed", "answered", "compared", "failed", "faults", "latencies", "slow")

    def __init__(self) -> None:
        self.answered = self.faults = self.slow = self.compared = self.agreed = 0
        self.failed: collections.Counter[str] = collections.Counter()
        self.latencies = [0] * (len(BOUNDS_S) + 1)

    def add(self, other: "_Counts", sign: int) -> None:
        self.answered += sign * other.answered
        self.faults += sign * other.faults
        self.slow += sign * other.slow
        self.compared += sign * other.compared
        self.agreed += sign * other.agreed
        self.latencies = [mine + sign * its for mine, its in zip(self.latencies, other.latencies, strict=True)]
        for reason, count in other.failed.items():
            self.failed[reason] += sign * count
            if not self.failed[reason]:
                del self.failed[reason]


class Window:
    """The last ``seconds`` of one version, in steps of a tenth of that. ``now`` is a reading of a monotonic clock.

    Used in one event loop. A reading of the clock that is older than one before counts into the newest slot.
    """

    def __init__(self, seconds: float = 30.0) -> None:
        self.seconds = seconds
        self._slot_s = seconds / _SLOTS
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._ends: float | None = None
        self._now = _Counts()
        self._before: collections.deque[_Counts] = collections.deque()
        self._sum = _Counts()

    def succeed(self, now: float, seconds: float, *, slow: bool = False) -> None:
        """Count an answer that took ``seconds`` from the arrival of its request."""
        if self._ends is None or now >= self._ends:
            self._turn(now)
        counts = self._now
        counts.answered += 1
        counts.latencies[bisect.bisect_left(BOUNDS_S, seconds)] += 1
        if slow:
            counts.slow += 1

    def fail(self, now: float, reason: str, *, fault: bool) -> None:
        """Count a request that was not answered; ``fault`` where that is the model's."""
        self._turn(now)
        self._now.failed[reason] += 1
        self._now.faults += fault

    def compare(self, now: float, *, agreed: bool) -> None:
        """Count an answer that was compared with another version's."""
        self._turn(now)
        self._now.compared += 1
        self._now.agreed += agreed

    def counts(self, now: float) -> tuple[int, int, int]:
        """Answers, the model's faults and slow answers: what a breaker needs, without the latencies."""
        self._turn(now)
        mine, sums = self._now, self._sum
        return mine.answered + sums.answered, mine.faults + sums.faults, mine.slow + sums.slow

    def read(self, now: float) -> Measured:
        """Everything that is in it."""
        self._turn(now)
        total = _Counts()
        total.add(self._sum, 1)
        total.add(self._now, 1)
        p50_s, p95_s, p99_s = (_quantile(total.latencies, share) for share in (0.5, 0.95, 0.99))
        return Measured(
            self.seconds,
            total.answered,
            dict(total.failed),
            total.faults,
            total.slow,
            p50_s,
            p95_s,
            p99_s,
            total.compared,
            total.agreed,
        )

    def _turn(self, now: float) -> None:
        """Let the slots end that have ended by ``now``, and drop those that are too old."""
        if self._ends is None:
            self._ends = now + self._slot_s
        elif now >= self._ends:
            ended = int((now - self._ends) / self._slot_s) + 1
            self._ends += ended * self._slot_s
            for _ in range(min(ended, _SLOTS)):
                self._before.append(self._now)
                self._sum.add(self._now, 1)
                self._now = _Counts()
                if len(self._before) >= _SLOTS:
                    self._sum.add(self._before.popleft(), -1)


def _quantile(buckets: Sequence[int], share: float) -> float:
    """The value that ``share`` of the counted ones do not exceed, as if those of a bucket were evenly spread in it."""
    rank, below = share * sum(buckets), 0
    for index, count in enumerate(buckets):
        if count and below + count >= rank:
            low = BOUNDS_S[index - 1] if index else 0.0
            high = BOUNDS_S[min(index, len(BOUNDS_S) - 1)]
            return low + (high - low) * max(rank - below, 0) / count
        below += count
    return 0.0
