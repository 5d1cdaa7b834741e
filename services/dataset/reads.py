"""Use cases of readers: what they will get, and where it lies.

Which rows of a version satisfy a condition never changes, and where they lie hardly ever: it is remembered, so that the
readers of one version, who all come again with each epoch, cost next to nothing. Packs that were replaced
(``compaction/``) stay for far longer than it is remembered what lies in them. Whether a version may be used can change,
and is asked each time.
"""

import asyncio
import dataclasses
import hashlib
import time
from collections.abc import Callable

import pyarrow as pa

from chassis.filters import Filter
from chassis.threads import in_own_thread
from headwater.names import DatasetVersionName
from services.dataset.changes.write import on_loop
from services.dataset.checkpoints.resolve import Readable, readable
from services.dataset.datasets import read_schema, split_among
from services.dataset.errors import NoRowsStored, PlaceChanged, ShardOutOfRange, ViewNeedsVersion
from services.dataset.history.model import Commit, VersionState
from services.dataset.history.resolve import commit_of, parse
from services.dataset.model import Chunk, RowRange, Split, Tree, shards
from services.dataset.orders.order import Order, Shuffle, order_of, shard_count_of
from services.dataset.recent import Recent
from services.dataset.rows.get import FilteredRead, ReadPlan, project, slices_of
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.matching import Matching, matching_rows
from services.dataset.rows.ordered import OrderedRead
from services.dataset.rows.statistics import parse as parse_statistics
from services.dataset.store import Store
from services.dataset.views.model import view_name

_SLICES = 100_000
_MATCHING_BYTES = 64 << 20
_CHUNKS = 1 << 18
_SHORT_FILTER = 500
_LOOKERS = 4
"""Conditions that are looked up at the same time."""
_REMEMBERED_SHARE = 1 / 24
"""Of the time that replaced packs stay: the rest is for the stream that begins with what was remembered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """Which rows of a split, in which order and how they look: the same for all shards."""

    version: str
    """The name of a version or a commit."""
    split: str
    columns: tuple[str, ...] = ()
    filter: str = ""
    view: str = ""
    checkpoint: str = ""
    shuffle: Shuffle | None = None
    global_batch_rows: int = 0

    @property
    def is_ordered(self) -> bool:
        """Whether rows are counted in an order, and not where they lie."""
        return self.shuffle is not None or self.global_batch_rows > 0


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """What one ticket gives."""

    choice: Choice
    rows: RowRange
    """Places in the order, or rows of the split."""
    shard: tuple[int, int] = (0, 1)
    """Of each global batch, the first one's part of as many as the second one says."""
    schema_mark: bytes = b""
    """What ``schema_mark`` made of the columns that the reader was told of; empty where they cannot change."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sharded:
    """What a reader asked for, cut into shards."""

    schema: pa.Schema
    shards: tuple[Selection, ...]
    row_count: int
    """-1: only reading them will tell."""
    size_bytes: int
    """Canonical bytes of the rows, estimated where the range cuts a split."""
    warning: str
    """What the reader should know; empty when there is nothing."""
    is_live: bool = False
    """The rows are read where they are, as they are then."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadRequest:
    """Which rows a reader asks for."""

    choice: Choice
    """Its version may be named by a branch or tag, too."""
    shard_count: int = 1
    shard_index: int | None = None
    first_row: int = 0
    row_limit: int = 0
    """0: all that remain."""


class Reads:
    """Reading versions. For one event loop."""

    def __init__(
        self,
        store: Store,
        packs: MappedPacks,
        *,
        retired_pack_ttl_s: float = 86_400,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Packs stay for ``retired_pack_ttl_s`` after they were replaced."""
        self._store = store
        self._packs = packs
        max_age_s = retired_pack_ttl_s * _REMEMBERED_SHARE
        self._plans: Recent[Selection, ReadPlan] = Recent(
            _SLICES, lambda plan: len(plan.slices) + 1, max_age_s=max_age_s, monotonic=monotonic
        )
        self._matching: Recent[tuple[Tree, str], Matching] = Recent(_MATCHING_BYTES, lambda found: found.weight)
        self._chunks: Recent[Tree, tuple[Chunk, ...]] = Recent(
            _CHUNKS, lambda chunks: len(chunks) + 1, max_age_s=max_age_s, monotonic=monotonic
        )
        self._lookers = asyncio.Semaphore(_LOOKERS)
        packs.when_damaged(self._forget)
        self._looking: dict[tuple[Tree, str], asyncio.Task[Matching]] = {}

    async def select(self, request: ReadRequest) -> Sharded:
        """What a reader will get, without reading it.

        Raises:
            What naming a commit raises; SplitNotFound, ColumnNotFound, ShardOutOfRange, VersionArchived, NoRowsStored
            InvalidFilter, ViewNotFound, ViewNeedsVersion, CheckpointNotFound, CheckpointHasNoRows
        """
        if request.shard_index is not None and request.shard_index >= request.shard_count:
            raise ShardOutOfRange(shard_index=request.shard_index, shard_count=request.shard_count)
        commit, found = await self._found(request.choice)
        choice = pinned(request.choice, commit, found.checkpoint)
        split = split_among(found.splits, choice.split)
        schema = project(read_schema(split), choice.columns)
        condition = await self.condition(choice, read_schema(split))
        total = split.tree.row_count
        if choice.is_ordered and condition is not None:
            total = sum((await self._matching_of(split, condition)).counts)
        remaining = max(0, total - request.first_row)
        rows = RowRange(request.first_row, min(remaining, request.row_limit or remaining))
        cut, counts = _cut(choice, rows, request, total)
        if condition is not None and not choice.is_ordered:
            counts = [-1] * len(cut)
        selected = sum(counts) if -1 not in counts else -1
        size_bytes = split.tree.size_bytes * selected // max(1, split.tree.row_count) if selected >= 0 else -1
        return Sharded(schema, tuple(cut), selected, size_bytes, warning_of(commit))

    async def plan(self, selection: Selection) -> ReadPlan | OrderedRead | FilteredRead:
        """Where the selected rows lie.

        Raises:
            PlaceChanged: a copy was made since ``select``, which has other columns.
            What ``select`` does.
        """
        choice = selection.choice
        _, found = await self._found(choice)
        split = split_among(found.splits, choice.split)
        known = self._plans.get(selection) if found.checkpoint == choice.checkpoint else None
        if known is not None:
            return known
        schema = project(read_schema(split), choice.columns)
        check_schema(selection, schema)
        condition = await self.condition(choice, read_schema(split))
        if choice.is_ordered:
            return await self._ordered(selection, split, schema, condition)
        rows = _known(selection.rows, split)
        end = rows.first + rows.count
        async with self._store.transaction() as tx:
            chunks = (
                await tx.list_chunks(split.tree, rows.first, end, None, with_statistics=condition is not None)
                if rows.count
                else ()
            )
        if condition is not None:
            held = [chunk for chunk in chunks if condition.may_match(parse_statistics(chunk.statistics))]
            return FilteredRead(tuple(slices_of(held, rows)), schema, condition)
        plan = ReadPlan(tuple(slices_of(chunks, rows)), schema)
        if found.checkpoint == choice.checkpoint:
            self._plans.put(selection, plan)
        return plan

    async def _ordered(
        self, selection: Selection, split: Split, schema: pa.Schema, condition: Filter | None
    ) -> OrderedRead:
        choice, chunks = selection.choice, await self._all_chunks(split)
        matching = await self._matching_of(split, condition) if condition is not None else None
        order = await asyncio.to_thread(_order, chunks, matching, choice.shuffle)
        end = selection.rows.first + selection.rows.count
        return OrderedRead(
            chunks, order, matching, schema, selection.rows.first, end, selection.shard, choice.global_batch_rows
        )

    async def _forget(self, _pack: str) -> None:
        """Rows that were damaged lie somewhere else when they have been put again."""
        self._plans.clear()
        self._chunks.clear()

    async def condition(self, choice: Choice, schema: pa.Schema) -> Filter | None:
        """Filter and view as one condition on rows of this schema; None when there is neither.

        Raises:
            InvalidFilter, ViewNotFound, ViewNeedsVersion
        """
        texts = [choice.filter] if choice.filter else []
        if choice.filter:
            await parsed(choice.filter, schema)  # by itself, so that its brackets cannot open the view's
        if choice.view:
            version = parse(choice.version)
            if not isinstance(version, DatasetVersionName):
                raise ViewNeedsVersion(version=choice.version, view=choice.view)
            async with self._store.transaction() as tx:
                texts.append((await tx.get_view(view_name(version, choice.view))).filter)
        if not texts:
            return None
        return await parsed(texts[0] if len(texts) == 1 else " AND ".join(f"({text})" for text in texts), schema)

    async def _matching_of(self, split: Split, condition: Filter) -> Matching:
        """Computed once, however many readers come at the same time."""
        key = (split.tree, condition.text)
        known = self._matching.get(key)
        if known is not None:
            return known
        task = self._looking.get(key)
        if task is None:
            task = self._looking[key] = asyncio.create_task(self._look(key, split, condition))
            task.add_done_callback(lambda _: self._looking.pop(key, None))
        # Of one reader that goes away, the others must not notice.
        return await asyncio.shield(task)

    async def _look(self, key: tuple[Tree, str], split: Split, condition: Filter) -> Matching:
        async with self._store.transaction() as tx:
            chunks = await tx.list_chunks(split.tree, 0, split.tree.row_count, None, with_statistics=True)
        run = on_loop(asyncio.get_running_loop())
        async with self._lookers:
            found = await in_own_thread("look", lambda: matching_rows(chunks, condition, self._packs, run))
        self._matching.put(key, found)
        return found

    async def _all_chunks(self, split: Split) -> tuple[Chunk, ...]:
        known = self._chunks.get(split.tree)
        if known is None:
            async with self._store.transaction() as tx:
                known = tuple(await tx.list_chunks(split.tree, 0, split.tree.row_count, None))
            self._chunks.put(split.tree, known)
        return known

    async def _found(self, choice: Choice) -> tuple[Commit, Readable]:
        """What is named, and the rows that its readers get; or NoRowsStored."""
        async with self._store.transaction() as tx:
            commit = await commit_of(tx, parse(choice.version, "version"))
            found = await readable(tx, commit, choice.checkpoint)
        if not found.splits:
            raise NoRowsStored(version=choice.version)
        return commit, found


async def parsed(text: str, schema: pa.Schema) -> Filter:
    """The filter, read beside the event loop where it is so long that others would notice."""
    if len(text) < _SHORT_FILTER:
        return Filter.parse(text, schema)
    return await asyncio.to_thread(Filter.parse, text, schema)


def pinned(choice: Choice, commit: Commit, checkpoint: str = "") -> Choice:
    """The choice, of what its version names now: a branch may move before the ticket is redeemed, and newer copies may
    be made, but what is named now is what the reader gets."""
    name = choice.version if isinstance(parse(choice.version), DatasetVersionName) else str(commit.name)
    return dataclasses.replace(choice, version=name, checkpoint=checkpoint)


def schema_mark(schema: pa.Schema) -> bytes:
    """Differs where the columns, or what is said of them, do."""
    return hashlib.sha256(schema.serialize()).digest()


def check_schema(selection: Selection, schema: pa.Schema) -> None:
    """Go on if these are the columns that the reader was told of, or PlaceChanged."""
    if selection.schema_mark and selection.schema_mark != schema_mark(schema):
        raise PlaceChanged(version=selection.choice.version)


def _known(rows: RowRange, split: Split) -> RowRange:
    """The ticket of a place does not know how many rows there are; a copy, made since, does."""
    remaining = max(0, split.tree.row_count - rows.first)
    return RowRange(rows.first, remaining if rows.count < 0 else min(rows.count, remaining))


def _cut(choice: Choice, rows: RowRange, request: ReadRequest, total: int) -> tuple[list[Selection], list[int]]:
    """The selections of the shards that were asked for, and the rows of each."""
    numbers = range(request.shard_count) if request.shard_index is None else [request.shard_index]
    if choice.global_batch_rows:
        cut = [Selection(choice, rows, (number, request.shard_count)) for number in numbers]
        end, size = rows.first + rows.count, choice.global_batch_rows
        return cut, [shard_count_of(rows.first, end, selection.shard, size, total) for selection in cut]
    ranges = shards(rows, request.shard_count)
    return [Selection(choice, ranges[number]) for number in numbers], [ranges[number].count for number in numbers]


def _order(chunks: tuple[Chunk, ...], matching: Matching | None, shuffle: Shuffle | None) -> Order:
    row_counts, sizes = [chunk.row_count for chunk in chunks], [chunk.size_bytes for chunk in chunks]
    return order_of(row_counts, sizes, matching.counts if matching is not None else row_counts, shuffle)


def warning_of(commit: Commit) -> str:
    """M-20: a deprecated version may be read, and whoever reads it is told."""
    if commit.named is None or commit.named.state is not VersionState.DEPRECATED:
        return ""
    said = f": {commit.named.state_message}" if commit.named.state_message else "."
    return f"{commit.dataset}/versions/{commit.named.version} is deprecated{said}"
