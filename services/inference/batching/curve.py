"""How long an engine takes for a batch of so many rows, as measured while it serves."""

import bisect
import dataclasses
from collections.abc import Sequence

_SMOOTHING = 0.2  # the weight of the newest batch of a size in the average of that size
_MAX_SIZES = 512  # sizes that are measured apart; a caller chooses the rows of a request, so there must be an end
_REFIT_EVERY = 16  # batches
_MAX_WEIGHT = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """Batches of ``rows`` rows take ``seconds``; ``batches`` of them were measured."""

    rows: int
    seconds: float
    batches: int


class Curve:
    """Smoothed times by number of rows, and the monotone curve through them.

    May be added to by several threads: one that is lost to a race is one measurement less.
    """

    def __init__(self) -> None:
        self._measured: dict[int, tuple[float, int]] = {}
        self._points: Sequence[Point] = ()
        self._rows: Sequence[int] = ()
        self._unfitted = 0

    def add(self, rows: int, seconds: float) -> None:
        """Take a measurement in."""
        known = self._measured.get(rows)
        if known is not None:
            self._measured[rows] = known[0] + _SMOOTHING * (seconds - known[0]), known[1] + 1
            self._unfitted += 1
        elif rows and len(self._measured) < _MAX_SIZES:
            self._measured[rows] = seconds, 1
            self._unfitted = _REFIT_EVERY

    def points(self) -> Sequence[Point]:
        """The curve at the sizes that were measured, by size: more rows never take less time."""
        if self._unfitted >= _REFIT_EVERY or (self._unfitted and not self._points):
            self._unfitted = 0
            points = fit([Point(rows, *measured) for rows, measured in sorted(self._measured.copy().items())])
            self._rows, self._points = [point.rows for point in points], points
        return self._points

    def seconds(self, rows: int) -> float | None:
        """How long a batch of ``rows`` is to take; None while nothing was measured.

        Between two sizes the curve is straight. Outside of what was measured every row is taken to cost the same, so
        that nobody waits for a gain that was never seen.
        """
        points = self.points()
        if not points:
            return None
        position = bisect.bisect_left(self._rows, rows)
        if position == len(points):
            return _beyond(points, rows)
        right = points[position]
        if right.rows == rows:
            return right.seconds
        if position == 0:
            return right.seconds * rows / right.rows
        left = points[position - 1]
        return left.seconds + (right.seconds - left.seconds) * (rows - left.rows) / (right.rows - left.rows)


def fit(points: Sequence[Point]) -> Sequence[Point]:
    """The closest curve that never falls (pool adjacent violators; Ayer et al. 1955), weighted by batches."""
    pools: list[tuple[float, float, int]] = []  # the weighted mean, the weight, and how many points
    for point in points:
        mean, weight, count = point.seconds, float(min(point.batches, _MAX_WEIGHT)), 1
        while pools and pools[-1][0] > mean:
            before, before_weight, before_count = pools.pop()
            mean = (before * before_weight + mean * weight) / (before_weight + weight)
            weight, count = weight + before_weight, count + before_count
        pools.append((mean, weight, count))
    level = [mean for mean, _, count in pools for _ in range(count)]
    return [dataclasses.replace(point, seconds=mean) for point, mean in zip(points, level, strict=True)]


def _beyond(points: Sequence[Point], rows: int) -> float:
    last = points[-1]
    return last.seconds * rows / last.rows
