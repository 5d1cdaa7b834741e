"""Two ways of doing the same work, side by side.

An absolute time means nothing on a shared machine, so each round runs A B B A and gives one ratio; the median of the
rounds counts, and their spread says how far to trust it.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

ROUNDS = 7


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a pair of measurements came to."""

    name: str
    ours: float
    """Work per second, median of the rounds."""
    theirs: float
    unit: str
    ratio: float
    """Ours to theirs, median of the rounds' ratios; above 1 we are faster."""
    low: float
    high: float
    cpu_ms: float
    """CPU time that our servers spent on one unit of work, in milliseconds, PostgreSQL included."""
    peer: str
    must_be: str = ""
    """What the ratio has to be, as "≥ 0.4"; empty where nothing was promised."""

    def row(self) -> Sequence[str]:
        """The result as cells of a table."""
        return (
            self.name,
            f"{self.ours:,.0f} {self.unit}",
            f"{self.theirs:,.0f} {self.unit}",
            f"{self.ratio:.2f}",
            self.must_be,
            f"{self.low:.2f} – {self.high:.2f}",
            f"{self.cpu_ms:.3f}",
            self.peer,
        )

    def to_json(self) -> dict[str, Any]:
        """The result as it is kept."""
        return dataclasses.asdict(self)


HEADINGS = ("what", "Headwater", "peer", "ratio", "must be", "spread", "CPU ms a unit", "peer is")


def measure(
    name: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    *,
    unit: str,
    peer: str,
    servers: Sequence[psutil.Process],
    rounds: int = ROUNDS,
    must_be: str = "",
) -> Result:
    """Run both, interleaved, after a warm-up. Each call does its work once and returns how much it was."""
    ours(), theirs()
    samples: list[tuple[float, float]] = []
    busy, done = 0.0, 0.0
    for _ in range(rounds):
        cpu = _cpu_seconds(servers)
        first = _rate(ours)
        busy += _cpu_seconds(servers) - cpu
        peers = (_rate(theirs), _rate(theirs))
        cpu = _cpu_seconds(servers)
        second = _rate(ours)
        busy += _cpu_seconds(servers) - cpu
        done += first[1] + second[1]
        samples.append((_mean(first, second), _mean(*peers)))
    ratios = sorted(own / other for own, other in samples)
    return Result(
        name=name,
        ours=statistics.median(own for own, _ in samples),
        theirs=statistics.median(other for _, other in samples),
        unit=unit,
        ratio=statistics.median(ratios),
        low=ratios[0],
        high=ratios[-1],
        cpu_ms=busy / done * 1000,
        peer=peer,
        must_be=must_be,
    )


def _rate(work: Callable[[], float]) -> tuple[float, float]:
    """Work per second, and how much it was."""
    begun = time.perf_counter()
    amount = work()
    return amount / (time.perf_counter() - begun), amount


def _mean(*rates: tuple[float, float]) -> float:
    return statistics.harmonic_mean([rate for rate, _ in rates])


def _cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """User and system time of the processes and their living children."""
    total = 0.0
    for process in processes:
        for each in (process, *process.children(recursive=True)):
            try:
                times = each.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total
