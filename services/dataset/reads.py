"""Use cases of readers: what they will get, and where it lies.

Where a version's rows lie never changes: it is remembered, so that the readers of one version, who all come again with
each epoch, cost the database next to nothing. Whether it may be used can change, and is asked each time.
"""

import collections
import dataclasses
from collections.abc import Callable
from typing import Generic, TypeVar

import pyarrow as pa

from headwater.names import DatasetVersionName
from services.dataset.datasets import read_schema, split_named
from services.dataset.errors import ShardOutOfRange
from services.dataset.history.model import Commit
from services.dataset.history.resolve import commit_of
from services.dataset.model import RowRange, shards
from services.dataset.rows.get import ReadPlan, project, slices_of
from services.dataset.store import Store

Key = TypeVar("Key")
Value = TypeVar("Value")

_SLICES = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """Some columns and rows of one split of a version."""

    version: DatasetVersionName
    split: str
    columns: tuple[str, ...]
    rows: RowRange


@dataclasses.dataclass(frozen=True, slots=True)
class Sharded:
    """What a reader asked for, cut into shards."""

    schema: pa.Schema
    shards: tuple[Selection, ...]
    row_count: int
    size_bytes: int
    """Canonical bytes of the rows, estimated where the range cuts a split."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadRequest:
    """Which rows a reader asks for."""

    version: DatasetVersionName
    split: str
    columns: tuple[str, ...] = ()
    shard_count: int = 1
    shard_index: int | None = None
    first_row: int = 0
    row_limit: int = 0
    """0: all that remain."""


class Reads:
    """Reading versions. For one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._plans: _Recent[Selection, ReadPlan] = _Recent(_SLICES, lambda plan: len(plan.slices) + 1)

    async def select(self, request: ReadRequest) -> Sharded:
        """What a reader will get, without reading it.

        Raises:
            DatasetNotFound, VersionNotFound, SplitNotFound, ColumnNotFound, InvalidVersion, ShardOutOfRange
            VersionArchived
        """
        if request.shard_index is not None and request.shard_index >= request.shard_count:
            raise ShardOutOfRange(shard_index=request.shard_index, shard_count=request.shard_count)
        split = split_named(await self._commit(request.version), request.split)
        remaining = max(0, split.tree.row_count - request.first_row)
        count = min(remaining, request.row_limit or remaining)
        ranges = shards(RowRange(request.first_row, count), request.shard_count)
        if request.shard_index is not None:
            ranges = ranges[request.shard_index : request.shard_index + 1]
        selected = sum(rows.count for rows in ranges)
        return Sharded(
            schema=project(read_schema(split), request.columns),
            shards=tuple(Selection(request.version, request.split, request.columns, rows) for rows in ranges),
            row_count=selected,
            size_bytes=split.tree.size_bytes * selected // max(1, split.tree.row_count),
        )

    async def plan(self, selection: Selection) -> ReadPlan:
        """Where the selected rows lie. Raises what ``select`` does."""
        commit = await self._commit(selection.version)
        known = self._plans.get(selection)
        if known is not None:
            return known
        rows, split = selection.rows, split_named(commit, selection.split)
        async with self._store.transaction() as tx:
            chunks = await tx.list_chunks(split.tree, rows.first, rows.first + rows.count, None) if rows.count else ()
        plan = ReadPlan(tuple(slices_of(chunks, rows)), project(read_schema(split), selection.columns))
        self._plans.put(selection, plan)
        return plan

    async def _commit(self, name: DatasetVersionName) -> Commit:
        async with self._store.transaction() as tx:
            return await commit_of(tx, name)


class _Recent(Generic[Key, Value]):
    """The most recently used values whose weights together are at most ``max_weight``."""

    def __init__(self, max_weight: int, weigh: Callable[[Value], int]) -> None:
        self._max_weight = max_weight
        self._weigh = weigh
        self._weight = 0
        self._values: collections.OrderedDict[Key, Value] = collections.OrderedDict()

    def get(self, key: Key) -> Value | None:
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def put(self, key: Key, value: Value) -> None:
        if key in self._values:
            self._weight -= self._weigh(self._values.pop(key))
        self._values[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._max_weight:
            _, oldest = self._values.popitem(last=False)
            self._weight -= self._weigh(oldest)
