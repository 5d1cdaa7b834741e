"""Packs of which little is needed are found, and replaced only if nothing has changed since."""

import dataclasses

import pytest

from services.dataset.compaction.store import LiveChunk, SparsePack
from services.dataset.model import Chunk, Placement, SemVer, Split, Upload, UploadState
from services.dataset.store import Store, Transaction
from tests.contract.dataset.builders import (
    HOUR_S,
    LAYOUT,
    World,
    begin_upload,
    chunks_named,
    collect,
    commit,
    digest,
    pack_named,
    put_pack,
    put_split,
)

DAY_S = 24 * HOUR_S
OLD, NEW = pack_named("old"), pack_named("new")


async def stored(
    store: Store, *live: str, pack: str = "old", dead: tuple[str, ...] = ("b", "c"), minor: int = 0
) -> Split:
    """A version made of ``live``, whose pack also holds chunks that nothing needs; no upload pins it any more."""
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, pack, *live, *dead)
        split = await put_split(tx, upload, *live)
        await commit(tx, upload, SemVer(1, minor, 0), split)
    assert await collect(store) == []
    return split


async def sparse(store: Store, share: float = 0.5, older_than_s: float = 0) -> list[SparsePack]:
    found, after = list[SparsePack](), 0
    while True:
        async with store.transaction() as tx:
            page = await tx.sparse_packs(after, 1, older_than_s, share)
        found += page.packs
        if page.last is None:
            return found
        after = page.last


def moved(*found: SparsePack) -> list[LiveChunk]:
    """The live chunks, each in a block of its own of the new pack."""
    chunks = [chunk for each in found for chunk in each.chunks]
    return [dataclasses.replace(chunk, placement=Placement(NEW, block, 7)) for block, chunk in enumerate(chunks)]


async def begin(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.begin_compacted(NEW, 500)


async def replace(store: Store, found: list[SparsePack], ttl_s: float = DAY_S) -> bool:
    await begin(store)
    async with store.transaction() as tx:
        return await tx.replace_packs(found, NEW, moved(*found), ttl_s)


async def listed(store: Store, split: Split) -> list[Chunk]:
    async with store.transaction() as tx:
        return list(await tx.list_chunks(split.tree, 0, split.tree.row_count, None, with_statistics=True))


async def condemned(store: Store) -> list[str]:
    async with store.transaction() as tx:
        return list(await tx.condemned_packs(100))


async def abort(tx: Transaction, upload: Upload) -> None:
    await tx.close_upload(upload.uid, UploadState.ABORTED)


async def test_a_pack_is_sparse_when_at_most_the_share_of_its_bytes_is_live(store: Store) -> None:
    await stored(store, "a")
    (found,) = await sparse(store, 1 / 3)
    place = Placement(OLD, 0, 0)
    assert found == SparsePack(OLD, LAYOUT, (LiveChunk(digest("a"), 10, 100, place),))
    assert await sparse(store, 0.33) == []
    assert await sparse(store, 0) == []


async def test_a_pack_that_is_young_or_pinned_is_left_alone(world: World) -> None:
    await stored(world.store, "a")
    assert await sparse(world.store, older_than_s=HOUR_S) == []
    await world.pass_time(HOUR_S)
    assert len(await sparse(world.store, older_than_s=HOUR_S)) == 1
    async with world.store.transaction() as tx:
        upload = await begin_upload(tx)
        await tx.find_chunks(upload.uid, LAYOUT, [digest("b")])
    assert await sparse(world.store, older_than_s=HOUR_S) == []


async def test_bytes_count_that_lie_in_a_pack_though_others_had_stored_the_same_before(store: Store) -> None:
    """Whose chunks are found elsewhere is as much of a waste as whose chunks nothing needs."""
    await stored(store, "a", "b", "c", pack="first", dead=())
    await stored(store, "d", dead=("a", "b", "c"), minor=1)
    (found,) = await sparse(store)
    assert (found.pack, [chunk.digest for chunk in found.chunks]) == (OLD, [digest("d")])


async def test_chunks_move_to_the_new_pack_and_stay_what_they_are(store: Store) -> None:
    splits = [await stored(store, "a"), await stored(store, "d", "e", pack="other", dead=("f", "g"), minor=1)]
    before = [chunk for split in splits for chunk in await listed(store, split)]
    found = await sparse(store)
    assert await replace(store, found)
    after = [chunk for split in splits for chunk in await listed(store, split)]
    assert [chunk.placement for chunk in after] == [Placement(NEW, block, 7) for block in range(3)]
    assert [dataclasses.replace(chunk, placement=before[0].placement) for chunk in after] == [
        dataclasses.replace(chunk, placement=before[0].placement) for chunk in before
    ]
    # All of the new pack is live.
    assert await sparse(store, 0.9) == []


async def test_what_nothing_needs_is_found_no_more(store: Store) -> None:
    await stored(store, "a")
    assert await replace(store, await sparse(store))
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        asked = [chunk.digest for chunk in chunks_named("a", "b", "c")]
        assert await tx.find_chunks(upload.uid, LAYOUT, asked) == {digest("a")}
        # It can come again.
        await put_pack(tx, upload, "again", "b")
        assert await tx.find_chunks(upload.uid, LAYOUT, asked) == {digest("a"), digest("b")}
        await abort(tx, upload)
    assert await collect(store) == [pack_named("again")]


async def test_a_replaced_pack_is_removed_when_its_time_has_come(world: World) -> None:
    await stored(world.store, "a")
    assert await replace(world.store, await sparse(world.store))
    assert await collect(world.store) == []
    await world.pass_time(DAY_S - 60)
    assert await collect(world.store) == []
    await world.pass_time(61)
    assert await collect(world.store) == [OLD]
    assert await collect(world.store) == []


async def test_a_pack_that_somebody_pins_meanwhile_is_not_replaced(store: Store) -> None:
    """The writer may rely on a chunk that no tree refers to yet."""
    await stored(store, "a")
    found = await sparse(store)
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        assert await tx.find_chunks(upload.uid, LAYOUT, [digest("b")]) == {digest("b")}
    assert not await replace(store, found)
    async with store.transaction() as tx:
        split = await put_split(tx, upload, "a", "b")
    assert [chunk.placement.pack for chunk in await listed(store, split)] == [OLD, OLD]


async def test_a_pack_of_which_more_is_needed_meanwhile_is_not_replaced(store: Store) -> None:
    await stored(store, "a")
    found = await sparse(store)
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await tx.find_chunks(upload.uid, LAYOUT, [digest("a"), digest("b")])
        split = await put_split(tx, upload, "a", "b")
        await commit(tx, upload, SemVer(1, 1, 0), split)
    assert await collect(store) == []  # and so nobody pins it any more
    assert not await replace(store, found)
    assert {chunk.placement.pack for chunk in await listed(store, split)} == {OLD}


async def test_a_pack_of_which_less_is_needed_meanwhile_is_not_replaced(store: Store) -> None:
    split = await stored(store, "a")
    (found,) = await sparse(store)
    gone = LiveChunk(digest("b"), 10, 100, Placement(OLD, 0, 10))
    assert not await replace(store, [dataclasses.replace(found, chunks=(*found.chunks, gone))])
    assert [chunk.placement.pack for chunk in await listed(store, split)] == [OLD]
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        assert await tx.find_chunks(upload.uid, LAYOUT, [digest("b")]) == {digest("b")}


async def test_of_packs_that_are_replaced_together_none_is_if_one_has_changed(store: Store) -> None:
    one, other = await stored(store, "a"), await stored(store, "d", pack="other", dead=("e", "f"), minor=1)
    found = await sparse(store)
    async with store.transaction() as tx:
        await tx.find_chunks((await begin_upload(tx)).uid, LAYOUT, [digest("e")])
    assert not await replace(store, found)
    places = [chunk.placement.pack for split in (one, other) for chunk in await listed(store, split)]
    assert places == [OLD, pack_named("other")]


async def test_two_that_replace_the_same_pack_do_it_once(store: Store) -> None:
    split = await stored(store, "a")
    found = await sparse(store)
    assert await replace(store, found)
    async with store.transaction() as tx:
        await tx.begin_compacted(pack_named("late"), 500)
    late = [dataclasses.replace(chunk, placement=Placement(pack_named("late"), 0, 0)) for chunk in found[0].chunks]
    async with store.transaction() as tx:
        assert not await tx.replace_packs(found, pack_named("late"), late, DAY_S)
    assert [chunk.placement.pack for chunk in await listed(store, split)] == [NEW]
    async with store.transaction() as tx:
        assert await tx.give_up_compacted(pack_named("late"), 0)
    assert await collect(store) == [pack_named("late")]


async def test_what_a_dead_process_was_writing_is_removed_and_what_a_living_one_writes_is_not(world: World) -> None:
    await stored(world.store, "a")
    found = await sparse(world.store)
    await begin(world.store)
    async with world.store.transaction() as tx:
        upload = await begin_upload(tx, ttl_s=30 * DAY_S)
        await tx.begin_pack(upload.uid, pack_named("upload's"), 100)
        await tx.retire_abandoned_packs(600, DAY_S)
    assert await collect(world.store) == []
    await world.pass_time(601)
    async with world.store.transaction() as tx:
        await tx.retire_abandoned_packs(600, DAY_S)
    # Its bytes may come late, so that they are removed late.
    assert await condemned(world.store) == []
    async with world.store.transaction() as tx:
        assert not await tx.replace_packs(found, NEW, moved(*found), DAY_S)
    await world.pass_time(DAY_S)
    assert await collect(world.store) == [NEW]
    async with world.store.transaction() as tx:
        assert not await tx.give_up_compacted(NEW, 0)


@pytest.mark.parametrize("ttl_s", [0, DAY_S])
async def test_giving_up_a_pack_that_chunks_have_moved_to_changes_nothing(world: World, ttl_s: float) -> None:
    """Who was not told that moving them has succeeded may try."""
    split = await stored(world.store, "a")
    assert await replace(world.store, await sparse(world.store))
    async with world.store.transaction() as tx:
        assert await tx.give_up_compacted(NEW, ttl_s)
    await world.pass_time(2 * DAY_S)
    assert await collect(world.store) == [OLD]
    assert [chunk.placement.pack for chunk in await listed(world.store, split)] == [NEW]


async def test_one_process_at_a_time_compacts(world: World) -> None:
    async with world.store.transaction() as tx:
        assert await tx.claim_compaction("me", 600)
        assert await tx.claim_compaction("me", 600)
        assert not await tx.claim_compaction("you", 600)
    await world.pass_time(601)
    async with world.store.transaction() as tx:
        assert await tx.claim_compaction("you", 600)
        assert not await tx.claim_compaction("me", 600)
        assert await tx.claim_compaction("you", 0)
    async with world.store.transaction() as tx:
        assert await tx.claim_compaction("me", 600)
