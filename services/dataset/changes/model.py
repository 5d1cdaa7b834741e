"""What comparisons and merges answer."""

import dataclasses
import enum
from collections.abc import Sequence

from services.dataset.trees.align import Hunk


class ChangeKind(enum.Enum):
    """How a row differs."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    """In both with one key, with different values."""


@dataclasses.dataclass(frozen=True, slots=True)
class RowChange:
    """One row that differs between two commits."""

    kind: ChangeKind
    split: str
    base_row: int | None
    target_row: int | None
    base_digest: bytes
    target_digest: bytes
    key_json: str


@dataclasses.dataclass(frozen=True, slots=True)
class SplitDiff:
    """How many rows of a split differ."""

    split: str
    added: int
    removed: int
    changed: int


@dataclasses.dataclass(frozen=True, slots=True)
class DiffPart:
    """A part of what differs between two commits."""

    changes: Sequence[RowChange]
    splits: Sequence[SplitDiff] = ()
    """The sums, in the last part."""
    truncated: bool = False
    """In the last part: there are more changed rows than are listed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Conflict:
    """A row that both sides of a merge changed, in different ways. A digest is empty where there is no row."""

    split: str
    base_row: int
    key_json: str = ""
    base_digest: bytes = b""
    ours_digest: bytes = b""
    theirs_digest: bytes = b""
    detail: str = ""
    """What is in conflict when it is not a row, for people."""


@dataclasses.dataclass(frozen=True, slots=True)
class Edit:
    """Rows ``first`` to ``first + count`` go, and rows of the other side come in their place."""

    first: int
    count: int
    theirs_first: int
    theirs_count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Clash:
    """Differences of both sides, from the same base, that cannot both be had."""

    ours: Hunk
    theirs: Hunk
