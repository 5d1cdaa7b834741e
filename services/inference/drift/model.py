"""What was found of one version: how far each feature has gone, in the last window that is complete."""

import dataclasses
import datetime
import enum
from collections.abc import Sequence


class Level(enum.IntEnum):
    """What a feature's distance means. The values are those of the metric ``headwater_drift_level``."""

    STEADY = 0
    WARNING = 1
    ALERT = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Bin:
    """The share of the values that was expected in a bin, and the share that was there."""

    label: str
    expected: float
    observed: float


@dataclasses.dataclass(frozen=True, slots=True)
class FeatureDrift:
    """How far one feature has gone from what it is compared with.

    Attributes:
        side: ``input`` or ``prediction``.
        baseline: what it is compared with, in words.
        psi_critical: what PSI must exceed for it not to be taken for chance; so ``ks_critical``.
        ks: None for what has no order.
    """

    feature: str
    side: str
    baseline: str
    baseline_rows: int
    rows: int
    missing: int
    psi: float
    psi_critical: float
    ks: float | None
    ks_critical: float
    level: Level
    bins: tuple[Bin, ...] = ()

    def __str__(self) -> str:
        ks = "" if self.ks is None else f", KS {self.ks:.3g}"
        return f"{self.feature}: PSI {self.psi:.3g}{ks}"


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """One window that was judged, the features by name."""

    start: datetime.datetime
    end: datetime.datetime
    rows: int
    features: tuple[FeatureDrift, ...]

    @property
    def alerts(self) -> Sequence[FeatureDrift]:
        """The features that are beyond their bounds, the farthest first."""
        found = [each for each in self.features if each.level is Level.ALERT]
        return sorted(found, key=lambda each: -each.psi)

    @property
    def largest_psi(self) -> FeatureDrift | None:
        """The feature that has gone farthest by PSI and not by chance; None where none has."""
        far = [each for each in self.features if each.psi > each.psi_critical]
        return max(far, key=lambda each: each.psi, default=None)


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """What is known of one version.

    Attributes:
        since: when this process began to watch it; what is counted was counted since then.
        rows: that were counted.
        left_out: rows that were not, because there were more than are looked at.
        learning: features that have too few rows yet to be compared with.
        features_left_out: that are beyond the number that is watched.
        note: what those who look at it should know.
        window_rows: of the window that is not complete yet.
        last: the last complete one.
    """

    model_version: str
    model_digest: str
    since: datetime.datetime
    rows: int
    left_out: int
    learning: tuple[str, ...]
    features_left_out: int
    note: str
    window_start: datetime.datetime
    window_rows: int
    last: Window | None
