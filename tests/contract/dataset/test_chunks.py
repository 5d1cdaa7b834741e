"""What every store remembers of a chunk, and how it finds one again."""

import dataclasses

from headwater import tree
from services.dataset.model import Placement, Split, Tree, Upload, UploadState
from services.dataset.store import NewChunk, PlacedChunk, Store, Transaction
from tests.contract.dataset.builders import LAYOUT, begin_upload, collect, digest

FAST, SLOW = "blake3:" + 64 * "a", "sha256:" + 64 * "a"
FULL = NewChunk(digest("full"), 10, 8_000_000, ends_naturally=False, first_row_bytes=900, statistics=b"of full")
LAST = NewChunk(digest("last"), 5, 5_000, ends_naturally=True, first_row_bytes=700, statistics=b"of last")


async def put_pack(tx: Transaction, upload: Upload, pack: str, *chunks: NewChunk) -> None:
    await tx.begin_pack(upload.uid, pack, 1000)
    placed = [PlacedChunk(chunk, Placement(pack, block, 0)) for block, chunk in enumerate(chunks)]
    await tx.finish_pack(upload.uid, LAYOUT, pack, placed)


async def put_split(tx: Transaction, upload: Upload, *chunks: NewChunk) -> Tree:
    root = tree.split_root(tree.Node(chunk.digest, chunk.row_count) for chunk in chunks)
    size_bytes = sum(chunk.size_bytes for chunk in chunks)
    put = Tree(root.digest, LAYOUT, root.row_count, size_bytes, len(chunks))
    await tx.record_split(upload.uid, Split("train", put, b"schema"), chunks)
    return put


async def test_a_chunk_is_described_as_it_was_stored_to_whoever_finds_it(store: Store) -> None:
    async with store.transaction() as tx:
        upload, other = await begin_upload(tx), await begin_upload(tx)
        await put_pack(tx, upload, FAST, FULL, LAST)
        asked = [FULL.digest, digest("nobody's"), LAST.digest, FULL.digest]
        found = await tx.describe_chunks(other.uid, LAYOUT, asked)
        assert await tx.describe_chunks(other.uid, b"m" * 32, asked) == {}
    # Their statistics are for readers, who list chunks.
    assert found == {chunk.digest: dataclasses.replace(chunk, statistics=b"") for chunk in (FULL, LAST)}


async def test_what_is_described_stays_for_the_upload_that_asked(store: Store) -> None:
    async with store.transaction() as tx:
        first, second = await begin_upload(tx), await begin_upload(tx)
        await put_pack(tx, first, FAST, FULL)
        await put_pack(tx, first, SLOW, LAST)
        await tx.describe_chunks(second.uid, LAYOUT, [FULL.digest])
        await abort(tx, first)
    assert await collect(store) == [SLOW]
    async with store.transaction() as tx:
        await abort(tx, second)
    assert await collect(store) == [FAST]


async def abort(tx: Transaction, upload: Upload) -> None:
    await tx.close_upload(upload.uid, UploadState.ABORTED)


async def test_statistics_come_to_those_who_ask_for_them(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, FAST, FULL, LAST)
        put = await put_split(tx, upload, FULL, LAST)
        listed = await tx.list_chunks(put, 0, 15, None, with_statistics=True)
        plain = await tx.list_chunks(put, 0, 15, None)
    assert [chunk.statistics for chunk in listed] == [b"of full", b"of last"]
    assert [(chunk.ends_naturally, chunk.first_row_bytes) for chunk in listed] == [(False, 900), (True, 700)]
    assert plain == [dataclasses.replace(chunk, statistics=b"") for chunk in listed]


async def test_a_chunk_of_an_older_release_is_learnt_when_it_comes_again_and_stays_where_it_is(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, SLOW, NewChunk(FULL.digest, FULL.row_count, FULL.size_bytes))
        put = await put_split(tx, upload, FULL)
        assert await tx.find_chunks(upload.uid, LAYOUT, [FULL.digest]) == frozenset()
        await put_pack(tx, upload, FAST, FULL)
        assert await tx.find_chunks(upload.uid, LAYOUT, [FULL.digest]) == {FULL.digest}
        (listed,) = await tx.list_chunks(put, 0, 10, None, with_statistics=True)
    assert listed.placement == Placement(FAST, 0, 0)
    assert (listed.statistics, listed.first_row_bytes) == (FULL.statistics, FULL.first_row_bytes)


async def test_chunks_of_a_damaged_pack_count_as_not_stored_until_they_come_again(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, SLOW, FULL)
        put = await put_split(tx, upload, FULL)
        await tx.note_damage(SLOW)
        await tx.note_damage(FAST)  # of which nobody knows
        assert await tx.find_chunks(upload.uid, LAYOUT, [FULL.digest]) == frozenset()
        (listed,) = await tx.list_chunks(put, 0, 10, None)
        assert listed.placement == Placement(SLOW, 0, 0)
        await put_pack(tx, upload, FAST, FULL)
        assert await tx.find_chunks(upload.uid, LAYOUT, [FULL.digest]) == {FULL.digest}
        (listed,) = await tx.list_chunks(put, 0, 10, None)
    assert listed.placement == Placement(FAST, 0, 0)


async def test_packs_are_called_what_their_blobs_are_called(store: Store) -> None:
    """By either digest; the same hex digits under two schemes are two packs."""
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, FAST, FULL)
        await put_pack(tx, upload, SLOW, LAST)
        put = await put_split(tx, upload, FULL, LAST)
        assert [chunk.placement.pack for chunk in await tx.list_chunks(put, 0, 15, None)] == [FAST, SLOW]
