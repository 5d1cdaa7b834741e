"""What every store of the dataset service promises of checkpoints."""

import dataclasses

import pytest

from chassis.clock import SystemClock
from chassis.db.lease import LeaseLost
from chassis.ids import new_id
from headwater.names import BranchName, DatasetVersionName
from services.dataset.checkpoints.errors import CheckpointAlreadyExists, CheckpointHasNoRows
from services.dataset.checkpoints.model import Checkpoint, CheckpointOutcome, CheckpointState, checkpoint_name
from services.dataset.checkpoints.resolve import readable
from services.dataset.datasets import new_dataset
from services.dataset.errors import CheckpointNotFound, VersionNotFound
from services.dataset.history.append import append_commit
from services.dataset.history.definition import DataPath, PathKind
from services.dataset.history.model import Commit, Draft
from services.dataset.model import SemVer, Split, UploadState
from services.dataset.store import Store, Transaction
from tests.contract.dataset.builders import (
    DIGITS,
    World,
    begin_upload,
    collect,
    commit,
    digest,
    pack_named,
    put_pack,
    put_split,
)

FIRST = DatasetVersionName("default", "digits", "v1.0.0")
TTL_S = 30.0


async def begin_stored(tx: Transaction) -> Commit:
    """A version with rows."""
    upload = await begin_upload(tx)
    await put_pack(tx, upload, "p", "a")
    return (await commit(tx, upload, SemVer(1, 0, 0), await put_split(tx, upload, "a"))).commit


async def begin_place(tx: Transaction) -> Commit:
    """A version that is a place."""
    await tx.create_dataset(new_dataset(DIGITS, "ann"))
    draft = Draft(DIGITS, b"", (), "why", "ann", DataPath("d" * 32, PathKind.RELATIVE_PATH, "digits/"))
    return (await append_commit(tx, BranchName("default", "digits", "main"), draft, [])).commit


def checkpoint(name: str, state: CheckpointState, *splits: Split, copy: bool = True) -> Checkpoint:
    now = SystemClock().now()
    return Checkpoint(
        new_id(),
        checkpoint_name(FIRST, name),
        copy,
        state,
        "ann",
        now,
        digest=digest(name) if splits else b"",
        splits=splits,
    )


async def running(tx: Transaction, name: str = "copy") -> Checkpoint:
    return await tx.create_checkpoint(checkpoint(name, CheckpointState.RUNNING))


async def test_a_checkpoint_is_remembered_with_its_copy_and_listed_newest_first(store: Store) -> None:
    """M-24."""
    async with store.transaction() as tx:
        splits = (await begin_stored(tx)).splits
        with_copy = dataclasses.replace(checkpoint("one", CheckpointState.READY, *splits), profile="p")
        made = await tx.create_checkpoint(with_copy)
        await tx.create_checkpoint(checkpoint("two", CheckpointState.READY, copy=False))
    async with store.transaction() as tx:
        found = await tx.get_checkpoint(checkpoint_name(FIRST, "one"))
        assert found == made
        assert (found.splits, found.digest, found.profile) == (splits, digest("one"), "p")
        assert [each.name.checkpoint for each in await tx.list_checkpoints(FIRST, None, 10)] == ["two", "one"]
        older = await tx.list_checkpoints(FIRST, made.number + 1, 10)
        assert [each.name.checkpoint for each in older] == ["one"]
        with pytest.raises(CheckpointNotFound):
            await tx.get_checkpoint(checkpoint_name(FIRST, "three"))
        with pytest.raises(VersionNotFound):
            await tx.list_checkpoints(dataclasses.replace(FIRST, version="v9.0.0"), None, 10)
        for taken in ("one", "ONE"):
            with pytest.raises(CheckpointAlreadyExists):
                await running(tx, taken)


async def test_one_owner_at_a_time_makes_a_checkpoint_and_a_later_one_goes_on(world: World) -> None:
    """Promise 6: the attempt before learns that it is nobody any more."""
    async with world.store.transaction() as tx:
        await begin_place(tx)
        await running(tx)
        stale = await tx.claim_checkpoint("one", TTL_S)
        assert stale is not None
        assert await tx.claim_checkpoint("two", TTL_S) is None
        await tx.renew_checkpoint(stale, TTL_S)
    await world.pass_time(2 * TTL_S)
    async with world.store.transaction() as tx:
        claim = await tx.claim_checkpoint("two", TTL_S)
        assert claim is not None
        assert claim.token > stale.token
    async with world.store.transaction() as tx:
        with pytest.raises(LeaseLost):
            await tx.renew_checkpoint(stale, TTL_S)
        with pytest.raises(LeaseLost):
            await tx.end_checkpoint(stale, CheckpointOutcome(CheckpointState.FAILED, "late"))
    async with world.store.transaction() as tx:
        await tx.release_checkpoint(claim)
        again = await tx.claim_checkpoint("three", TTL_S)
        assert again is not None
        await tx.end_checkpoint(again, CheckpointOutcome(CheckpointState.FAILED, "because"))
    async with world.store.transaction() as tx:
        ended = await tx.get_checkpoint(checkpoint_name(FIRST, "copy"))
        assert (ended.state, ended.error) == (CheckpointState.FAILED, "because")
        assert await tx.claim_checkpoint("four", TTL_S) is None
    with pytest.raises(LeaseLost):
        async with world.store.transaction() as tx:
            await tx.end_checkpoint(again, CheckpointOutcome(CheckpointState.READY))


async def test_a_copy_holds_on_to_its_rows_when_the_upload_is_gone(world: World) -> None:
    async with world.store.transaction() as tx:
        await begin_place(tx)
        await running(tx)
        claim = await tx.claim_checkpoint("one", TTL_S)
        assert claim is not None
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "p", "a")
        await put_pack(tx, upload, "q", "b")
        split = await put_split(tx, upload, "a")
        await tx.end_checkpoint(
            claim, CheckpointOutcome(CheckpointState.READY, digest=digest("a"), splits=(split,), profile="p")
        )
        await tx.close_upload(upload.uid, UploadState.ABORTED)
    await world.pass_time(3600)
    assert await collect(world.store) == [pack_named("q")]
    async with world.store.transaction() as tx:
        found = await tx.get_checkpoint(checkpoint_name(FIRST, "copy"))
        assert (found.state, found.splits) == (CheckpointState.READY, (split,))
        assert [chunk.digest for chunk in await tx.list_chunks(split.tree, 0, 10, None)] == [digest("a")]


async def test_readers_get_the_newest_complete_copy_of_a_place_or_the_one_they_name(store: Store) -> None:
    """M-26."""
    async with store.transaction() as tx:
        place = await begin_place(tx)
        assert (await readable(tx, place)).splits == ()
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "p", "a", "b")
        old, new = await put_split(tx, upload, "a"), await put_split(tx, upload, "b")
        await tx.create_checkpoint(checkpoint("old", CheckpointState.READY, old))
        await tx.create_checkpoint(checkpoint("new", CheckpointState.READY, new))
        await tx.create_checkpoint(checkpoint("bare", CheckpointState.READY, copy=False))
        await running(tx, "next")
    async with store.transaction() as tx:
        place = (await tx.get_version(DIGITS, SemVer(1, 0, 0))).commit
        found = await readable(tx, place)
        assert (found.splits, found.digest, found.checkpoint) == ((new,), digest("new"), "new")
        assert (await readable(tx, place, "old")).splits == (old,)
        for without in ("bare", "next"):
            with pytest.raises(CheckpointHasNoRows):
                await readable(tx, place, without)
        with pytest.raises(CheckpointNotFound):
            await readable(tx, place, "none")


async def test_rows_that_are_stored_are_read_themselves_whatever_copies_there_are(store: Store) -> None:
    async with store.transaction() as tx:
        stored = await begin_stored(tx)
        await tx.create_checkpoint(checkpoint("copy", CheckpointState.READY, *stored.splits))
        stored = (await tx.get_version(DIGITS, SemVer(1, 0, 0))).commit
        found = await readable(tx, stored)
        assert (found.splits, found.checkpoint) == (stored.splits, "")
