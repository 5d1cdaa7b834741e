"""The values of profiles."""

import dataclasses
import datetime
import enum

from headwater.names import DatasetName, DatasetVersionName, ProfileName


class ProfileState(enum.Enum):
    """How far a profile has come. Both ends are final."""

    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, slots=True)
class ValueCount:
    """A value as text, and how often it occurs."""

    value: str
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Bin:
    """Numbers from ``lower`` up to but not including ``upper``, which the last bin of a histogram includes."""

    lower: float
    upper: float
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class NumberProfile:
    """How numbers are distributed. ``mean``, ``standard_deviation`` and ``histogram`` are about the finite ones."""

    minimum: float
    maximum: float
    mean: float
    standard_deviation: float
    quantiles: tuple[tuple[float, float], ...]
    """Ranks and values."""
    histogram: tuple[Bin, ...]
    infinite_count: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class ImageProfile:
    """What images are like, from their headers."""

    count: int
    unreadable_count: int
    """Values of the column that are no complete image."""
    widths: NumberProfile | None
    heights: NumberProfile | None
    colour_spaces: tuple[ValueCount, ...]
    formats: tuple[ValueCount, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnProfile:
    """A column's statistics; what its type does not have is None, empty or 0."""

    column: str
    type: str
    count: int
    """Values that are not null."""
    null_count: int
    nan_count: int = 0
    distinct_estimate: int = 0
    numbers: NumberProfile | None = None
    lengths: NumberProfile | None = None
    top_values: tuple[ValueCount, ...] = ()
    top_values_are_all: bool = False
    images: ImageProfile | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SplitProfile:
    """A split's statistics."""

    split: str
    row_count: int
    size_bytes: int
    columns: tuple[ColumnProfile, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class ProfileSubject:
    """What is to be profiled."""

    version: DatasetVersionName
    view: str = ""
    """The name of the view; empty: the whole version."""
    filter: str = ""
    """The view's filter, as it was when the profile was begun."""
    columns: tuple[str, ...] = ()
    """Only these; none means all."""
    checkpoint: str = ""
    """The last segment of the name of the checkpoint whose copy is meant; empty: what readers of the version get."""


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """A profile of a subject. Never changes once it is READY or FAILED."""

    uid: str
    subject: ProfileSubject
    created_by: str
    create_time: datetime.datetime
    state: ProfileState = ProfileState.RUNNING
    error: str = ""
    """Why it FAILED, for people."""
    rows_done: int = 0
    splits: tuple[SplitProfile, ...] = ()
    """By name; empty unless it is READY. Without their columns in lists."""
    fingerprint: str = ""
    """As ``sources.Sources.fingerprint``, when the rows were read; empty when nothing is known of it."""
    number: int = dataclasses.field(default=0, compare=False)
    """Grows from profile to profile; the store's to give."""

    @property
    def name(self) -> ProfileName:
        """Its resource name."""
        version = self.subject.version
        return ProfileName(version.project, version.dataset, version.version, self.uid)

    @property
    def dataset(self) -> DatasetName:
        """Whose version it is of."""
        return DatasetName(self.subject.version.project, self.subject.version.dataset)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How a profile has ended."""

    state: ProfileState
    error: str = ""
    rows_done: int = 0
    splits: tuple[SplitProfile, ...] = ()
    fingerprint: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """A profile that is ours to compute until the lease runs out."""

    profile: Profile
    token: int
    """Counts the attempts, and tells ours from one that went on in the meantime."""


class Freshness(enum.Enum):
    """Whether the data is still what was profiled (M-22)."""

    UNKNOWN = enum.auto()
    """The place cannot be reached, or cannot tell."""
    FRESH = enum.auto()
    STALE = enum.auto()


def judge(profile: Profile, fingerprint: str | None) -> Freshness:
    """The profile's freshness, now that the version's rows have this fingerprint (``sources.Sources``)."""
    # Rows of a version never change, nor does the copy that a checkpoint holds.
    if profile.subject.checkpoint or fingerprint == "":
        return Freshness.FRESH
    if fingerprint is None or not profile.fingerprint:
        return Freshness.UNKNOWN
    return Freshness.FRESH if fingerprint == profile.fingerprint else Freshness.STALE
