"""The values of the dataset service: frozen, without any behaviour but what follows from the values alone."""

import dataclasses
import datetime
import enum
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Self

from headwater import semver
from headwater.names import DatasetName, UploadName
from headwater.tree import digest_text
from services.dataset.errors import InvalidSourcePath, InvalidVersion, VersionNotGreater

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class SemVer(semver.SemVer):
    """A semantic version, ``v1.2.3``; ordered."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The version that ``text`` writes, with its ``v``, or InvalidVersion."""
        version = cls.match(text)
        if version is None or not text.startswith("v"):
            raise InvalidVersion(version=text)
        return version


FIRST_VERSION = SemVer(1, 0, 0)


def next_version(head: SemVer | None, requested: SemVer | None, *, schema_changed: bool) -> SemVer:
    """The version that follows ``head``: the requested one, or the next minor, or the next major for a new schema.

    Raises:
        VersionNotGreater: the requested version is not greater than ``head``.
    """
    if requested is not None:
        if head is not None and requested <= head:
            raise VersionNotGreater(requested=requested, latest=head)
        return requested
    if head is None:
        return FIRST_VERSION
    return SemVer(head.major + 1, 0, 0) if schema_changed else SemVer(head.major, head.minor + 1, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class Dataset:
    """A named series of versions."""

    uid: str
    name: DatasetName
    display_name: str
    description: str
    latest: SemVer | None
    revision: int
    """Grows with every change."""
    create_time: datetime.datetime
    created_by: str
    key_columns: tuple[str, ...] = ()
    """The columns whose values name a row; none: rows are known by their place."""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Words of the user's choice."""
    hidden: bool = False
    """Not listed unless asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """The rows of a split as they are stored: a Merkle root over chunks, in one layout."""

    root: bytes
    layout: bytes
    """Digest of the Arrow layout that the chunks are stored in (``rows.layout``)."""
    row_count: int
    size_bytes: int
    chunk_count: int


@dataclasses.dataclass(frozen=True, slots=True)
class Split:
    """A named part of an upload or a version."""

    name: str
    tree: Tree
    arrow_schema: bytes
    """The schema that readers get, as an Arrow IPC message."""


class UploadState(enum.Enum):
    """How far an upload has come. Both ends are final."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclasses.dataclass(frozen=True, slots=True)
class UploadTarget:
    """Where the rows of an upload are to go."""

    branch: str
    base: bytes = b""
    """The head of the branch when the upload was opened or last rebased; empty when there was none."""
    inherit: bool = False
    """Splits that nothing is put into stay as they are in the base."""


TO_MAIN = UploadTarget("main")


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """Rows on their way in. An open upload that nobody touches until ``expire_time`` counts as aborted."""

    uid: str
    dataset: DatasetName
    state: UploadState
    splits: tuple[Split, ...]
    create_time: datetime.datetime
    expire_time: datetime.datetime
    created_by: str
    target: UploadTarget = TO_MAIN

    @property
    def name(self) -> UploadName:
        """Its resource name."""
        return UploadName(self.dataset.project, self.dataset.dataset, self.uid)


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """Where a chunk's rows lie: rows ``block_row`` and following of one record batch of a pack."""

    pack: str
    """The pack's digest."""
    block: int
    """The number of the record batch within the pack."""
    block_row: int


@dataclasses.dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a split."""

    digest: bytes
    first_row: int
    row_count: int
    size_bytes: int
    placement: Placement
    ends_naturally: bool = False
    """As in ``tree.Chunk``; False where it is not known."""
    first_row_bytes: int = 0
    """As in ``tree.Chunk``; 0 where it is not known."""
    statistics: bytes = b""
    """What ``rows.statistics.parse`` reads; empty unless asked for, and where it is not known."""

    @property
    def end_row(self) -> int:
        """The number of the row after its last one."""
        return self.first_row + self.row_count

    def at(self, first_row: int) -> "Chunk":
        """The same chunk as a part of a split."""
        return dataclasses.replace(self, first_row=first_row)


@dataclasses.dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that rows were made from."""

    path: str
    digest: bytes
    size_bytes: int


def check_source_path(path: str) -> str:
    """Return ``path`` if it is relative and plain, so that it leads no client elsewhere; else InvalidSourcePath."""
    segments = path.split("/")
    if _CONTROL.search(path) or "\\" in path or any(segment in ("", ".", "..") for segment in segments):
        raise InvalidSourcePath(path=path)
    return path


class SourceDigest:
    """SHA-256 over the lines ``path NUL digest LF`` of files that come sorted by the bytes of their paths."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.count = 0

    def update(self, files: Iterable[SourceFile]) -> None:
        """Take the next files."""
        for file in files:
            self._hash.update(f"{file.path}\0{digest_text(file.digest)}\n".encode())
            self.count += 1

    def digest(self) -> bytes:
        """The digest; empty when there were no files."""
        return self._hash.digest() if self.count else b""


@dataclasses.dataclass(frozen=True, slots=True)
class RowRange:
    """Rows ``first`` to ``first + count`` of a split."""

    first: int
    count: int


def shards(rows: RowRange, shard_count: int) -> list[RowRange]:
    """Cut ``rows`` into contiguous shards whose sizes differ by at most one row, the larger ones first."""
    quotient, remainder = divmod(rows.count, shard_count)
    cut: list[RowRange] = []
    first = rows.first
    for index in range(shard_count):
        count = quotient + (index < remainder)
        cut.append(RowRange(first, count))
        first += count
    return cut
