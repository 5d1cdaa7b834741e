"""Use cases of datasets and their versions: create, look up, list."""

import dataclasses
from collections.abc import Callable, Sequence

import pyarrow as pa

from chassis import etags
from chassis.clock import SystemClock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import DatasetName, DatasetVersionName, ProjectName
from services.dataset.checkpoints.resolve import readable
from services.dataset.errors import InvalidKeyColumns, NoRowsStored, SplitNotFound
from services.dataset.history.model import Version
from services.dataset.history.resolve import commit_named
from services.dataset.model import Chunk, Dataset, SemVer, SourceFile, Split
from services.dataset.store import Store, Transaction


class Datasets:
    """Datasets and versions. ``size`` and ``token`` are those of AIP-158."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def create(self, dataset: Dataset, *, request_id: str, body: str) -> Dataset:
        """Create a dataset.

        Raises:
            DatasetAlreadyExists, InvalidKeyColumns, RequestIdReused
        """
        check_key_columns(dataset.key_columns)
        async with self._store.transaction() as tx:
            if await tx.first_result("CreateDataset", request_id, body) is not None:
                return await tx.get_dataset(dataset.name)
            created = await tx.create_dataset(dataset)
            await tx.remember("CreateDataset", request_id, body, str(dataset.name))
            return created

    async def update(self, name: DatasetName, change: Callable[[Dataset], Dataset], etag: str) -> Dataset:
        """Change what is said about a dataset.

        Raises:
            DatasetNotFound, InvalidKeyColumns
            EtagMismatch: it is not as the caller has seen it.
        """
        async with self._store.transaction() as tx:
            before = await tx.get_dataset(name, lock=True)
            etags.check(etag, etags.etag_of(before.revision))
            changed = change(before)
            check_key_columns(changed.key_columns)
            if changed.key_columns != before.key_columns:
                await _check_in_latest(tx, changed)
            return await tx.update_dataset(changed) if changed != before else before

    async def get(self, name: DatasetName) -> Dataset:
        """One dataset, or DatasetNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_dataset(name)

    async def list(self, project: ProjectName, size: int, token: str, *, hidden: bool = False) -> Page[Dataset]:
        """Datasets of a project by name; with the hidden ones, if ``hidden``."""
        limit, query = page_size(size), query_digest("datasets", project, hidden)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            rows = await tx.list_datasets(project.project, str(after[0]) if after else "", limit + 1, hidden=hidden)
        return page_of(rows, limit, key=lambda dataset: (dataset.name.dataset,), query=query)

    async def get_version(self, name: DatasetVersionName) -> Version:
        """One version, or DatasetNotFound, VersionNotFound, InvalidVersion."""
        async with self._store.transaction() as tx:
            return await version_named(tx, name)

    async def schema_of(self, name: str) -> pa.Schema:
        """The columns of the rows that the name of a version, commit, branch or tag leads to.

        Raises:
            What naming a commit raises; NoRowsStored
        """
        async with self._store.transaction() as tx:
            found = await readable(tx, await commit_named(tx, name, field="version"))
        if not found.splits:
            raise NoRowsStored(version=name)
        return read_schema(found.splits[0])

    async def list_versions(self, dataset: DatasetName, size: int, token: str) -> Page[Version]:
        """Versions, newest first."""
        limit, query = page_size(size), query_digest("versions", dataset)
        below = decode_token(token, query, (int, int, int))
        async with self._store.transaction() as tx:
            await tx.get_dataset(dataset)
            rows = await tx.list_versions(dataset, SemVer(*map(int, below)) if below else None, limit + 1)
        return page_of(rows, limit, key=lambda version: dataclasses.astuple(version.version), query=query)

    async def list_chunks(
        self, version: DatasetVersionName, checkpoint: str, split: str, size: int, token: str
    ) -> Page[Chunk]:
        """Chunks of a split in row order, of the version or of a checkpoint's copy, as ``readable`` says."""
        limit = page_size(size)
        async with self._store.transaction() as tx:
            found = await readable(tx, (await version_named(tx, version)).commit, checkpoint)
            query = query_digest("chunks", version, found.checkpoint, split)
            after = decode_token(token, query, (int,))
            if not found.splits:
                raise NoRowsStored(version=version)
            tree = split_among(found.splits, split).tree
            # The token is the first row of a chunk, so the next chunk is the second of those from it on.
            first, skip = (int(after[0]), 1) if after else (0, 0)
            rows = await tx.list_chunks(tree, first, tree.row_count, limit + 1 + skip)
        return page_of(rows[skip:], limit, key=lambda chunk: (chunk.first_row,), query=query)

    async def list_source_files(self, version: DatasetVersionName, size: int, token: str) -> Page[SourceFile]:
        """The files that a version was made from, by path."""
        limit, query = page_size(size), query_digest("files", version)
        after = decode_token(token, query, (str,))
        async with self._store.transaction() as tx:
            upload_uid = (await version_named(tx, version)).commit.upload_uid
            rows = await tx.list_source_files(upload_uid, str(after[0]) if after else "", limit + 1)
        return page_of(rows, limit, key=lambda file: (file.path,), query=query)


def check_key_columns(columns: Sequence[str]) -> None:
    """Go on if the columns could name a row together, or InvalidKeyColumns."""
    if "" in columns or len(set(columns)) < len(columns):
        raise InvalidKeyColumns(columns=", ".join(columns))


async def _check_in_latest(tx: Transaction, dataset: Dataset) -> None:
    """Go on if the latest version has the key columns, or if nobody knows its columns yet; else InvalidKeyColumns."""
    if dataset.latest is None:
        return
    splits = (await tx.get_version(dataset.name, dataset.latest)).commit.splits
    missing = set(dataset.key_columns) - set(read_schema(splits[0]).names) if splits else set()
    if missing:
        raise InvalidKeyColumns(f"{dataset.latest} has no column {min(missing)}.", columns=", ".join(sorted(missing)))


def new_dataset(name: DatasetName, author: str, display_name: str = "", description: str = "") -> Dataset:
    """A dataset that the store has not seen yet; the time is the store's to set."""
    return Dataset(new_id(), name, display_name, description, None, 1, SystemClock().now(), author)


async def version_named(tx: Transaction, name: DatasetVersionName) -> Version:
    """The version of that name, or DatasetNotFound, VersionNotFound, InvalidVersion."""
    return await tx.get_version(DatasetName(name.project, name.dataset), SemVer.parse(name.version))


def read_schema(split: Split) -> pa.Schema:
    """The schema that readers of the split get."""
    return pa.ipc.read_schema(pa.py_buffer(split.arrow_schema))


def split_among(splits: Sequence[Split], name: str) -> Split:
    """The split of that name, or SplitNotFound."""
    for split in splits:
        if split.name == name:
            return split
    raise SplitNotFound(split=name, splits=", ".join(split.name for split in splits))
