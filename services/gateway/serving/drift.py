"""How far what is asked and answered has gone from what a model was trained on, as pages show it. Pure."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from headwater.datasets import figures
from headwater.inference.v1.drift_pb2 import FeatureDrift
from services.gateway.serving.standings import Standing

MOST = 40
"""Features that are shown of one version."""
_LEVELS: Final[Mapping[int, Standing]] = {
    FeatureDrift.LEVEL_STEADY: Standing("steady", "good", "Within the bounds, or by chance."),
    FeatureDrift.LEVEL_WARNING: Standing("warning", "warn", "Above a bound for warnings."),
    FeatureDrift.LEVEL_ALERT: Standing("alert", "bad", "Above a bound for incidents."),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """One feature."""

    name: str
    side: str
    """``input`` or ``prediction``."""
    level: Standing
    psi: str
    ks: str
    """Empty where values have no order."""
    values: str
    baseline: str
    bins: Sequence[tuple[str, str, str]]
    """What is in it, the share that was expected there, and the one that was found."""


def features_of(found: Iterable[FeatureDrift]) -> Sequence[Feature]:
    """The first of them, those that have gone farthest before others."""
    return [_feature(each) for each in sorted(found, key=lambda each: (-each.level, -each.psi, each.feature))[:MOST]]


def _feature(found: FeatureDrift) -> Feature:
    missing = f", {found.missing_count:,} missing" if found.missing_count else ""
    return Feature(
        found.feature,
        found.side,
        _LEVELS.get(found.level, Standing("unknown", "off")),
        f"{figures.number(found.psi)} (chance {figures.number(found.psi_critical)})",
        f"{figures.number(found.ks)} (chance {figures.number(found.ks_critical)})" if found.HasField("ks") else "",
        f"{found.row_count:,}{missing}",
        f"{found.baseline}, {found.baseline_row_count:,} rows" if found.baseline else "",
        [(each.label, _share(each.expected), _share(each.observed)) for each in found.bins],
    )


def _share(part: float) -> str:
    return f"{100 * part:.3g} %"
