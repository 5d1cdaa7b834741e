"""Whether what was counted of a feature has gone too far from what was expected. Pure."""

import numpy as np

from services.inference.drift.model import Bin, FeatureDrift, Level
from services.inference.drift.options import Drift
from services.inference.drift.reference import Categories, Reference
from services.inference.drift.statistics import Counts, ks, ks_critical, psi, psi_critical

_TESTS = 2  # of each feature: PSI and KS


def judge(
    feature: str, side: str, baseline: str, reference: Reference, counts: Counts, rules: Drift, features: int
) -> FeatureDrift:
    """How far the feature, one of so many, has gone. ``counts`` are by the reference's bins.

    Each test gets its part of the chance that is allowed to all of them together (Bonferroni).
    """
    rows, chance = int(counts.sum()), rules.false_alarms / (_TESTS * max(features, 1))
    groups = reference.groups
    expected = np.bincount(groups, reference.shares).astype(np.float64)
    observed = np.bincount(groups, counts).astype(np.int64)
    stability = psi(expected, observed)
    stability_bound = psi_critical(int((expected > 0).sum()), reference.rows, rows, chance)
    distance, distance_bound = None, 0.0
    # What is missing has no place in the order.
    expected_rows, present_rows = round(reference.rows * (1 - reference.shares[-1])), rows - int(counts[-1])
    if not isinstance(reference, Categories) and expected_rows and present_rows:
        distance = ks(np.asarray(reference.shares[:-1]), counts[:-1])
        distance_bound = ks_critical(expected_rows, present_rows, chance)
    level = max(
        _level(stability, stability_bound, rules.warn_psi, rules.alert_psi),
        Level.STEADY if distance is None else _level(distance, distance_bound, rules.warn_ks, rules.alert_ks),
    )
    shares = observed / max(rows, 1)
    bins = tuple(
        Bin(label, float(wanted), float(found))
        for label, wanted, found in zip(reference.labels(), expected, shares, strict=True)
        if wanted or found
    )
    return FeatureDrift(
        feature,
        side,
        baseline,
        reference.rows,
        rows,
        int(counts[-1]),
        stability,
        stability_bound,
        distance,
        distance_bound,
        level,
        bins,
    )


def _level(found: float, chance_bound: float, warn: float, alert: float) -> Level:
    if found <= chance_bound:
        return Level.STEADY
    return Level.ALERT if found > alert else Level.WARNING if found > warn else Level.STEADY
