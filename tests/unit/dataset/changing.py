"""A dataset in memory whose chunks and nodes are so small that few rows make many, and what can be done to it."""

import asyncio
import dataclasses
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pyarrow as pa
import pytest

from chassis.blobs import LocalBlobs
from chassis.testing import ManualClock
from headwater import tree
from headwater.names import BranchName, DatasetName, UploadName
from headwater.tree import chunks
from headwater.tree import format as tree_format
from services.dataset.changes.changes import Changes, Merged, MergeRequest
from services.dataset.changes.edits import Edits
from services.dataset.changes.model import RowChange, SplitDiff
from services.dataset.changes.side import Side
from services.dataset.changes.write import on_loop
from services.dataset.datasets import Datasets
from services.dataset.history.history import History
from services.dataset.history.model import Commit
from services.dataset.memory import MemoryStore
from services.dataset.model import Dataset
from services.dataset.rows.layout import Layout
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.put import PutStream
from services.dataset.rows.writer import PutLimits, PutStore
from services.dataset.uploads import CommitRequest, Uploads

DIGITS = DatasetName("default", "digits")
SCHEMA = pa.schema([("id", pa.int64()), ("value", pa.string())])
Rows = Sequence[tuple[int, str]]


def small_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a chunk have some ten rows, and a node a few children."""
    monkeypatch.setattr(chunks, "CHUNK_TARGET_BITS", 8)
    monkeypatch.setattr(tree_format, "SPLIT_FANOUT_BITS", 2)


def table(rows: Rows) -> pa.Table:
    return pa.table({"id": [key for key, _ in rows], "value": [value for _, value in rows]}, SCHEMA)


class Digits:
    """The dataset ``digits``, by what its service would do."""

    def __init__(self, folder: Path, key_columns: Sequence[str]) -> None:
        self.clock, self.folder = ManualClock(), folder
        self.store, self.blobs = MemoryStore(self.clock), LocalBlobs(folder)
        self.packs, self.limits = MappedPacks(self.blobs, 100), PutLimits(1 << 20, 60, 3600)
        self.uploads = Uploads(self.store, 3600)
        self.changes = Changes(self.store, self.blobs, self.packs, self.limits)
        self.edits = Edits(self.store, self.blobs, self.packs, self.limits)
        self.keys = tuple(key_columns)

    async def push(self, branch: str = "main", **splits: Rows) -> Commit:
        """Commit all rows of these splits."""
        upload = await self.uploads.create(DIGITS, author="ann", request_id="", body="", branch=branch)
        for split, rows in splits.items():
            layout = Layout.of(SCHEMA)
            store = PutStore(self.store, self.blobs, upload.uid, layout, self.limits)
            stream = PutStream(SCHEMA, store, on_loop(asyncio.get_running_loop()))
            await asyncio.to_thread(stream.put, split, table(rows).to_batches())
        commit = await self.commit(upload.name)
        if self.keys:
            keyed = await Datasets(self.store).get(DIGITS)
            if not keyed.key_columns:
                await Datasets(self.store).update(DIGITS, _with_keys(self.keys), "")
        return commit

    async def begin(self, branch: str = "main") -> UploadName:
        """An upload that inherits."""
        upload = await self.uploads.create(DIGITS, author="ann", request_id="", body="", branch=branch, inherit=True)
        return upload.name

    async def edit(self, upload: UploadName, first: int, count: int, rows: Rows, split: str = "train") -> None:
        """Replace rows by place."""
        run, new = on_loop(asyncio.get_running_loop()), table(rows).to_batches()
        await asyncio.to_thread(self.edits.edit, upload, split, first, count, SCHEMA, new, run)

    async def upsert(self, upload: UploadName, rows: Rows) -> None:
        """Replace and add rows by key."""
        run = on_loop(asyncio.get_running_loop())
        await asyncio.to_thread(self.edits.upsert, upload, "train", SCHEMA, table(rows).to_batches(), run)

    async def delete(self, upload: UploadName, keys: Sequence[int]) -> None:
        """Remove rows by key."""
        run, only = on_loop(asyncio.get_running_loop()), pa.table({"id": pa.array(keys, pa.int64())})
        await asyncio.to_thread(self.edits.delete, upload, "train", only.schema, only.to_batches(), run)

    async def commit(self, upload: UploadName) -> Commit:
        """Commit an upload."""
        request = CommitRequest(upload, None, "", (), "ann", "", "")
        return (await self.uploads.commit(request)).commit

    async def branch(self, name: str, commit: Commit) -> None:
        """Begin a branch."""
        branch = BranchName("default", "digits", name)
        await History(self.store).create_branch(branch, str(commit.name), author="ann", request_id="", body="")

    async def merge(self, source: Commit, branch: str = "main") -> Merged:
        """Bring a commit into a branch."""
        return await self.changes.merge(self._request(source, branch))

    async def revert(self, commit: Commit, branch: str = "main") -> Merged:
        """Take a commit's changes back."""
        return await self.changes.revert(self._request(commit, branch))

    async def diff(self, base: Commit, target: Commit, max_rows: int = 10**6) -> tuple[list[RowChange], SplitDiff]:
        """What differs in the one split."""
        parts = [part async for part in self.changes.diff(str(base.name), str(target.name), "", max_rows, ())]
        (sums,) = parts[-1].splits
        return [change for part in parts for change in part.changes], sums

    async def rows(self, commit: Commit, split: str = "train") -> list[tuple[int, str]]:
        """The rows, whose root is checked to be that of a push of them all."""
        (found,) = [each for each in commit.splits if each.name == split]
        side = Side(found, self.store, self.packs)
        rows = await side.rows(0, side.row_count) if side.row_count else SCHEMA.empty_table()
        assert tree.digest_split(split, SCHEMA, rows.to_batches()).root == found.tree.root
        return list(zip(rows.column("id").to_pylist(), rows.column("value").to_pylist(), strict=True))

    @staticmethod
    def _request(commit: Commit, branch: str) -> MergeRequest:
        return MergeRequest(BranchName("default", "digits", branch), str(commit.name), "", None, "ann", "", "")


@asynccontextmanager
async def digits(key_columns: Iterable[str] = ()) -> AsyncIterator[Digits]:
    """A new dataset."""
    with tempfile.TemporaryDirectory() as folder:
        yield Digits(Path(folder), tuple(key_columns))


def _with_keys(keys: tuple[str, ...]) -> Callable[[Dataset], Dataset]:
    return lambda dataset: dataclasses.replace(dataset, key_columns=keys)
