"""How long calls take: sent at their times, and told by rank."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.bench.paired import Result

_RANKS = ((0.5, ""), (0.99, "≥ 1"))


def paced(call: Callable[[], Any], calls_per_s: int, seconds: int) -> Sequence[float]:
    """What each call took, in ms, the shortest first.

    ``call`` begins a call and returns its future. Calls are sent at their times, not when the last answer came, and
    each is measured from the time at which it was to be sent: a call that waits for its turn has waited. The sender
    sleeps in between instead of watching the clock: on two cores it would take one of them from the servers.
    """
    count = calls_per_s * seconds
    taken: list[float] = []
    finished = threading.Semaphore(0)

    def finish(due: float) -> Callable[[Any], None]:
        def note(_answer: Any) -> None:
            taken.append((time.perf_counter() - due) * 1000)
            finished.release()

        return note

    begun = time.perf_counter() + 0.05
    futures = []
    for number in range(count):
        due = begun + number / calls_per_s
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        futures.append(call())
        futures[-1].add_done_callback(finish(due))
    for future in futures:
        finished.acquire()
        future.result()  # raises what a call ended with
    return sorted(taken)


def at_rank(taken: Sequence[float], rank: float) -> float:
    """That of so many of 1 are quicker; ``taken`` is sorted."""
    return taken[int(rank * len(taken))]


def within(
    name: str, rounds: Sequence[Sequence[float]], limit_ms: float, cpu_ms: float, note: str = ""
) -> Iterator[Result]:
    """Half of the calls, and 99 of 100, of each round against a limit. ``note`` tells more of the latter."""
    for rank, must_be in _RANKS:
        reached = [at_rank(each, rank) for each in rounds]
        ratios = sorted(limit_ms / each for each in reached)
        yield Result(
            name=f"{name}, p{rank * 100:.0f}",
            ours=statistics.median(reached),
            theirs=limit_ms,
            unit="ms",
            ratio=statistics.median(ratios),
            low=ratios[0],
            high=ratios[-1],
            cpu_ms=cpu_ms,
            peer="the limit" + (note if must_be else ""),
            must_be=must_be,
        )
