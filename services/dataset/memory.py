"""The store in memory: the same promises without durability, for tests that need no database."""

import asyncio
import contextlib
import copy
import dataclasses
import datetime
from collections.abc import AsyncIterator, Mapping, Sequence, Set

from chassis.clock import Clock
from chassis.db.requests import MemoryRequests
from headwater.names import DatasetName, UploadName
from services.dataset.checkpoints.memory import CheckpointMemory, MemoryCheckpoints
from services.dataset.compaction.memory import MemoryCompactions, MemoryPack, next_number
from services.dataset.datastores.memory import DatastoreMemory, MemoryDatastores
from services.dataset.errors import (
    Collected,
    DatasetAlreadyExists,
    DatasetNotFound,
    SourceFileConflict,
    UploadNotFound,
    UploadNotOpen,
)
from services.dataset.history.memory import HistoryState, MemoryHistory
from services.dataset.model import (
    TO_MAIN,
    Chunk,
    Dataset,
    SourceFile,
    Upload,
    UploadState,
    UploadTarget,
)
from services.dataset.profiles.memory import MemoryProfiles, ProfilesState
from services.dataset.store import NewChunk, PlacedChunk
from services.dataset.trees.memory import MemoryTrees, TreeState
from services.dataset.views.memory import MemoryViews, ViewState

_Key = tuple[bytes, bytes]
"""A digest and a layout."""


@dataclasses.dataclass
class _State:
    datasets: dict[DatasetName, Dataset] = dataclasses.field(default_factory=dict)
    history: HistoryState = dataclasses.field(default_factory=HistoryState)
    uploads: dict[str, Upload] = dataclasses.field(default_factory=dict)
    released: set[str] = dataclasses.field(default_factory=set)
    files: dict[str, dict[str, SourceFile]] = dataclasses.field(default_factory=dict)
    packs: dict[str, MemoryPack] = dataclasses.field(default_factory=dict)
    pins: set[tuple[str, str]] = dataclasses.field(default_factory=set)
    chunks: dict[_Key, PlacedChunk] = dataclasses.field(default_factory=dict)
    trees: TreeState = dataclasses.field(default_factory=TreeState)
    compacting: tuple[str, datetime.datetime] | None = None
    """Who compacts packs, and until when nobody else does."""
    views: ViewState = dataclasses.field(default_factory=dict)
    profiles: ProfilesState = dataclasses.field(default_factory=ProfilesState)
    datastores: DatastoreMemory = dataclasses.field(default_factory=DatastoreMemory)
    checkpoints: CheckpointMemory = dataclasses.field(default_factory=CheckpointMemory)
    requests: MemoryRequests = dataclasses.field(default_factory=MemoryRequests)


class MemoryStore:
    """See ``services.dataset.store.Store``. Transactions run one after the other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._state = _State()
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator["MemoryTransaction"]:
        """See Store."""
        async with self._lock:
            state = copy.deepcopy(self._state)
            yield MemoryTransaction(state, self._clock.now())
            self._state = state


class MemoryTransaction(
    MemoryHistory, MemoryTrees, MemoryViews, MemoryProfiles, MemoryDatastores, MemoryCheckpoints, MemoryCompactions
):
    """See ``services.dataset.store.Transaction``."""

    _state: _State

    def __init__(self, state: _State, now: datetime.datetime) -> None:
        self._state = state
        self._history = state.history
        self._trees = state.trees
        self._views = state.views
        self._profiles = state.profiles
        self._datastores = state.datastores
        self._checkpoints = state.checkpoints
        self._now = now

    async def create_dataset(self, dataset: Dataset) -> Dataset:
        """See Catalog."""
        for taken in self._state.datasets:
            if taken.project == dataset.name.project and taken.dataset.lower() == dataset.name.dataset.lower():
                raise DatasetAlreadyExists(dataset=dataset.name)
        created = dataclasses.replace(dataset, latest=None, revision=1, create_time=self._now)
        self._state.datasets[dataset.name] = created
        return created

    async def get_dataset(self, name: DatasetName, *, lock: bool = False) -> Dataset:
        """See Catalog."""
        if name not in self._state.datasets:
            raise DatasetNotFound(dataset=name)
        return self._state.datasets[name]

    async def list_datasets(self, project: str, after: str, limit: int, *, hidden: bool = False) -> Sequence[Dataset]:
        """See Catalog."""
        names = sorted(
            name.dataset
            for name, dataset in self._state.datasets.items()
            if name.project == project and name.dataset > after and (hidden or not dataset.hidden)
        )
        return [self._state.datasets[DatasetName(project, name)] for name in names[:limit]]

    async def update_dataset(self, dataset: Dataset) -> Dataset:
        """See Catalog."""
        before = await self.get_dataset(dataset.name)
        self._state.datasets[dataset.name] = dataclasses.replace(dataset, revision=before.revision + 1)
        return self._state.datasets[dataset.name]

    async def create_upload(
        self, uid: str, dataset: DatasetName, created_by: str, ttl_s: float, target: UploadTarget = TO_MAIN
    ) -> Upload:
        """See Uploads."""
        upload = Upload(uid, dataset, UploadState.OPEN, (), self._now, self._after(ttl_s), created_by, target)
        self._state.uploads[uid] = upload
        return upload

    async def get_upload(self, name: UploadName, *, lock: bool = False) -> Upload:
        """See Uploads."""
        upload = self._state.uploads.get(name.upload)
        if upload is None or upload.name != name:
            raise UploadNotFound(upload=name)
        if upload.state is not UploadState.OPEN:
            return upload
        if upload.expire_time <= self._now:
            return dataclasses.replace(upload, state=UploadState.ABORTED)
        splits = {split.name: split for uid, split in self._trees.puts if uid == upload.uid}
        return dataclasses.replace(upload, splits=tuple(splits[name] for name in sorted(splits)))

    async def touch_upload(self, uid: str, ttl_s: float) -> None:
        """See Uploads."""
        upload = self._state.uploads[uid]
        if upload.state is not UploadState.OPEN or upload.expire_time <= self._now:
            raise UploadNotOpen(upload=uid)
        self._state.uploads[uid] = dataclasses.replace(upload, expire_time=self._after(ttl_s))

    async def set_base(self, uid: str, base: bytes) -> None:
        """See Uploads."""
        upload = self._state.uploads[uid]
        self._state.uploads[uid] = dataclasses.replace(upload, target=dataclasses.replace(upload.target, base=base))

    async def close_upload(self, uid: str, state: UploadState) -> None:
        """See Uploads."""
        self._state.uploads[uid] = dataclasses.replace(self._state.uploads[uid], state=state)

    async def add_source_files(self, upload_uid: str, files: Sequence[SourceFile]) -> int:
        """See Uploads."""
        known = self._state.files.setdefault(upload_uid, {})
        for file in files:
            if known.setdefault(file.path, file) != file:
                raise SourceFileConflict(path=file.path)
        return len(known)

    async def list_source_files(self, upload_uid: str, after: str, limit: int) -> Sequence[SourceFile]:
        """See Uploads."""
        files = self._state.files.get(upload_uid, {}).values()
        later = [file for file in files if file.path.encode() > after.encode()]
        return sorted(later, key=lambda file: file.path.encode())[:limit]

    async def all_source_files(self, upload_uid: str) -> AsyncIterator[Sequence[SourceFile]]:
        """See Uploads."""
        yield await self.list_source_files(upload_uid, "", len(self._state.files.get(upload_uid, {})))

    async def find_chunks(self, upload_uid: str, layout: bytes, digests: Sequence[bytes]) -> frozenset[bytes]:
        """See Rows."""
        return frozenset(await self.describe_chunks(upload_uid, layout, digests))

    async def describe_chunks(
        self, upload_uid: str, layout: bytes, digests: Sequence[bytes]
    ) -> Mapping[bytes, NewChunk]:
        """See Rows."""
        stored = [self._state.chunks[digest, layout] for digest in digests if (digest, layout) in self._state.chunks]
        found = [placed for placed in stored if placed.chunk.first_row_bytes and not self._is_damaged(placed)]
        self._state.pins |= {(upload_uid, placed.placement.pack) for placed in found}
        return {placed.chunk.digest: dataclasses.replace(placed.chunk, statistics=b"") for placed in found}

    async def begin_pack(self, upload_uid: str, pack: str, size_bytes: int) -> None:
        """See Rows."""
        self._state.packs[pack] = MemoryPack(next_number(self._state.packs), "writing", self._now)
        self._state.pins.add((upload_uid, pack))

    async def finish_pack(self, upload_uid: str, layout: bytes, pack: str, chunks: Sequence[PlacedChunk]) -> None:
        """See Rows."""
        if pack not in self._state.packs or self._state.packs[pack].state != "writing":
            raise Collected(upload=upload_uid)
        self._state.packs[pack].state = "stored"
        self._state.packs[pack].content_bytes = sum(placed.chunk.size_bytes for placed in chunks)
        for placed in chunks:
            key = (placed.chunk.digest, layout)
            known = self._state.chunks.setdefault(key, placed)
            if not known.chunk.first_row_bytes or self._is_damaged(known):
                self._state.chunks[key] = placed
        await self.find_chunks(upload_uid, layout, [placed.chunk.digest for placed in chunks])

    async def note_damage(self, pack: str) -> None:
        """See Rows."""
        known = self._state.packs.get(pack)
        if known is not None and known.state == "stored":
            known.state = "damaged"

    def _is_damaged(self, placed: PlacedChunk) -> bool:
        return self._state.packs[placed.placement.pack].state == "damaged"

    def find_chunk(self, layout: bytes, digest: bytes) -> Chunk | None:
        """See MemoryTrees."""
        placed = self._state.chunks.get((digest, layout))
        if placed is None:
            return None
        return Chunk(
            digest=digest,
            first_row=0,
            row_count=placed.chunk.row_count,
            size_bytes=placed.chunk.size_bytes,
            placement=placed.placement,
            ends_naturally=placed.chunk.ends_naturally,
            first_row_bytes=placed.chunk.first_row_bytes,
            statistics=placed.chunk.statistics,
        )

    async def expire_uploads(self) -> None:
        """See Collector."""
        forgettable = self._state.released - self._history.upload_uids()
        for upload in list(self._state.uploads.values()):
            if upload.state is UploadState.OPEN and upload.expire_time <= self._now:
                await self.close_upload(upload.uid, UploadState.ABORTED)
            elif upload.uid in forgettable and upload.expire_time < self._after(-7 * 86_400):
                del self._state.uploads[upload.uid]

    async def release_dead_upload(self, write_timeout_s: float) -> bool:
        """See Collector."""
        state = self._state
        for upload in state.uploads.values():
            pinned = {pack for uid, pack in state.pins if uid == upload.uid}
            writing = [state.packs[pack] for pack in pinned if state.packs[pack].state == "writing"]
            is_young = any(pack.create_time > self._after(-write_timeout_s) for pack in writing)
            if upload.state is not UploadState.OPEN and upload.uid not in state.released and not is_young:
                self._release(upload.uid, pinned)
                return True
        return False

    def _release(self, uid: str, pinned: set[str]) -> None:
        state = self._state
        state.released.add(uid)
        state.pins = {pin for pin in state.pins if pin[0] != uid}
        self._trees.puts = [put for put in self._trees.puts if put[0] != uid]
        self._free(uid, pinned)

    async def drop_unreachable_commit(self, ttl_s: float) -> bool:
        """See Collector."""
        uploads = [upload for upload in self._state.uploads.values() if upload.state is UploadState.OPEN]
        dropped = self._history.drop_loose(self._after(-ttl_s), {upload.target.base for upload in uploads})
        if dropped is not None:
            self._free(dropped.upload_uid)
        return dropped is not None

    def _free(self, upload_uid: str, unpinned: Set[str] = frozenset()) -> None:
        """Drop what nobody refers to any more, and the source files of an upload that no commit is made of; condemn the
        packs that nobody needs, those among them that the upload has pinned until now."""
        state = self._state
        splits = [split for _, split in self._trees.puts]
        splits += [split for commit in self._history.commits.values() for split in commit.splits]
        splits += self._checkpoints.splits
        used = self._trees.keep([split.tree for split in splits])
        needed = {pack for _, pack in state.pins} | {state.chunks[key].placement.pack for key in used}
        # Those that are in writing without having been pinned, and the retired ones, are a matter of compaction.
        stored = {name for name, pack in state.packs.items() if pack.state not in ("writing", "retired")}
        free = (stored | unpinned) - needed
        for digest in free:
            state.packs[digest].state = "condemned"
        state.chunks = {key: placed for key, placed in state.chunks.items() if placed.placement.pack not in free}
        if upload_uid not in self._history.upload_uids():
            state.files.pop(upload_uid, None)

    async def condemned_packs(self, limit: int) -> Sequence[str]:
        """See Collector."""
        is_due = {
            name: pack.state == "condemned" or (pack.remove_time is not None and pack.remove_time <= self._now)
            for name, pack in self._state.packs.items()
        }
        return [name for name in is_due if is_due[name]][:limit]

    async def forget_packs(self, packs: Sequence[str]) -> None:
        """See Collector."""
        for pack in packs:
            del self._state.packs[pack]

    async def forget_requests(self) -> None:
        """See Collector; what is in memory goes with the process."""

    async def first_result(self, method: str, request_id: str, body_digest: str) -> str | None:
        """See Replays."""
        return await self._state.requests.first_result(None, method, request_id, body_digest)

    async def remember(self, method: str, request_id: str, body_digest: str, result: str) -> None:
        """See Replays."""
        await self._state.requests.remember(None, method, request_id, body_digest, result)

    def _after(self, seconds: float) -> datetime.datetime:
        return self._now + datetime.timedelta(seconds=seconds)
