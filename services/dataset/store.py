"""What the dataset service must remember, as Protocols; postgres/ and memory.py pass the same contract suite.

Chunks are stored once and found by digest, so writers share them. What a writer has found stays, because finding it
pins its pack to the writer's upload; the collector removes a pack only when no upload pins it and no tree uses it, and
the two never run at the same instant (``postgres/locks.py``).
"""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from headwater.names import DatasetName, UploadName
from services.dataset.checkpoints.store import Checkpoints
from services.dataset.compaction.store import Compactions
from services.dataset.datastores.store import Datastores
from services.dataset.history.store import History
from services.dataset.model import (
    TO_MAIN,
    Dataset,
    Placement,
    SourceFile,
    Upload,
    UploadState,
    UploadTarget,
)
from services.dataset.profiles.store import Profiles
from services.dataset.trees.store import Trees
from services.dataset.views.store import Views


@dataclasses.dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk that is not stored yet."""

    digest: bytes
    row_count: int
    size_bytes: int
    ends_naturally: bool = False
    """As in ``tree.Chunk``; False where it is not known."""
    first_row_bytes: int = 0
    """As in ``tree.Chunk``; 0 where it is not known."""
    statistics: bytes = b""
    """What ``rows.statistics.collect`` makes of its rows; empty where they are not at hand."""


@dataclasses.dataclass(frozen=True, slots=True)
class PlacedChunk:
    """A chunk and where in its pack it lies."""

    chunk: NewChunk
    placement: Placement


class Catalog(Protocol):
    """Datasets."""

    async def create_dataset(self, dataset: Dataset) -> Dataset:
        """Add a dataset; its times are the store's.

        Raises:
            DatasetAlreadyExists: the name is taken, in whatever case.
        """
        ...

    async def get_dataset(self, name: DatasetName, *, lock: bool = False) -> Dataset:
        """The dataset; with ``lock``, nobody else changes it before the transaction ends.

        Raises:
            DatasetNotFound
        """
        ...

    async def list_datasets(self, project: str, after: str, limit: int, *, hidden: bool = False) -> Sequence[Dataset]:
        """Datasets by name, from the one after ``after``; with the hidden ones, if ``hidden``."""
        ...

    async def update_dataset(self, dataset: Dataset) -> Dataset:
        """Set everything about the dataset that can change; its revision grows."""
        ...


class Uploads(Protocol):
    """Uploads and the files that their rows were made from."""

    async def create_upload(
        self, uid: str, dataset: DatasetName, created_by: str, ttl_s: float, target: UploadTarget = TO_MAIN
    ) -> Upload:
        """Open an upload that expires in ``ttl_s`` unless it is used."""
        ...

    async def get_upload(self, name: UploadName, *, lock: bool = False) -> Upload:
        """The upload; an open one that has expired is returned as aborted. ``lock`` as in ``get_dataset``.

        Raises:
            UploadNotFound
        """
        ...

    async def touch_upload(self, uid: str, ttl_s: float) -> None:
        """Let the upload expire in ``ttl_s`` from now.

        Raises:
            UploadNotOpen
        """
        ...

    async def set_base(self, uid: str, base: bytes) -> None:
        """Let the upload build on another commit."""
        ...

    async def close_upload(self, uid: str, state: UploadState) -> None:
        """Let the upload take nothing more."""
        ...

    async def add_source_files(self, upload_uid: str, files: Sequence[SourceFile]) -> int:
        """Add files and return how many there are now; naming one again changes nothing.

        Raises:
            SourceFileConflict: a path was named before with another digest or size; no file is added.
        """
        ...

    async def list_source_files(self, upload_uid: str, after: str, limit: int) -> Sequence[SourceFile]:
        """Files sorted by the bytes of their paths, from the one after ``after``."""
        ...

    def all_source_files(self, upload_uid: str) -> AsyncIterator[Sequence[SourceFile]]:
        """All files in that order, a few thousand at a time."""
        ...


class Rows(Protocol):
    """Chunks and packs."""

    async def find_chunks(self, upload_uid: str, layout: bytes, digests: Sequence[bytes]) -> frozenset[bytes]:
        """Those of the chunks that are stored, which from now on stay for this upload.

        A chunk whose details are not known (an older release stored it) counts as one that is not stored, so that it
        comes again, and ``finish_pack`` learns them.
        """
        ...

    async def describe_chunks(
        self, upload_uid: str, layout: bytes, digests: Sequence[bytes]
    ) -> Mapping[bytes, NewChunk]:
        """As ``find_chunks``, with what is known of each chunk but its statistics."""
        ...

    async def begin_pack(self, upload_uid: str, pack: str, size_bytes: int) -> None:
        """Note that the upload is about to store a pack, so that it is collected whatever happens next."""
        ...

    async def finish_pack(self, upload_uid: str, layout: bytes, pack: str, chunks: Sequence[PlacedChunk]) -> None:
        """Note that the pack is durable and where its chunks lie.

        A chunk that another upload has stored in the meantime keeps its first place, and stays for this upload; one
        whose details were not known, or whose first place is damaged, gets this one.
        """
        ...

    async def note_damage(self, pack: str) -> None:
        """Note that the pack's bytes are missing or wrong: its chunks count as not stored, so that they come again."""
        ...


class Collector(Protocol):
    """Finding and removing what dead uploads left."""

    async def expire_uploads(self) -> None:
        """Abort the open uploads that have expired, and forget those that have been dead for a week."""
        ...

    async def release_dead_upload(self, write_timeout_s: float) -> bool:
        """Drop what one upload that is not open holds alone (pins, trees, source files) and condemn the packs that
        nobody needs any more; false when there is no such upload. Chunks of condemned packs can no longer be found.

        An upload with a pack that has been in writing for less than ``write_timeout_s`` is left for later.
        """
        ...

    async def drop_unreachable_commit(self, ttl_s: float) -> bool:
        """Drop one commit that no branch, tag, version or open upload has led to for ``ttl_s``, with what it alone
        holds, and condemn the packs that nobody needs any more; false when there is no such commit.
        """
        ...

    async def condemned_packs(self, limit: int) -> Sequence[str]:
        """Packs whose bytes are to be removed: the condemned ones, and the retired ones whose time has come."""
        ...

    async def forget_packs(self, packs: Sequence[str]) -> None:
        """Note that the bytes are gone."""
        ...

    async def forget_requests(self) -> None:
        """Drop answers that are past their retention."""
        ...


class Replays(Protocol):
    """What was answered already (promise 4); see ``chassis.db.requests``."""

    async def first_result(self, method: str, request_id: str, body_digest: str) -> str | None:
        """What the first call with this id gave, or None if this is the first."""
        ...

    async def remember(self, method: str, request_id: str, body_digest: str, result: str) -> None:
        """Note what this call gave."""
        ...


class Transaction(
    Catalog,
    History,
    Uploads,
    Rows,
    Trees,
    Datastores,
    Views,
    Profiles,
    Checkpoints,
    Compactions,
    Collector,
    Replays,
    Protocol,
):
    """One transaction: all of it happens or none."""


class Store(Protocol):
    """Gives transactions."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction: commits when the block ends, rolls back when it raises."""
        ...
