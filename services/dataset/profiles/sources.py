"""Where the rows of a profile come from, as a Protocol, and stored rows as one such place."""

import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import pyarrow as pa

from services.dataset.datasets import read_schema, version_named
from services.dataset.errors import NoRowsStored
from services.dataset.filters.filter import Filter
from services.dataset.history.model import Commit
from services.dataset.model import Chunk, RowRange, Split
from services.dataset.profiles.model import Freshness, Profile, ProfileSubject
from services.dataset.rows.get import slices_of
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.statistics import parse
from services.dataset.store import Store, Transaction

_WINDOW_BYTES = 4 << 20
_CHUNKS = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Consecutive rows of a split, or what is left of them."""

    rows: pa.Table
    row_count: int
    """Rows that were there, with those that are left out because none of them can satisfy the condition."""
    size_bytes: int
    """Their canonical bytes."""


class SplitSource(Protocol):
    """One split."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        ...

    def windows(self, columns: Sequence[str], condition: Filter | None) -> AsyncIterator[Window]:
        """All rows in order, a few megabytes at a time; where one window ends depends on nothing but the rows.

        Rows that do not satisfy the condition may be among them.
        """
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """The rows of one subject."""

    splits: Sequence[SplitSource]
    """By name."""
    fingerprint: str = ""
    """What the place looks like now; empty for stored rows."""


class Sources(Protocol):
    """Finds the rows of subjects."""

    async def open(self, subject: ProfileSubject) -> Source:
        """The rows of a subject.

        Raises:
            HeadwaterError: there are none, or they cannot be reached.
        """
        ...

    async def freshness(self, tx: Transaction, profile: Profile) -> Freshness:
        """Whether the rows are still what was profiled."""
        ...


class StoredSources:
    """The rows that versions hold; they never change (M-23)."""

    def __init__(self, store: Store, packs: MappedPacks) -> None:
        self._store = store
        self._packs = packs

    async def open(self, subject: ProfileSubject) -> Source:
        """See Sources."""
        async with self._store.transaction() as tx:
            commit = (await version_named(tx, subject.version)).commit
        if not commit.splits:
            raise NoRowsStored(version=subject.version)
        return self.source(commit.splits)

    def source(self, splits: Sequence[Split], fingerprint: str = "") -> Source:
        """The rows of these splits."""
        return Source([StoredSplit(self._store, self._packs, split) for split in splits], fingerprint)

    async def freshness(self, tx: Transaction, profile: Profile) -> Freshness:
        """See Sources."""
        return Freshness.FRESH


class StoredSplit:
    """See SplitSource."""

    def __init__(self, store: Store, packs: MappedPacks, split: Split) -> None:
        self.name = split.name
        self.schema = read_schema(split)
        self._store = store
        self._packs = packs
        self._tree = split.tree

    async def windows(self, columns: Sequence[str], condition: Filter | None) -> AsyncIterator[Window]:
        """See SplitSource. Chunks are cut by content, so windows of whole chunks are the same wherever they lie."""
        window: list[Chunk] = []
        async for chunk in self._chunks(condition is not None):
            window.append(chunk)
            if sum(chunk.size_bytes for chunk in window) >= _WINDOW_BYTES:
                yield await self._window(window, columns, condition)
                window = []
        if window:
            yield await self._window(window, columns, condition)

    async def _chunks(self, with_statistics: bool) -> AsyncIterator[Chunk]:
        row, tree = 0, self._tree
        while row < tree.row_count:
            async with self._store.transaction() as tx:
                chunks = await tx.list_chunks(tree, row, tree.row_count, _CHUNKS, with_statistics=with_statistics)
            for chunk in chunks:
                yield chunk
            row = chunks[-1].first_row + chunks[-1].row_count

    async def _window(self, chunks: Sequence[Chunk], columns: Sequence[str], condition: Filter | None) -> Window:
        wanted = [chunk for chunk in chunks if condition is None or condition.may_match(parse(chunk.statistics))]
        slices = [
            slice_ for chunk in wanted for slice_ in slices_of([chunk], RowRange(chunk.first_row, chunk.row_count))
        ]
        opened = await self._packs.open(slice_.pack for slice_ in slices)
        batches = [opened[each.pack].rows(each.block, each.row, each.row_count) for each in slices]
        schema = pa.schema([self.schema.field(name) for name in columns])
        arrays = [
            pa.chunked_array([batch.column(name) for batch in batches], schema.field(name).type) for name in columns
        ]
        rows = pa.table(arrays, schema=schema)
        return Window(rows, sum(chunk.row_count for chunk in chunks), sum(chunk.size_bytes for chunk in chunks))


def columns_of(commit: Commit) -> pa.Schema | None:
    """The columns of the commit's rows; None where they are somewhere else."""
    return read_schema(commit.splits[0]) if commit.splits else None
