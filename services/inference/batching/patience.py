"""Whether an idle engine should wait for more requests before it begins. Pure arithmetic; the queue acts on it.

Who waits for nobody finishes ``n`` rows after t(n), and ``k`` rows that come meanwhile after that. Who
waits until the ``k`` have come finishes all of them t(n + k) after that. Waiting pays when the rows finish earlier on
average, and only the measured curve t and the measured rate of arrivals can say so: where a batch of two takes twice as
long as one of one, it never pays.
"""

import dataclasses
from collections.abc import Callable

_TRIED = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_SHORTEST_S = 20e-6  # less than this is lost in waking the thread
_LEAST_GAIN = 0.02  # of the time without waiting: what is less is noise


@dataclasses.dataclass(frozen=True, slots=True)
class Wait:
    """Wait until ``rows`` are there, but for ``seconds`` at most; everything is done after ``done_s`` then."""

    rows: int
    seconds: float
    done_s: float


def worth_waiting(
    rows: int,
    room: int,
    *,
    rows_per_s: float,
    limit_s: float,
    done_by_s: float,
    seconds: Callable[[int], float | None],
) -> Wait | None:
    """The wait after which ``rows`` and those that come finish earliest on average; None if that is none.

    Args:
        room: how many rows more a batch may have.
        rows_per_s: how fast they come.
        limit_s: how long may be waited.
        done_by_s: when the batch must be finished, from now.
        seconds: how long a batch of so many rows takes.
    """
    alone = seconds(rows)
    if alone is None or rows_per_s <= 0 or limit_s <= _SHORTEST_S:
        return None
    best, most = None, _LEAST_GAIN * alone
    for more in _TRIED:
        waited = more / rows_per_s
        if more > room or waited > limit_s:
            break
        together, after = seconds(rows + more), seconds(more)
        if together is None or after is None or waited + together > done_by_s:
            continue
        at_once = rows * alone + more * (max(alone, waited) + after)
        gain = (at_once - (rows + more) * (waited + together)) / (rows + more)
        if gain > most and waited > _SHORTEST_S:
            best, most = Wait(rows + more, waited, waited + together), gain
    return best
