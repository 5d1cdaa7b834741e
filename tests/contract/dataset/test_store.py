"""What every store of the dataset service promises of datasets, uploads and rows; run against each of them."""

import pytest

from headwater.names import DatasetName, UploadName
from services.dataset.datasets import new_dataset
from services.dataset.errors import (
    Collected,
    DatasetAlreadyExists,
    DatasetNotFound,
    SourceFileConflict,
    UploadNotFound,
    UploadNotOpen,
    VersionNotFound,
)
from services.dataset.model import Placement, SemVer, SourceFile, UploadState
from services.dataset.store import Store
from tests.contract.dataset.builders import (
    DIGITS,
    HOUR_S,
    LAYOUT,
    World,
    begin_upload,
    collect,
    commit,
    digest,
    pack_named,
    put_pack,
    put_split,
)


async def test_a_dataset_is_found_by_its_name(store: Store) -> None:
    async with store.transaction() as tx:
        created = await tx.create_dataset(new_dataset(DIGITS, "ann", "Digits", "Scanned digits."))
    async with store.transaction() as tx:
        found = await tx.get_dataset(DIGITS, lock=True)
    assert found == created
    assert (found.display_name, found.description, found.created_by) == ("Digits", "Scanned digits.", "ann")
    assert found.latest is None


async def test_a_name_that_differs_in_case_only_is_taken(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.create_dataset(new_dataset(DIGITS, "ann"))
    async with store.transaction() as tx:
        with pytest.raises(DatasetAlreadyExists):
            await tx.create_dataset(new_dataset(DatasetName("default", "Digits"), "bob"))
        # The transaction goes on: the caller may want to look at what is there.
        assert (await tx.get_dataset(DIGITS)).created_by == "ann"
        await tx.create_dataset(new_dataset(DatasetName("other", "Digits"), "bob"))


async def test_what_does_not_exist_is_not_found(store: Store) -> None:
    async with store.transaction() as tx:
        with pytest.raises(DatasetNotFound):
            await tx.get_dataset(DIGITS)
        with pytest.raises(DatasetNotFound):
            await tx.get_version(DIGITS, SemVer(1, 0, 0))
        upload = await begin_upload(tx)
        with pytest.raises(VersionNotFound):
            await tx.get_version(DIGITS, SemVer(1, 0, 0))
        with pytest.raises(UploadNotFound):
            await tx.get_upload(UploadName("default", "digits", "nothing"))
        with pytest.raises(UploadNotFound):
            await tx.get_upload(UploadName("default", "other", upload.uid))


async def test_datasets_are_listed_by_name_after_a_name(store: Store) -> None:
    async with store.transaction() as tx:
        for name in ("b", "a", "C", "d"):
            await tx.create_dataset(new_dataset(DatasetName("default", name), "ann"))
        await tx.create_dataset(new_dataset(DatasetName("other", "a2"), "ann"))
        listed = [dataset.name.dataset for dataset in await tx.list_datasets("default", "", 10)]
        assert listed == ["C", "a", "b", "d"]
        assert [dataset.name.dataset for dataset in await tx.list_datasets("default", "a", 1)] == ["b"]


async def test_a_transaction_that_raises_leaves_nothing(store: Store) -> None:
    async def create_and_fail() -> None:
        async with store.transaction() as tx:
            await tx.create_dataset(new_dataset(DIGITS, "ann"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await create_and_fail()
    async with store.transaction() as tx:
        assert await tx.list_datasets("default", "", 10) == []


async def test_a_version_is_found_with_all_it_says(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "pack", "a", "b")
        test, train = await put_split(tx, upload, "b", split="test"), await put_split(tx, upload, "a", "b")
        added = await commit(tx, upload, SemVer(1, 0, 0), test, train)
    async with store.transaction() as tx:
        assert await tx.get_version(DIGITS, SemVer(1, 0, 0)) == added
    assert added.splits == (test, train)
    assert added.commit.derived_from == ("projects/default/pipelines/prep/versions/1",)
    assert (added.commit.row_count, added.commit.size_bytes) == (30, 300)


async def test_versions_are_listed_newest_first_by_number_not_by_text(store: Store) -> None:
    numbers = [SemVer(1, 0, 0), SemVer(1, 9, 0), SemVer(1, 10, 0), SemVer(2, 0, 0)]
    async with store.transaction() as tx:
        for number in numbers:
            upload = await begin_upload(tx)
            await commit(tx, upload, number, await put_split(tx, upload))
        listed = await tx.list_versions(DIGITS, None, 10)
        assert [version.version for version in listed] == numbers[::-1]
        below = await tx.list_versions(DIGITS, SemVer(1, 10, 0), 1)
        assert [version.version for version in below] == [SemVer(1, 9, 0)]


async def test_the_last_put_of_a_split_counts(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "pack", "a", "b")
        await put_split(tx, upload, "a")
        other = await put_split(tx, upload, "b", split="test")
        last = await put_split(tx, upload, "a", "b")
        assert (await tx.get_upload(upload.name)).splits == (other, last)


async def test_chunks_are_listed_by_the_rows_they_hold(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "pack", "a", "b", "c")
        # The same rows may come twice in a split.
        tree = (await put_split(tx, upload, "a", "b", "a", "c")).tree

        async def first_rows(first: int, end: int, limit: int | None = None) -> list[int]:
            return [chunk.first_row for chunk in await tx.list_chunks(tree, first, end, limit)]

        assert await first_rows(0, 40) == [0, 10, 20, 30]
        assert await first_rows(9, 11) == [0, 10]
        assert await first_rows(10, 20) == [10]
        assert await first_rows(35, 36) == [30]
        assert await first_rows(0, 40, limit=2) == [0, 10]
        (chunk,) = await tx.list_chunks(tree, 20, 21, None)
        assert chunk.digest == digest("a")
        assert (chunk.row_count, chunk.size_bytes) == (10, 100)
        assert chunk.placement == Placement(pack_named("pack"), 0, 0)


async def test_a_split_of_chunks_that_are_not_stored_is_refused(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "pack", "a")
        with pytest.raises(Collected):
            await put_split(tx, upload, "a", "missing")


async def test_chunks_are_found_in_their_layout_only(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "pack", "a")
        asked = [digest("a"), digest("b")]
        assert await tx.find_chunks(upload.uid, LAYOUT, asked) == {digest("a")}
        assert await tx.find_chunks(upload.uid, b"m" * 32, asked) == frozenset()


async def test_a_chunk_that_two_uploads_store_keeps_its_first_place(store: Store) -> None:
    async with store.transaction() as tx:
        first, second = await begin_upload(tx), await begin_upload(tx)
        await put_pack(tx, first, "first", "a")
        await put_pack(tx, second, "second", "a", "b")
        tree = (await put_split(tx, second, "a", "b")).tree
        places = [chunk.placement.pack for chunk in await tx.list_chunks(tree, 0, 20, None)]
        assert places == [pack_named("first"), pack_named("second")]
        await tx.close_upload(first.uid, UploadState.ABORTED)
    # The second upload never asked for the first one's chunk, yet depends on it now.
    assert await collect(store) == []


async def test_an_upload_expires_unless_it_is_used(world: World) -> None:
    async with world.store.transaction() as tx:
        idle, used = await begin_upload(tx, HOUR_S), await begin_upload(tx, HOUR_S)
    await world.pass_time(0.9 * HOUR_S)
    async with world.store.transaction() as tx:
        await tx.touch_upload(used.uid, HOUR_S)
    await world.pass_time(0.2 * HOUR_S)
    async with world.store.transaction() as tx:
        assert (await tx.get_upload(idle.name)).state is UploadState.ABORTED
        assert (await tx.get_upload(used.name)).state is UploadState.OPEN
        with pytest.raises(UploadNotOpen):
            await tx.touch_upload(idle.uid, HOUR_S)


async def test_what_an_expired_upload_stored_is_condemned_and_can_no_longer_be_found(world: World) -> None:
    async with world.store.transaction() as tx:
        upload = await begin_upload(tx, HOUR_S)
        await put_pack(tx, upload, "pack", "a")
        await put_split(tx, upload, "a")
        await tx.add_source_files(upload.uid, [SourceFile("a.png", digest("file"), 1)])
    assert await collect(world.store) == []
    await world.pass_time(2 * HOUR_S)
    assert await collect(world.store) == [pack_named("pack")]
    async with world.store.transaction() as tx:
        other = await begin_upload(tx)
        assert await tx.find_chunks(other.uid, LAYOUT, [digest("a")]) == frozenset()
        assert await tx.list_source_files(upload.uid, "", 10) == []
    assert await collect(world.store) == []


async def test_what_a_version_or_another_upload_uses_is_kept(store: Store) -> None:
    async with store.transaction() as tx:
        committed, aborted, open_one = await begin_upload(tx), await begin_upload(tx), await begin_upload(tx)
        await put_pack(tx, committed, "committed", "a")
        split = await put_split(tx, committed, "a")
        await tx.add_source_files(committed.uid, [SourceFile("a.png", digest("file"), 1)])
        await commit(tx, committed, SemVer(1, 0, 0), split)
        # The aborted upload has the very same split as the version, and rows that the open one has found.
        await put_split(tx, aborted, "a")
        await put_pack(tx, aborted, "shared", "b")
        await put_pack(tx, aborted, "alone", "c")
        assert await tx.find_chunks(open_one.uid, LAYOUT, [digest("b")])
        await tx.close_upload(aborted.uid, UploadState.ABORTED)
    assert await collect(store) == [pack_named("alone")]
    async with store.transaction() as tx:
        await put_split(tx, open_one, "a", "b")
        assert len(await tx.list_chunks(split.tree, 0, 10, None)) == 1
        assert len(await tx.list_source_files(committed.uid, "", 10)) == 1


async def test_a_split_that_was_put_again_gives_its_rows_up_once_the_upload_is_committed(store: Store) -> None:
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await put_pack(tx, upload, "before", "a")
        await put_split(tx, upload, "a")
        await put_pack(tx, upload, "after", "b")
        await commit(tx, upload, SemVer(1, 0, 0), await put_split(tx, upload, "b"))
    assert await collect(store) == [pack_named("before")]


async def test_an_upload_whose_pack_is_being_written_is_left_until_that_must_have_ended(world: World) -> None:
    async with world.store.transaction() as tx:
        upload = await begin_upload(tx)
        await tx.begin_pack(upload.uid, pack_named("half"), 1000)
        await tx.close_upload(upload.uid, UploadState.ABORTED)
    assert await collect(world.store) == []
    await world.pass_time(HOUR_S)
    assert await collect(world.store) == [pack_named("half")]
    async with world.store.transaction() as tx:
        with pytest.raises(Collected):
            await tx.finish_pack(upload.uid, LAYOUT, pack_named("half"), [])


async def test_an_upload_without_a_version_is_forgotten_after_a_week(world: World) -> None:
    async with world.store.transaction() as tx:
        upload = await begin_upload(tx)
        await tx.close_upload(upload.uid, UploadState.ABORTED)
    await collect(world.store)
    await world.pass_time(6 * 86_400)
    await collect(world.store)
    async with world.store.transaction() as tx:
        assert (await tx.get_upload(upload.name)).state is UploadState.ABORTED
    await world.pass_time(2 * 86_400)
    await collect(world.store)
    async with world.store.transaction() as tx:
        with pytest.raises(UploadNotFound):
            await tx.get_upload(upload.name)


async def test_source_files_are_kept_once_and_sorted_by_the_bytes_of_their_paths(store: Store) -> None:
    paths = ["b/1.png", "a.png", "B.png", "é.png", "a/1.png"]
    files = [SourceFile(path, digest(path), len(path)) for path in paths]
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        assert await tx.add_source_files(upload.uid, files[:3]) == 3
        assert await tx.add_source_files(upload.uid, [*files[2:], files[4]]) == 5
        expected = sorted(files, key=lambda file: file.path.encode())
        assert await tx.list_source_files(upload.uid, "", 10) == expected
        assert await tx.list_source_files(upload.uid, expected[1].path, 2) == expected[2:4]
        assert [file async for page in tx.all_source_files(upload.uid) for file in page] == expected


@pytest.mark.parametrize("second", [SourceFile("a", b"2" * 32, 1), SourceFile("a", b"1" * 32, 2)])
async def test_a_source_file_cannot_change(store: Store, second: SourceFile) -> None:
    first = SourceFile("a", b"1" * 32, 1)
    async with store.transaction() as tx:
        upload = await begin_upload(tx)
        await tx.add_source_files(upload.uid, [first])
    with pytest.raises(SourceFileConflict):
        async with store.transaction() as tx:
            await tx.add_source_files(upload.uid, [SourceFile("b", b"3" * 32, 1), second])
    async with store.transaction() as tx:
        assert await tx.list_source_files(upload.uid, "", 10) == [first]
        with pytest.raises(SourceFileConflict):
            await tx.add_source_files(upload.uid, [SourceFile("c", b"1" * 32, 1), SourceFile("c", b"2" * 32, 1)])


async def test_an_answer_is_remembered_with_its_request(store: Store) -> None:
    async with store.transaction() as tx:
        assert await tx.first_result("CreateUpload", "id", "body") is None
        await tx.remember("CreateUpload", "id", "body", "result")
    async with store.transaction() as tx:
        assert await tx.first_result("CreateUpload", "id", "body") == "result"
        await tx.forget_requests()
