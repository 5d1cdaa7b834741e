"""Use cases of checkpoints: create, look up, list. Copies of places are made by ``imports``."""

from collections.abc import Callable

from chassis.clock import SystemClock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import CheckpointName, DatasetVersionName
from services.dataset.checkpoints.model import Checkpoint, CheckpointState
from services.dataset.datasets import version_named
from services.dataset.history.resolve import check_usable
from services.dataset.profiles import profiles
from services.dataset.profiles.model import ProfileSubject
from services.dataset.store import Store, Transaction


class Checkpoints:
    """Checkpoints. ``size`` and ``token`` are those of AIP-158."""

    def __init__(self, store: Store, wake: Callable[[], None] = lambda: None) -> None:
        """``wake`` is called when there is a copy to make."""
        self._store = store
        self._wake = wake

    async def create(
        self, name: CheckpointName, *, materialize: bool, author: str, request_id: str, body: str
    ) -> Checkpoint:
        """Begin a checkpoint, and always a new profile with it (M-25).

        A copy of stored rows refers to the same trees, and is complete at once. A copy of a place is made in the
        background; its profile is that of the copy, and begins when that is complete.

        Raises:
            DatasetNotFound, VersionNotFound, InvalidVersion, CheckpointAlreadyExists, RequestIdReused
            VersionArchived
        """
        version = DatasetVersionName(name.project, name.dataset, name.version)
        async with self._store.transaction() as tx:
            if await tx.first_result("CreateCheckpoint", request_id, body) is not None:
                return await tx.get_checkpoint(name)
            commit = (await version_named(tx, version)).commit
            check_usable(commit)
            is_import = materialize and not commit.splits
            copied = name.checkpoint if materialize else ""
            checkpoint = Checkpoint(
                uid=new_id(),
                name=name,
                materialized=materialize,
                state=CheckpointState.RUNNING if is_import else CheckpointState.READY,
                created_by=author,
                create_time=SystemClock().now(),
                digest=commit.digest if materialize else b"",
                splits=commit.splits if materialize else (),
                profile="" if is_import else await begin_profile(tx, version, author, copied),
            )
            made = await tx.create_checkpoint(checkpoint)
            await tx.remember("CreateCheckpoint", request_id, body, str(name))
        if is_import:
            self._wake()
        return made

    async def get(self, name: CheckpointName) -> Checkpoint:
        """One checkpoint, or DatasetNotFound, VersionNotFound, InvalidVersion, CheckpointNotFound."""
        async with self._store.transaction() as tx:
            return await tx.get_checkpoint(name)

    async def list(self, version: DatasetVersionName, size: int, token: str) -> Page[Checkpoint]:
        """The checkpoints of a version, newest first."""
        limit, query = page_size(size), query_digest("checkpoints", version)
        below = decode_token(token, query, (int,))
        async with self._store.transaction() as tx:
            rows = await tx.list_checkpoints(version, int(below[0]) if below else None, limit + 1)
        return page_of(rows, limit, key=lambda checkpoint: (checkpoint.number,), query=query)


async def begin_profile(tx: Transaction, version: DatasetVersionName, author: str, checkpoint: str) -> str:
    """Begin to profile the copy that the checkpoint holds, or what readers of the version get; returns its name.

    Raises:
        VersionArchived
    """
    return str((await profiles.begin_profile(tx, ProfileSubject(version, checkpoint=checkpoint), author)).name)
