"""Which of several measured ways is chosen; pure."""

from collections.abc import Sequence

from services.inference.batching.curve import Point, fit
from services.inference.conversions.evidence import BASELINE, BatchTime, Candidate

_ENOUGH = 0.95
"""The share of the best throughput that is as good as the best."""


def choose(candidates: Sequence[Candidate], min_speedup: float = 1.0) -> Candidate:
    """The fastest candidate that the gate let through, or the baseline.

    Another one than the baseline is chosen only if it was at least ``min_speedup`` times as fast in the median over the
    rounds, and faster than the baseline even by the slower quarter of its own times.
    """
    baseline = next(each for each in candidates if each.name == BASELINE)
    better = [each for each in candidates if why_not(each, baseline, min_speedup) == "" and each.name != BASELINE]
    return max(better, key=lambda each: each.speedup, default=baseline)


def why_not(candidate: Candidate, baseline: Candidate, min_speedup: float = 1.0) -> str:
    """Why this is not to be chosen, whatever the others are; empty if it may be."""
    if candidate.refused:
        return candidate.refused
    if not candidate.rounds:
        return "It was not measured."
    needed = max(min_speedup, 1.0)
    if candidate.name == BASELINE:
        return ""
    if candidate.rounds < baseline.rounds:
        return f"It took more than twice as long as the fastest, and was dropped after {candidate.rounds} rounds."
    if candidate.speedup < needed or candidate.speedup <= 1.0:
        return f"It is {candidate.speedup:.2f} times as fast as the source; {needed:g} times and more is asked for."
    if candidate.high_ms >= baseline.median_ms:
        return "It is faster than the source only in some rounds."
    return ""


def best_batch(times: Sequence[BatchTime]) -> int:
    """The smallest batch with which nearly as many rows are computed in a second as with any; 0 where none was
    measured.

    By the monotone curve through the times: a batch that took longer than a larger one was disturbed.
    """
    points = fit([Point(each.rows, each.median_ms, 1) for each in sorted(times, key=lambda each: each.rows)])
    most = max((point.rows / point.seconds for point in points), default=0.0)
    return next((point.rows for point in points if point.rows / point.seconds >= _ENOUGH * most), 0)
