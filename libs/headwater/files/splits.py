"""Which split a row belongs to: decided by where its file is, or by a hash of one of its values, never by chance.

split_by("directory")                                          # train/, validation/, test/
split_by("hash:path,train=0.8,validation=0.1,test=0.1,seed=7") # the same rows, the same splits, on every machine
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.files.errors import InvalidSplitBy, SourceUnsupported
from headwater.files.walk import Found
from headwater.names import check_segment
from headwater.tree import RowHasher

DIRECTORIES = ("train", "validation", "test")


class Selection(Protocol):
    """A choice among rows that looks at one column."""

    @property
    def column(self) -> str:
        """The column's name."""
        ...

    def mask(self, rows: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Which of these rows are chosen; ``rows`` has the column, and may have others."""
        ...


class SplitBy(Protocol):
    """A rule that gives each row of a source its split."""

    @property
    def depth(self) -> int:
        """How many folders of a file's path say nothing but its split."""
        ...

    def splits(self, files: Sequence[Found]) -> tuple[str, ...]:
        """The splits' names, in a fixed order."""
        ...

    def files_of(self, split: str, files: Sequence[Found]) -> list[Found]:
        """The files that hold rows of the split."""
        ...

    def selection(self, split: str) -> Selection | None:
        """Which rows of those files are the split's; None for all."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Whole:
    """All rows in one split."""

    name: str = "train"
    depth: int = 0

    def __post_init__(self) -> None:
        check_segment(self.name, "split")

    def splits(self, files: Sequence[Found]) -> tuple[str, ...]:
        """The one name."""
        return (self.name,)

    def files_of(self, split: str, files: Sequence[Found]) -> list[Found]:
        """All of them."""
        return list(files)

    def selection(self, split: str) -> Selection | None:
        """All rows."""
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class ByDirectory:
    """The folder ``train``, ``validation`` or ``test`` that a file is in; or its own name, as in ``train.csv``."""

    depth: int = 1

    def splits(self, files: Sequence[Found]) -> tuple[str, ...]:
        """Those of the three that have files."""
        found = {self._split_of(file) for file in files}
        return tuple(name for name in DIRECTORIES if name in found)

    def files_of(self, split: str, files: Sequence[Found]) -> list[Found]:
        """The files in the split's folder."""
        return [file for file in files if self._split_of(file) == split]

    def selection(self, split: str) -> Selection | None:
        """All rows of those files."""
        return None

    @staticmethod
    def _split_of(file: Found) -> str:
        first = file.parts[0] if len(file.parts) > 1 else file.path.stem
        if first not in DIRECTORIES:
            names = ", ".join(DIRECTORIES)
            raise SourceUnsupported(
                f"{file.path} is in {first}, but to split by directory all files must be in one of {names}.",
                path=file.path,
            )
        return first


@dataclasses.dataclass(frozen=True, slots=True)
class ByHash:
    """A hash of a row's value in the column ``key``, so that rows with the same value stay together.

    A row is in the first split whose share, added to those before it, exceeds the first 8 bytes of
    SHA-256(u64 seed ‖ d) as a fraction of 2^64, where d is the digest of a row of the key's column alone
    (libs/headwater/tree/README.md).
    """

    key: str
    shares: Mapping[str, Fraction]
    seed: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        for name, share in self.shares.items():
            check_segment(name, "split")
            if share <= 0:
                raise InvalidSplitBy(f"The share of {name} must be above 0, not {share}.", split=name)
        if sum(self.shares.values()) != 1:
            raise InvalidSplitBy(f"The shares of the splits must add up to 1, not {sum(self.shares.values())}.")
        if not self.key or not 0 <= self.seed < 2**64:
            raise InvalidSplitBy("A split by hash needs a column, and a seed from 0 to 2^64 - 1.")

    def splits(self, files: Sequence[Found]) -> tuple[str, ...]:
        """All names, also those that no row may fall into."""
        return tuple(self.shares)

    def files_of(self, split: str, files: Sequence[Found]) -> list[Found]:
        """All of them: any file may hold rows of any split."""
        return list(files)

    def selection(self, split: str) -> Selection | None:
        """The rows that hash into the split."""
        return _Hashed(self, self.key, list(self.shares).index(split))

    def assign(self, rows: pa.RecordBatch) -> npt.NDArray[np.intp]:
        """The index of each row's split."""
        if self.key not in rows.schema.names:
            columns = ", ".join(rows.schema.names)
            raise InvalidSplitBy(f"There is no column {self.key} to split by; there are {columns}.", column=self.key)
        keys = rows.select([self.key])
        prefix = self.seed.to_bytes(8, "little")
        hashed = bytearray()
        for piece in RowHasher(keys.schema).hash(keys):
            for at in range(0, len(piece.digests), 32):
                hashed += hashlib.sha256(prefix + piece.digests[at : at + 32]).digest()[:8]
        ends = [int(sum(list(self.shares.values())[:count]) * 2**64) for count in range(1, len(self.shares))]
        return np.searchsorted(np.array(ends, np.uint64), np.frombuffer(hashed, ">u8").astype(np.uint64), side="right")


@dataclasses.dataclass(frozen=True, slots=True)
class _Hashed:
    by: ByHash
    column: str
    index: int

    def mask(self, rows: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        return np.asarray(self.by.assign(rows) == self.index)


def split_by(text: str) -> SplitBy:
    """What ``--split-by`` says: ``none``, ``directory`` or ``hash:KEY[,NAME=SHARE]...[,seed=N]``.

    Without shares, train, validation and test get 0.8, 0.1 and 0.1.

    Raises:
        InvalidSplitBy, InvalidName: naming what is wrong.
    """
    if text == "none":
        return Whole()
    if text == "directory":
        return ByDirectory()
    kind, _, rest = text.partition(":")
    if kind != "hash":
        raise InvalidSplitBy(f"{text!r} is not one of none, directory, hash:KEY,train=0.8,validation=0.1,test=0.1.")
    key, *options = rest.split(",")
    shares: dict[str, Fraction] = {}
    seed = 0
    for option in options:
        name, _, value = option.partition("=")
        try:
            if name == "seed":
                seed = int(value)
            elif name in shares:
                raise InvalidSplitBy(f"The share of {name} is given twice.", split=name)
            else:
                shares[name] = Fraction(value)
        except (ValueError, ZeroDivisionError) as error:
            raise InvalidSplitBy(f"{option!r} must be NAME=SHARE or seed=N, with numbers.", option=option) from error
    default = {"train": Fraction(8, 10), "validation": Fraction(1, 10), "test": Fraction(1, 10)}
    return ByHash(key, shares or default, seed)
