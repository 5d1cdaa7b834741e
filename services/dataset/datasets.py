"""Use cases of datasets and their versions: create, look up, list, and plan what a reader will get."""

import collections
import dataclasses

import pyarrow as pa

from chassis.clock import SystemClock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import DatasetName, DatasetVersionName, ProjectName
from services.dataset.errors import ShardOutOfRange, SplitNotFound
from services.dataset.model import Chunk, Dataset, RowRange, SemVer, SourceFile, Split, Version, shards
from services.dataset.rows.get import ReadPlan, project, slices_of
from services.dataset.store import Store, Transaction

_PLANS = 256
_PLANNED_SLICES = 100_000


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


class Datasets:
    """Datasets and versions. ``size`` and ``token`` are those of AIP-158."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._plans: collections.OrderedDict[Selection, ReadPlan] = collections.OrderedDict()

    async def create(
        self, name: DatasetName, display_name: str, description: str, *, author: str, request_id: str, body: str
    ) -> Dataset:
        """Create a dataset.

        Raises:
            DatasetAlreadyExists, RequestIdReused
        """
        async with self._store.transaction() as tx:
            if await tx.first_result("CreateDataset", request_id, body) is not None:
                return await tx.get_dataset(name)
            dataset = await tx.create_dataset(new_dataset(name, author, display_name, description))
            await tx.remember("CreateDataset", request_id, body, str(name))
            return dataset

    async def get(self, name: DatasetName) -> Dataset:
        """One dataset, or DatasetNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_dataset(name)

    async def list(self, project: ProjectName, size: int, token: str) -> Page[Dataset]:
        """Datasets of a project by name."""
        limit, query = page_size(size), query_digest("datasets", project)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            rows = await tx.list_datasets(project.project, str(after[0]) if after else "", limit + 1)
        return page_of(rows, limit, key=lambda dataset: (dataset.name.dataset,), query=query)

    async def get_version(self, name: DatasetVersionName) -> Version:
        """One version, or DatasetNotFound, VersionNotFound, InvalidVersion."""
        async with self._store.transaction() as tx:
            return await version_named(tx, name)

    async def list_versions(self, dataset: DatasetName, size: int, token: str) -> Page[Version]:
        """Versions, newest first."""
        limit, query = page_size(size), query_digest("versions", dataset)
        below = decode_token(token, query, (int, int, int))
        async with self._store.transaction() as tx:
            rows = await tx.list_versions(dataset, SemVer(*map(int, below)) if below else None, limit + 1)
        return page_of(rows, limit, key=lambda version: dataclasses.astuple(version.version), query=query)

    async def list_chunks(self, version: DatasetVersionName, split: str, size: int, token: str) -> Page[Chunk]:
        """Chunks of a split in row order."""
        limit, query = page_size(size), query_digest("chunks", version, split)
        after = decode_token(token, query, (int,))
        async with self._store.transaction() as tx:
            tree = _split(await version_named(tx, version), split).tree
            # The token is the first row of a chunk, so the next chunk is the second of those from it on.
            first, skip = (int(after[0]), 1) if after else (0, 0)
            rows = await tx.list_chunks(tree, first, tree.row_count, limit + 1 + skip)
        return page_of(rows[skip:], limit, key=lambda chunk: (chunk.first_row,), query=query)

    async def list_source_files(self, version: DatasetVersionName, size: int, token: str) -> Page[SourceFile]:
        """The files that a version was made from, by path."""
        limit, query = page_size(size), query_digest("files", version)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            upload_uid = (await version_named(tx, version)).upload_uid
            rows = await tx.list_source_files(upload_uid, str(after[0]) if after else "", limit + 1)
        return page_of(rows, limit, key=lambda file: (file.path,), query=query)

    async def select(self, request: ReadRequest) -> Sharded:
        """What a reader will get, without reading it.

        Raises:
            DatasetNotFound, VersionNotFound, SplitNotFound, ColumnNotFound, InvalidVersion
        """
        if request.shard_index is not None and request.shard_index >= request.shard_count:
            raise ShardOutOfRange(shard_index=request.shard_index, shard_count=request.shard_count)
        async with self._store.transaction() as tx:
            split = _split(await version_named(tx, request.version), request.split)
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
        if selection in self._plans:
            self._plans.move_to_end(selection)
            return self._plans[selection]
        rows = selection.rows
        async with self._store.transaction() as tx:
            split = _split(await version_named(tx, selection.version), selection.split)
            chunks = await tx.list_chunks(split.tree, rows.first, rows.first + rows.count, None) if rows.count else ()
        plan = ReadPlan(tuple(slices_of(chunks, rows)), project(read_schema(split), selection.columns))
        # A version never changes, and neither does where its rows lie.
        self._plans[selection] = plan
        while len(self._plans) > _PLANS or sum(len(kept.slices) for kept in self._plans.values()) > _PLANNED_SLICES:
            self._plans.popitem(last=False)
        return plan


def new_dataset(name: DatasetName, author: str, display_name: str = "", description: str = "") -> Dataset:
    """A dataset that the store has not seen yet; the time is the store's to set."""
    return Dataset(new_id(), name, display_name, description, None, 1, SystemClock().now(), author)


async def version_named(tx: Transaction, name: DatasetVersionName) -> Version:
    """The version of that name, or DatasetNotFound, VersionNotFound, InvalidVersion."""
    return await tx.get_version(DatasetName(name.project, name.dataset), SemVer.parse(name.version))


def read_schema(split: Split) -> pa.Schema:
    """The schema that readers of the split get."""
    return pa.ipc.read_schema(pa.py_buffer(split.arrow_schema))


def _split(version: Version, name: str) -> Split:
    for split in version.splits:
        if split.name == name:
            return split
    raise SplitNotFound(split=name, splits=", ".join(split.name for split in version.splits))
