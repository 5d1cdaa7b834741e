"""Two ways of doing the same work, side by side.

An absolute time means nothing on a shared machine, so each round runs A B B A and gives one ratio; the median of the
rounds counts, and their spread says how far to trust it.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

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
    peer_cpu_ms: float = 0.0
    """As ``cpu_ms``, of the peer's servers; 0 where it has none."""

    def of_cpu(self, must_be: str) -> "Result":
        """The CPU time of both sides' servers."""
        ratio = self.cpu_ms / self.peer_cpu_ms
        unit = f"CPU ms/{self.unit.removesuffix('/s')}"
        return Result(
            f"{self.name}, CPU",
            self.cpu_ms,
            self.peer_cpu_ms,
            unit,
            ratio,
            ratio,
            ratio,
            self.cpu_ms,
            self.peer,
            must_be,
        )

    def row(self) -> Sequence[str]:
        """The result as cells of a table."""
        return (
            self.name,
            f"{_figure(self.ours)} {self.unit}",
            f"{_figure(self.theirs)} {self.unit}",
            f"{self.ratio:.2f}",
            self.must_be,
            f"{self.low:.2f} – {self.high:.2f}",
            f"{self.cpu_ms:.3f}",
            self.peer,
        )

    def to_json(self) -> dict[str, Any]:
        """The result as it is kept."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Timed:
    """So much work in so many seconds, for work that knows better than its caller when it began and ended."""

    amount: float
    seconds: float


Work: TypeAlias = "Callable[[], float | Timed]"
"""Does its work once and returns how much it was."""


HEADINGS = ("what", "Headwater", "peer", "ratio", "must be", "spread", "CPU ms a unit", "peer is")


def measure(
    name: str,
    ours: Work,
    theirs: Work,
    *,
    unit: str,
    peer: str,
    servers: Sequence[psutil.Process],
    peer_servers: Sequence[psutil.Process] = (),
    prepare: Callable[[], object] = lambda: None,
    rounds: int = ROUNDS,
    warm_up: bool = True,
    must_be: str = "",
) -> Result:
    """Run both, interleaved, after a warm-up.

    ``prepare`` comes before each call and does not count.
    """
    own, other = _Side(ours, prepare, servers), _Side(theirs, prepare, peer_servers)
    for side in (own, other) if warm_up else ():
        side.warm_up()
    samples = []
    for _ in range(rounds):
        first, *peers, second = own.rate(), other.rate(), other.rate(), own.rate()
        samples.append((statistics.harmonic_mean([first, second]), statistics.harmonic_mean(peers)))
    ratios = sorted(own / other for own, other in samples)
    return Result(
        name=name,
        ours=statistics.median(own for own, _ in samples),
        theirs=statistics.median(other for _, other in samples),
        unit=unit,
        ratio=statistics.median(ratios),
        low=ratios[0],
        high=ratios[-1],
        cpu_ms=own.cpu_ms,
        peer=peer,
        must_be=must_be,
        peer_cpu_ms=other.cpu_ms,
    )


class _Side:
    """One of the two, with what its servers have spent on it."""

    def __init__(self, work: Work, prepare: Callable[[], object], servers: Sequence[psutil.Process]) -> None:
        self._work = work
        self._prepare = prepare
        self._servers = servers
        self._cpu_s = 0.0
        self._done = 0.0

    def warm_up(self) -> None:
        """Do the work once, which does not count."""
        self._prepare()
        self._work()

    def rate(self) -> float:
        """Do the work once; how much of it there is in a second."""
        self._prepare()
        cpu_s = cpu_seconds(self._servers)
        begun = time.perf_counter()
        done = self._work()
        seconds = time.perf_counter() - begun
        amount, seconds = (done.amount, done.seconds) if isinstance(done, Timed) else (done, seconds)
        self._cpu_s += cpu_seconds(self._servers) - cpu_s
        self._done += amount
        return amount / seconds

    @property
    def cpu_ms(self) -> float:
        """Of one unit of work."""
        return self._cpu_s / self._done * 1000


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
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
