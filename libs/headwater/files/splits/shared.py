"""Rules that give each split a share of the rows: by a hash, exactly, within classes, or by whole groups."""

import dataclasses
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.files.errors import InvalidSplitBy
from headwater.files.splits.keys import NUMBER_BITS, NumberKeys, ValueKeys, shuffled, value_digests
from headwater.files.splits.rule import ByRows, Choice, Chosen, Classes, Division, Rows, Thresholds, check_column
from headwater.files.splits.shares import DEFAULT, check_shares, ends, largest_remainder

MAX_CLASSES = 2 ** (64 - NUMBER_BITS) - 1
_MAX_KEY = np.uint64(2**64 - 1)


@dataclasses.dataclass(frozen=True, slots=True)
class ByHash(ByRows):
    """A hash of a row's value in the column ``key``, so that rows with the same value stay together.

    A row's split depends on its own value alone, so that rows that come later change nothing; shares are met about.
    """

    key: str
    shares: Mapping[str, Fraction] = dataclasses.field(default_factory=lambda: DEFAULT)
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self.shares, self.seed)
        _check_named(self.key, "hash")

    def divide(self, rows: Rows) -> Division:
        """Nothing has to be looked at."""
        check_column(rows, self.key)
        thresholds = np.array([int(end * 2**64) for end in ends(self.shares)], np.uint64)
        return Thresholds(tuple(self.shares), ValueKeys(self.key, self.seed), thresholds)


@dataclasses.dataclass(frozen=True, slots=True)
class ByRatio(ByRows):
    """Rows at random, as many as each share says exactly."""

    shares: Mapping[str, Fraction] = dataclasses.field(default_factory=lambda: DEFAULT)
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self.shares, self.seed)

    def divide(self, rows: Rows) -> Division:
        """Count the rows. Takes 8 bytes for each row, and gives them back."""
        total = sum(batch.num_rows for batch in rows.look([]))
        counts = largest_remainder(np.array([total]), self.shares)[0]
        keys = shuffled(0, total, self.seed)
        keys.sort()
        return Thresholds(tuple(self.shares), NumberKeys(self.seed), _at(keys, counts.cumsum()[:-1]))


@dataclasses.dataclass(frozen=True, slots=True)
class ByStratum(ByRows):
    """Rows at random, of each value of a column as many as each share says, by the largest remainder."""

    column: str
    shares: Mapping[str, Fraction] = dataclasses.field(default_factory=lambda: DEFAULT)
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self.shares, self.seed)
        _check_named(self.column, "stratum")

    def divide(self, rows: Rows) -> Division:
        """Read the column once. Takes 16 bytes for each row and gives them back; of each value a digest stays."""
        check_column(rows, self.column)
        classes = _Strata(self.column)
        pieces = [np.empty(0, np.uint64)]
        first_row = 0
        for batch in rows.look([self.column]):
            pieces.append(classes.keys(batch, first_row, self.seed))
            first_row += batch.num_rows
        keys = np.concatenate(pieces)
        pieces.clear()
        keys.sort()
        firsts = np.arange(len(classes.texts) + 1, dtype=np.uint64) << np.uint64(NUMBER_BITS)
        starts = np.searchsorted(keys, firsts)
        counts = largest_remainder(np.diff(starts), self.shares)
        thresholds = _at(keys, starts[:-1, None] + counts.cumsum(axis=1)[:, :-1])
        splits = tuple(self.shares)
        counted: dict[str, dict[str, int]] = {split: {} for split in splits}
        for split, column in zip(splits, counts.T, strict=True):
            for text, count in zip(classes.texts, column.tolist(), strict=True):
                counted[split][text] = counted[split].get(text, 0) + count
        return _Stratified(splits, counted, self.seed, classes, thresholds)


@dataclasses.dataclass(frozen=True, slots=True)
class ByGroup(ByRows):
    """Whole groups of rows that have one value in a column, as near to the shares as whole groups allow.

    Groups are put in the order of their keys and cut where the shares say, at the nearer end of the group there.
    """

    column: str
    shares: Mapping[str, Fraction] = dataclasses.field(default_factory=lambda: DEFAULT)
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares(self.shares, self.seed)
        _check_named(self.column, "group")

    def divide(self, rows: Rows) -> Division:
        """Read the column once. Takes 16 bytes for each row, and gives them back."""
        check_column(rows, self.column)
        source = ValueKeys(self.column, self.seed)
        keys = np.concatenate([*(source.of(batch, 0) for batch in rows.look([self.column])), np.empty(0, np.uint64)])
        keys.sort()
        thresholds = [_cut(keys, end) for end in ends(self.shares)]
        return Thresholds(tuple(self.shares), source, np.array(thresholds, np.uint64))


class _Strata:
    """The values that a column has, numbered as they come."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.texts: list[str] = []
        self._numbers: dict[bytes, int] = {}

    def of(self, rows: pa.RecordBatch) -> npt.NDArray[np.uint64]:
        """The numbers of the rows' values."""
        digests, places = value_digests(rows, self.column)
        first: dict[int, int] = {}
        if any(digest not in self._numbers for digest in digests):
            values, at = np.unique(places, return_index=True)
            first = dict(zip(values.tolist(), at.tolist(), strict=True))
        numbers = [self._number(digest, rows, first.get(place)) for place, digest in enumerate(digests)]
        return np.array(numbers, np.uint64)[places] if numbers else np.empty(0, np.uint64)

    def keys(self, rows: pa.RecordBatch, first_row: int, seed: int) -> npt.NDArray[np.uint64]:
        """The rows' shuffled numbers below the numbers of their values: sorted, each value's rows are together."""
        return shuffled(first_row, rows.num_rows, seed) | (self.of(rows) << np.uint64(NUMBER_BITS))

    def _number(self, digest: bytes, rows: pa.RecordBatch, row: int | None) -> int:
        number = self._numbers.get(digest)
        if number is None:
            if len(self.texts) == MAX_CLASSES:
                raise InvalidSplitBy(f"Column {self.column} has more than {MAX_CLASSES} values.", column=self.column)
            number = self._numbers[digest] = len(self.texts)
            self.texts.append("null" if row is None else _text(rows.column(self.column)[row]))
        return number


def _text(value: pa.Scalar) -> str:
    """The value for people; Python has no word for every time that Arrow has."""
    try:
        plain = value.as_py()
    except (OverflowError, ValueError):
        plain = value.cast(pa.string()).as_py()
    return "null" if plain is None else str(plain)[:200]


@dataclasses.dataclass(frozen=True, slots=True)
class _Stratified:
    """A division with thresholds of its own for each class."""

    splits: tuple[str, ...]
    classes: Classes
    seed: int
    strata: _Strata
    thresholds: npt.NDArray[np.uint64]

    def choice(self, split: str) -> Choice:
        return Chosen([self.strata.column], self._assign, self.splits.index(split))

    def _assign(self, rows: pa.RecordBatch, first_row: int) -> npt.NDArray[np.intp]:
        keys = self.strata.keys(rows, first_row, self.seed)
        if len(self.strata.texts) > len(self.thresholds):
            raise InvalidSplitBy(f"Column {self.strata.column} changed while it was being read.")
        own = self.thresholds[(keys >> np.uint64(NUMBER_BITS)).astype(np.intp)]
        return np.asarray((keys[:, None] >= own).sum(axis=1), np.intp)


def _at(keys: npt.NDArray[np.uint64], places: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """The keys at these places; past the last one, a key that no row has."""
    return np.append(keys, _MAX_KEY)[places]


def _cut(keys: npt.NDArray[np.uint64], end: Fraction) -> int:
    """The key of the first group after the cut."""
    wanted = int(end * len(keys))
    if wanted == len(keys):
        return int(_MAX_KEY)
    start, stop = (int(np.searchsorted(keys, keys[wanted], side=side)) for side in ("left", "right"))
    nearer = start if end * len(keys) - start <= stop - end * len(keys) else stop
    return int(keys[nearer]) if nearer < len(keys) else int(_MAX_KEY)


def _check_named(column: str, kind: str) -> None:
    if not column:
        raise InvalidSplitBy(f"A split by {kind} needs the name of a column.")
