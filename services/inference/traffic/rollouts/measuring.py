"""What a version has done since a step of its rollout began, from the counters that are kept of it anyway."""

import dataclasses
from collections.abc import Callable, Collection, Sequence

from services.inference.deployments.loaded import COUNTED_BOUNDS_S, Loaded, RequestCounts
from services.inference.drift.model import Window
from services.inference.traffic.comparison import Comparisons
from services.inference.traffic.rollouts.model import Evidence, Rollout


@dataclasses.dataclass(frozen=True, slots=True)
class _Beginning:
    """The counters when the step was seen for the first time, and whose they are."""

    step: int
    counters: RequestCounts
    requests: RequestCounts
    comparisons: Comparisons
    window: Window | None
    """The last of its drift before that."""


class Measuring:
    """Remembers where each step began. What went before, or in another process, does not count."""

    def __init__(self) -> None:
        self._beginnings: dict[str, _Beginning] = {}

    def evidence(
        self,
        rollout: Rollout,
        loaded: Loaded,
        is_fault: Callable[[str], bool],
        *,
        alone: bool = False,
        window: Window | None = None,
    ) -> Evidence:
        """What was measured since the present step began. ``is_fault`` tells the version's errors from others'.

        ``alone``: the version is loaded for the rollout and nothing else, so that what it did before the first call
        belongs to the rollout, too. ``window`` is the last one of its drift.
        """
        begun = self._beginnings.get(rollout.uid)
        if begun is None or begun.counters is not loaded.requests:
            zero = RequestCounts(), Comparisons()
            begun = _Beginning(rollout.step, loaded.requests, *(zero if alone else _copy(loaded)), window)
        elif begun.step != rollout.step:
            begun = _Beginning(rollout.step, loaded.requests, *_copy(loaded), window)
        self._beginnings[rollout.uid] = begun
        found = _between(begun.requests, loaded.requests, begun.comparisons, loaded.comparisons, is_fault)
        return found if window is None or window is begun.window else _with_drift(found, window)

    def forget_all_but(self, rollouts: Collection[str]) -> None:
        """Keep no more of rollouts that have ended."""
        self._beginnings = {uid: begun for uid, begun in self._beginnings.items() if uid in rollouts}


def _with_drift(evidence: Evidence, window: Window) -> Evidence:
    farthest = window.largest_psi
    if farthest is None:
        return dataclasses.replace(evidence, drift_rows=window.rows)
    return dataclasses.replace(evidence, drift_rows=window.rows, drifted=farthest.feature, drift_psi=farthest.psi)


def _copy(loaded: Loaded) -> tuple[RequestCounts, Comparisons]:
    counts = loaded.requests
    requests = dataclasses.replace(counts, failed=dict(counts.failed), latencies=list(counts.latencies))
    return requests, dataclasses.replace(loaded.comparisons)


def _between(
    first: RequestCounts,
    now: RequestCounts,
    first_compared: Comparisons,
    compared: Comparisons,
    is_fault: Callable[[str], bool],
) -> Evidence:
    failed = {reason: count - first.failed.get(reason, 0) for reason, count in now.failed.items()}
    faults = {reason: count for reason, count in failed.items() if count and is_fault(reason)}
    latencies = [after - before for before, after in zip(first.latencies, now.latencies, strict=True)]
    errors = sum(faults.values())
    return Evidence(
        requests=now.succeeded - first.succeeded + errors,
        errors=errors,
        reasons=faults,
        p99_ms=quantile(latencies, 0.99) * 1000,
        compared=compared.asked - first_compared.asked,
        agreed=compared.agreed - first_compared.agreed,
        largest_difference=compared.largest if compared.largest < float("inf") else None,
    )


def quantile(latencies: Sequence[int], share: float) -> float:
    """Below which latency this share of the counted ones lies, in seconds; 0 where none is counted.

    Within a bucket they are taken to be spread evenly; the last bucket, which has no end, counts as its beginning.
    """
    total = sum(latencies)
    wanted, below, start = share * total, 0, 0.0
    for count, end in zip(latencies, [*COUNTED_BOUNDS_S, COUNTED_BOUNDS_S[-1]], strict=True):
        if count and below + count >= wanted:
            return start + (end - start) * (wanted - below) / count
        below, start = below + count, end
    return 0.0
