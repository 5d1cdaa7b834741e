"""Use cases of changes between commits: compare, merge, revert, rebase."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

from chassis.blobs import Blobs
from chassis.ids import new_id
from chassis.threads import in_own_thread
from headwater import tree
from headwater.names import BranchName, DatasetName, UploadName
from services.dataset.changes.combine import Combined, RowMerge, Splits, choose, refused
from services.dataset.changes.diff import SplitDiffer
from services.dataset.changes.errors import (
    CannotRevert,
    MergeConflict,
    NoRowsOfItsOwn,
    SplitChanged,
    TooManyComparisons,
)
from services.dataset.changes.model import Conflict, DiffPart, SplitDiff
from services.dataset.changes.side import Side
from services.dataset.changes.write import SplitWriter, Written, on_loop
from services.dataset.datasets import read_schema
from services.dataset.errors import SplitNotFound
from services.dataset.history.append import Appended, append_commit, forward_branch
from services.dataset.history.graph import merge_base
from services.dataset.history.model import Commit, Draft
from services.dataset.history.resolve import check_usable, commit_in, commit_named
from services.dataset.model import SemVer, Split, Upload, UploadState, UploadTarget
from services.dataset.rows.get import project
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.writer import PutLimits
from services.dataset.store import Store, Transaction
from services.dataset.uploads import open_upload, splits_of

MAX_CONFLICTS = 1000
_AT_ONCE = 8
"""Comparisons and merges, each of which may take some hundred MiB."""


@dataclasses.dataclass(frozen=True, slots=True)
class Merged:
    """The branch's commit now, or what stands against it."""

    appended: Appended | None
    conflicts: tuple[Conflict, ...] = ()
    conflict_count: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class MergeRequest:
    """What MergeBranch and RevertCommit ask for."""

    branch: BranchName
    source: str
    """The name of a commit, version, branch or tag."""
    message: str
    """Empty: a sentence that names both."""
    version: SemVer | None
    author: str
    request_id: str
    body: str
    """Digest of the request, for its replay."""

    @property
    def dataset(self) -> DatasetName:
        """Whose branch it is."""
        return DatasetName(self.branch.project, self.branch.dataset)


@dataclasses.dataclass(frozen=True, slots=True)
class _Three:
    """The sides of a merge."""

    base: Splits
    ours: Splits
    theirs: Splits


class Changes:
    """What differs between commits, and bringing it from one to another. For one event loop."""

    def __init__(self, store: Store, blobs: Blobs, packs: MappedPacks, limits: PutLimits) -> None:
        self._store = store
        self._blobs = blobs
        self._packs = packs
        self._limits = limits
        self._running = 0

    async def diff(
        self, base: str, target: str, split: str, max_rows: int, key_columns: Sequence[str]
    ) -> AsyncGenerator[DiffPart, None]:
        """What changed from one commit to another of the same dataset, as it is found; the sums come last.

        Raises:
            TooManyComparisons
            What ``commit_named`` and ``commit_in`` raise; NoRowsOfItsOwn, SplitNotFound
            ColumnNotFound: there is no such key column.
        """
        async with self._store.transaction() as tx:
            before = _with_rows(await commit_named(tx, base, archived=True, field="base"), base)
            after = _with_rows(await commit_in(tx, before.dataset, target, archived=True), target)
            keys = tuple(key_columns) or (await tx.get_dataset(before.dataset)).key_columns
        ours, theirs = _named(before.splits), _named(after.splits)
        names = sorted(ours.keys() | theirs.keys())
        if split and split not in names:
            raise SplitNotFound(split=split, splits=", ".join(names))
        for each in (*ours.values(), *theirs.values()):
            project(read_schema(each), key_columns)
        room, sums = max_rows, list[SplitDiff]()
        with self._working():
            for name in [split] if split else names:
                present = [splits[name] for splits in (ours, theirs) if name in splits]
                sides = [self._side(splits.get(name)) for splits in (ours, theirs)]
                differ = SplitDiffer(self._store, name, sides[0], sides[1], _usable_keys(keys, present))
                async for changes in differ.changes(room):
                    room -= len(changes)
                    yield DiffPart(changes)
                sums.append(differ.sums)
        count = sum(each.added + each.removed + each.changed for each in sums)
        yield DiffPart((), sums, count > max_rows - room)

    async def merge(self, request: MergeRequest) -> Merged:
        """Bring the changes of a commit into a branch, unless rows are in conflict.

        Raises:
            BranchMoved: while this was being worked out.
            TooManyComparisons, MergeTooLarge
            BranchNotFound, NoRowsOfItsOwn, VersionArchived, VersionNotGreater, RequestIdReused
        """
        async with self._store.transaction() as tx:
            if known := await self._replayed(tx, "MergeBranch", request):
                return known
            head = await _head(tx, request.branch)
            source = await commit_in(tx, request.dataset, request.source)
            base_id = await merge_base(tx, head.id, source.id)
            if base_id == source.id:
                return Merged(Appended(head, None, created=False))
            if base_id == head.id:
                made = await forward_branch(tx, request.branch, head.id, source, version=request.version)
                return await self._remembered(tx, "MergeBranch", request, made)
            base = await tx.get_commit(request.dataset, base_id) if base_id else None
        three = _Three(
            _named(_with_rows(base, str(base.name)).splits) if base else {},
            _named(_with_rows(head, str(request.branch)).splits),
            _named(_with_rows(source, request.source).splits),
        )
        message = request.message or f"Merge {_short(request.source)} into {request.branch.branch}"
        return await self._commit("MergeBranch", request, three, [head.id, source.id], message)

    async def revert(self, request: MergeRequest) -> Merged:
        """Take a commit's changes back on a branch, unless rows are in conflict.

        Raises:
            CannotRevert: the commit is a merge or the first. And what ``merge`` raises.
        """
        async with self._store.transaction() as tx:
            if known := await self._replayed(tx, "RevertCommit", request):
                return known
            head = await _head(tx, request.branch)
            undone = await commit_in(tx, request.dataset, request.source, archived=True)
            if len(undone.parents) != 1:
                raise CannotRevert(commit=undone.name, parents=len(undone.parents))
            before = await tx.get_commit(request.dataset, undone.parents[0])
        three = _Three(
            _named(_with_rows(undone, request.source).splits),
            _named(_with_rows(head, str(request.branch)).splits),
            _named(_with_rows(before, str(before.name)).splits),
        )
        message = request.message or f"Revert {_short(request.source)}"
        return await self._commit("RevertCommit", request, three, [head.id], message)

    async def rebase(self, name: UploadName) -> Upload:
        """Put the upload's changes onto the present head of its branch.

        Raises:
            UploadNotFound, UploadNotOpen, BranchNotFound, NoRowsOfItsOwn
            MergeConflict: and nothing has changed.
        """
        async with self._store.transaction() as tx:
            upload = open_upload(await tx.get_upload(name))
            branch = BranchName(name.project, name.dataset, upload.target.branch)
            head = await _head(tx, branch)
            if head.id == upload.target.base:
                return upload
            base = await tx.get_commit(upload.dataset, upload.target.base) if upload.target.base else None
            theirs = await splits_of(tx, upload)
        three = _Three(
            _named(_with_rows(base, str(base.name)).splits) if base else {},
            _named(_with_rows(head, str(branch)).splits),
            _named(theirs),
        )
        combined = await self._combine(three, upload.dataset, upload.uid)
        if combined.conflict_count:
            first = combined.conflicts[0]
            raise MergeConflict(conflicts=combined.conflict_count, split=first.split, base_row=first.base_row)
        async with self._store.transaction() as tx:
            now = open_upload(await tx.get_upload(name, lock=True))
            if (now.splits, now.target) != (upload.splits, upload.target):
                raise SplitChanged(upload=name)
            await tx.touch_upload(upload.uid, self._limits.upload_ttl_s)
            await combined.record(tx, upload.uid)
            await tx.set_base(upload.uid, head.id)
            return await tx.get_upload(name)

    async def _commit(
        self, method: str, request: MergeRequest, three: _Three, parents: Sequence[bytes], message: str
    ) -> Merged:
        uid = new_id()
        target = UploadTarget(request.branch.branch, parents[0])
        async with self._store.transaction() as tx:
            await tx.create_upload(uid, request.dataset, request.author, self._limits.upload_ttl_s, target)
        try:
            combined = await self._combine(three, request.dataset, uid)
            if combined.conflict_count:
                return Merged(None, combined.conflicts, combined.conflict_count)
            async with self._store.transaction() as tx:
                if known := await self._replayed(tx, method, request):
                    return known
                await tx.touch_upload(uid, self._limits.upload_ttl_s)
                splits = await combined.record(tx, uid)
                draft = Draft(request.dataset, _content_digest(splits), tuple(splits), message, request.author)
                made = await append_commit(tx, request.branch, draft, parents, version=request.version)
                return await self._remembered(tx, method, request, made)
        finally:
            # What it wrote is the commit's now, or nobody's.
            async with self._store.transaction() as tx:
                await tx.close_upload(uid, UploadState.ABORTED)

    async def _combine(self, three: _Three, dataset: DatasetName, upload_uid: str) -> "_Together":
        """The splits of both sides together, with new chunks stored under the upload, or the conflicts."""
        with self._working():
            return await self._combine_all(three, dataset, upload_uid)

    async def _combine_all(self, three: _Three, dataset: DatasetName, upload_uid: str) -> "_Together":
        async with self._store.transaction() as tx:
            keys = (await tx.get_dataset(dataset)).key_columns
        found: dict[str, Combined] = {}
        room = MAX_CONFLICTS
        for name in sorted(three.base.keys() | three.ours.keys() | three.theirs.keys()):
            found[name] = await self._combine_one(name, three, keys, room)
            room -= len(found[name].conflicts)
        splits = [each.split for each in found.values() if each.split is not None]
        if not any(each.conflict_count for each in found.values()):
            if not splits:
                found[""] = refused(None, "No split would be left.")
            elif len({tree.schema_digest(read_schema(split)) for split in splits}) > 1:
                found[""] = refused(splits[0], "One side changed the columns, the other one the splits.")
        conflicts = tuple(conflict for each in found.values() for conflict in each.conflicts)
        if conflicts:
            return _Together((), {}, conflicts, sum(each.conflict_count for each in found.values()))
        written = {name: await self._write(name, three, each, upload_uid) for name, each in found.items() if each.edits}
        return _Together(tuple(splits), written)

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        if self._running == _AT_ONCE:
            raise TooManyComparisons(limit=_AT_ONCE, retry_after_ms=1000)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def _combine_one(self, name: str, three: _Three, keys: Sequence[str], room: int) -> Combined:
        chosen = choose(name, three.base, three.ours, three.theirs)
        if chosen is not None:
            return chosen
        base, ours, theirs = three.base.get(name), three.ours[name], three.theirs[name]
        usable = _usable_keys(keys, [ours])
        sides = Side(ours, self._store, self._packs), Side(theirs, self._store, self._packs)
        return await RowMerge(self._store, self._side(base), *sides, usable).merge(room)

    async def _write(self, name: str, three: _Three, combined: Combined, upload_uid: str) -> Written:
        run = on_loop(asyncio.get_running_loop())
        writer = SplitWriter(self._store, self._blobs, upload_uid, self._limits, run)
        ours, theirs = (Side(splits[name], self._store, self._packs) for splits in (three.ours, three.theirs))
        return await in_own_thread("merge", lambda: writer.merge(ours, theirs, combined.edits))

    def _side(self, split: Split | None) -> Side | None:
        return Side(split, self._store, self._packs) if split else None

    async def _replayed(self, tx: Transaction, method: str, request: MergeRequest) -> Merged | None:
        first = await tx.first_result(method, request.request_id, request.body)
        if first is None:
            return None
        commit = await commit_named(tx, first, archived=True)
        return Merged(Appended(commit, None, created=True))

    async def _remembered(self, tx: Transaction, method: str, request: MergeRequest, made: Appended) -> Merged:
        await tx.remember(method, request.request_id, request.body, str(made.commit.name))
        return Merged(made)


@dataclasses.dataclass(frozen=True, slots=True)
class _Together:
    """What both sides come to together."""

    splits: tuple[Split, ...]
    """The splits, those of ``written`` as they were before."""
    written: Mapping[str, Written]
    conflicts: tuple[Conflict, ...] = ()
    conflict_count: int = 0

    async def record(self, tx: Transaction, upload_uid: str) -> list[Split]:
        """The splits, each of which is a split of the upload now."""
        recorded = []
        for split in self.splits:
            written = self.written.get(split.name)
            if written is None:
                await tx.record_tree(upload_uid, split, ())
            recorded.append(split if written is None else await written.record(tx, upload_uid))
        return recorded


async def _head(tx: Transaction, branch: BranchName) -> Commit:
    """The branch's head, to build upon."""
    head = await tx.get_commit(DatasetName(branch.project, branch.dataset), (await tx.get_branch(branch)).head)
    check_usable(head)
    return head


def _with_rows(commit: Commit, name: str) -> Commit:
    if not commit.splits:
        raise NoRowsOfItsOwn(version=name)
    return commit


def _usable_keys(keys: Sequence[str], splits: Sequence[Split]) -> tuple[str, ...]:
    """The key columns, if all of these splits have them; else none."""
    has_all = all(set(keys) <= set(read_schema(split).names) for split in splits)
    return tuple(keys) if has_all else ()


def _content_digest(splits: Sequence[Split]) -> bytes:
    digests = [tree.Split(split.name, split.tree.root, split.tree.row_count) for split in splits]
    return tree.version_digest(read_schema(splits[0]), digests)


def _named(splits: Sequence[Split]) -> Splits:
    return {split.name: split for split in splits}


def _short(name: str) -> str:
    return name.rpartition("/")[2][:12]
