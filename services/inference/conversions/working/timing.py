"""Measures several ways to compute one thing beside each other: what else the machine does meets all of them."""

import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence

_LEAST_ROUNDS, _MOST_ROUNDS = 7, 200
_SHORTEST_S = 0.005
"""A measurement of something shorter is one of several calls."""
_SIFTED_AFTER, _HOPELESS = 5, 2.0
"""After so many rounds, what takes so many times as long as the fastest is measured no more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one call, by round; and how much faster each was than the baseline in the same round."""

    seconds: tuple[float, ...]
    speedups: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """The median time."""
        return statistics.median(self.seconds)

    @property
    def speedup(self) -> float:
        """The median of how much faster it was."""
        return statistics.median(self.speedups)

    @property
    def quarters_s(self) -> tuple[float, float]:
        """The times that a quarter of the rounds were below, and above."""
        low, _, high = quartiles(self.seconds)
        return low, high

    @property
    def least_speedup(self) -> float:
        """What three quarters of the rounds were faster by."""
        return quartiles(self.speedups)[0]


def measure(
    calls: Mapping[str, Callable[[], object]],
    baseline: str,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
    beside: Collection[str] = (),
) -> Mapping[str, Times]:
    """How long each of ``calls`` takes: in rounds, in an order drawn anew each time, for about ``seconds``.

    Each is called before, so that it is warm. What is hopelessly slow is dropped after some rounds; ``baseline`` never
    is, and nothing is for being slower than those ``beside`` the others, which cannot be chosen.
    """
    order = random.Random(0)  # noqa: S311 - no secret
    repeats = {name: _repeats(call, clock) for name, call in calls.items()}
    found: dict[str, list[float]] = {name: [] for name in calls}
    speedups: dict[str, list[float]] = {name: [] for name in calls}
    running, end, rounds = list(calls), clock() + seconds, 0
    while rounds < _MOST_ROUNDS and (rounds < _LEAST_ROUNDS or clock() < end):
        order.shuffle(running)
        taken = {name: _time(calls[name], repeats[name], clock) for name in running}
        for name, one in taken.items():
            found[name].append(one)
            speedups[name].append(taken[baseline] / one)
        rounds += 1
        if rounds == _SIFTED_AFTER:
            fastest = min(statistics.median(each) for name, each in found.items() if name not in beside)
            running = [
                name for name in running if name == baseline or statistics.median(found[name]) <= _HOPELESS * fastest
            ]
    return {name: Times(tuple(found[name]), tuple(speedups[name])) for name in calls}


def quartiles(numbers: Sequence[float]) -> tuple[float, float, float]:
    """The three numbers that cut ``numbers`` into quarters; of a single number, itself."""
    if len(numbers) == 1:
        return numbers[0], numbers[0], numbers[0]
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return low, middle, high


def _repeats(call: Callable[[], object], clock: Callable[[], float]) -> int:
    call()
    once = _time(call, 1, clock)
    return max(1, int(_SHORTEST_S / once)) if once > 0 else 1


def _time(call: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    begun = clock()
    for _ in range(repeats):
        call()
    return max((clock() - begun) / repeats, 1e-9)
