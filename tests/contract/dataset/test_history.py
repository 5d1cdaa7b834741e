"""What every store of the dataset service promises of commits, branches, tags and versions."""

import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from headwater.names import BranchName, CommitName, DatasetName, TagName
from services.dataset.datasets import new_dataset
from services.dataset.errors import DatasetNotFound, VersionNotFound, VersionNotGreater
from services.dataset.history.append import append_commit, forward_branch, name_commit, new_branch
from services.dataset.history.definition import Dataflow, DataPath, Definition, PathKind
from services.dataset.history.errors import (
    BranchAlreadyExists,
    BranchMoved,
    BranchNotFound,
    CommitAmbiguous,
    CommitHasVersion,
    CommitNotFound,
    InvalidCommit,
    InvalidReference,
    TagAlreadyExists,
    TagNotFound,
    VersionArchived,
)
from services.dataset.history.graph import Graph, merge_base, newest_first
from services.dataset.history.model import (
    About,
    Commit,
    DeclaredStatistics,
    Draft,
    Provenance,
    Tag,
    Version,
    VersionState,
)
from services.dataset.history.resolve import commit_named
from services.dataset.model import SemVer, UploadState, UploadTarget
from services.dataset.store import Store, Transaction
from tests.contract.dataset.builders import (
    DIGITS,
    HOUR_S,
    LAYOUT,
    World,
    begin_upload,
    collect,
    digest,
    pack_named,
    put_pack,
    put_split,
)

DAY_S = 86_400.0
MAIN = BranchName("default", "digits", "main")
SIDE = BranchName("default", "digits", "side")


def draft(content: str, definition: Definition | None = None) -> Draft:
    return Draft(DIGITS, digest(content), (), "because", "ann", definition)


async def begin(tx: Transaction, content: str = "first") -> Commit:
    """The first commit of a new dataset."""
    await tx.create_dataset(new_dataset(DIGITS, "ann"))
    return (await append_commit(tx, MAIN, draft(content), [])).commit


async def grow(tx: Transaction, branch: BranchName, content: str, *merged: bytes) -> Commit:
    head = (await tx.get_branch(branch)).head
    return (await append_commit(tx, branch, draft(content), [head, *merged])).commit


async def fork(tx: Transaction, branch: BranchName, commit: Commit) -> None:
    await tx.create_branch(new_branch(branch, commit.id, "ann"))


async def tag(tx: Transaction, name: str, commit: Commit) -> Tag:
    return await tx.create_tag(Tag(TagName("default", "digits", name), commit.id, "why", "ann", commit.create_time))


async def test_the_first_commit_begins_main_and_each_one_there_becomes_the_next_version(store: Store) -> None:
    """R-34."""
    async with store.transaction() as tx:
        first = await begin(tx)
        revision = (await tx.get_dataset(DIGITS)).revision
        second = await append_commit(tx, MAIN, draft("second"), [first.id])
    async with store.transaction() as tx:
        assert first.parents == ()
        assert second.commit.parents == (first.id,)
        assert second.created
        assert second.commit.number > first.number
        assert second.commit.create_time >= first.create_time
        branch = await tx.get_branch(MAIN)
        assert (branch.head, branch.created_by, branch.revision) == (second.commit.id, "ann", 2)
        assert second.version is not None
        assert (second.version.version, second.version.parent) == (SemVer(1, 1, 0), SemVer(1, 0, 0))
        dataset = await tx.get_dataset(DIGITS)
        assert (dataset.latest, dataset.revision) == (SemVer(1, 1, 0), revision + 1)
        assert await tx.get_commit(DIGITS, second.commit.id) == second.commit
        named = (await tx.get_commit(DIGITS, first.id)).named
        assert named is not None
        assert (named.version, named.state) == (SemVer(1, 0, 0), VersionState.ACTIVE)


async def test_a_commit_to_another_branch_gets_a_version_only_when_asked_for(store: Store) -> None:
    async with store.transaction() as tx:
        first = await begin(tx)
        await fork(tx, SIDE, first)
        second = await append_commit(tx, SIDE, draft("second"), [first.id])
        assert second.version is None
        third = await append_commit(tx, SIDE, draft("third"), [second.commit.id], version=SemVer(2, 0, 0))
        assert third.version is not None
        assert (await tx.get_dataset(DIGITS)).latest == SemVer(2, 0, 0)
        assert (await tx.get_branch(MAIN)).head == first.id


async def test_a_branch_that_has_moved_is_compared_and_not_set(store: Store) -> None:
    """Promise 3."""
    async with store.transaction() as tx:
        first = await begin(tx)
        second = await grow(tx, MAIN, "second")
    for parents in ([first.id], []):
        with pytest.raises(BranchMoved) as refusal:
            async with store.transaction() as tx:
                await append_commit(tx, MAIN, draft("third"), parents)
        assert refusal.value.metadata["head"] == second.id.hex()
    async with store.transaction() as tx:
        assert (await tx.get_branch(MAIN)).head == second.id
        with pytest.raises(BranchNotFound):
            await append_commit(tx, SIDE, draft("third"), [])


async def test_content_that_the_head_has_makes_no_commit_wherever_the_head_is(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        second = await grow(tx, MAIN, "second")
        again = await append_commit(tx, MAIN, draft("second"), [])
        assert (again.commit, again.created) == (second, False)
        assert again.version is not None
        # Another definition is another commit (M-18), and so is a merge, which says more than its rows.
        flow = Dataflow('{"step": 1}', ("projects/default/pipelines/p/versions/1.0.0",))
        recorded = await append_commit(tx, MAIN, draft("second", flow), [second.id])
        assert recorded.created
        assert not (await append_commit(tx, MAIN, draft("second", flow), [second.id])).created
        merged = await append_commit(tx, MAIN, draft("second", flow), [recorded.commit.id, second.id])
        assert (merged.created, merged.commit.parents) == (True, (recorded.commit.id, second.id))


@pytest.mark.parametrize(
    "definition",
    [
        None,
        Dataflow('{"steps": ["ä"]}', ("projects/default/datasets/raw/versions/v1.0.0",)),
        DataPath("d" * 32, PathKind.RELATIVE_PATH, "digits/", "none"),
        DataPath("d" * 32, PathKind.SQL_QUERY, "SELECT 1"),
    ],
)
async def test_a_commit_keeps_its_definition(store: Store, definition: Definition | None) -> None:
    """M-18."""
    async with store.transaction() as tx:
        await begin(tx)
        head = (await tx.get_branch(MAIN)).head
        made = (await append_commit(tx, MAIN, draft("second", definition), [head])).commit
        assert (await tx.get_commit(DIGITS, made.id)).definition == definition


async def test_a_branch_goes_forward_and_what_it_comes_to_gets_a_version_if_it_has_none(store: Store) -> None:
    async with store.transaction() as tx:
        first = await begin(tx)
        await fork(tx, SIDE, first)
        second = await grow(tx, SIDE, "second")
        with pytest.raises(BranchMoved):
            await forward_branch(tx, MAIN, second.id, second)
        moved = await forward_branch(tx, MAIN, first.id, second)
        assert moved.version is not None
        assert (moved.version.version, (await tx.get_branch(MAIN)).head) == (SemVer(1, 1, 0), second.id)
        back = await forward_branch(tx, MAIN, second.id, first)
        assert back.version is not None
        assert back.version.version == SemVer(1, 0, 0)


async def test_a_version_names_one_commit_and_never_goes_back(store: Store) -> None:
    async with store.transaction() as tx:
        first = await begin(tx)
        await fork(tx, SIDE, first)
        second = await grow(tx, SIDE, "second")
        with pytest.raises(CommitHasVersion):
            await name_commit(tx, first, SemVer(3, 0, 0), None)
        with pytest.raises(VersionNotGreater):
            await name_commit(tx, second, SemVer(1, 0, 0), None)
        named = await name_commit(tx, second, SemVer(3, 0, 0), About("About it."))
        assert (named.commit.id, named.about.description) == (second.id, "About it.")
        assert [each.version for each in await tx.list_versions(DIGITS, None, 10)] == [SemVer(3, 0, 0), SemVer(1, 0, 0)]


async def test_what_is_said_about_a_version_changes_and_its_commit_does_not(store: Store) -> None:
    async with store.transaction() as tx:
        await begin(tx)
        before = await tx.get_version(DIGITS, SemVer(1, 0, 0))
        about = About("Text.", Provenance("NIST", "LeCun", "CC"), DeclaredStatistics((28, 28, 1), 10))
        change = dataclasses.replace(before, about=about, state=VersionState.DEPRECATED, state_message="old")
        await tx.update_version(change)
    async with store.transaction() as tx:
        after = await tx.get_version(DIGITS, SemVer(1, 0, 0))
        assert after == dataclasses.replace(change, revision=2)
        assert after.commit == before.commit
        assert after.commit.named is not None
        assert (after.commit.named.state, after.commit.named.state_message) == (VersionState.DEPRECATED, "old")


async def test_branches_and_tags_are_listed_by_name_and_share_their_names(store: Store) -> None:
    async with store.transaction() as tx:
        first = await begin(tx)
        for name in ("b", "a", "C"):
            await fork(tx, dataclasses.replace(MAIN, branch=name), first)
        for name in ("z", "y"):
            await tag(tx, name, first)
        for name in ("A", "Z", "main", "MAIN"):
            with pytest.raises(BranchAlreadyExists):
                await fork(tx, dataclasses.replace(MAIN, branch=name), first)
            with pytest.raises(TagAlreadyExists):
                await tag(tx, name, first)
    async with store.transaction() as tx:
        listed = [branch.name.branch for branch in await tx.list_branches(DIGITS, "", 10)]
        assert listed == ["C", "a", "b", "main"]
        assert [branch.name.branch for branch in await tx.list_branches(DIGITS, "a", 1)] == ["b"]
        assert [each.name.tag for each in await tx.list_tags(DIGITS, "", 10)] == ["y", "z"]
        assert (await tx.get_tag(TagName("default", "digits", "y"))).message == "why"
        await tx.delete_tag(TagName("default", "digits", "y"))
        await tx.delete_branch(dataclasses.replace(MAIN, branch="a"))
        await fork(tx, dataclasses.replace(MAIN, branch="Y"), first)
        assert [each.name.tag for each in await tx.list_tags(DIGITS, "", 10)] == ["z"]


async def test_what_is_not_in_the_history_is_not_found(store: Store) -> None:
    other = DatasetName("default", "other")
    async with store.transaction() as tx:
        with pytest.raises(DatasetNotFound):
            await tx.get_branch(MAIN)
        with pytest.raises(DatasetNotFound):
            await tx.get_tag(TagName("default", "digits", "a"))
        with pytest.raises(DatasetNotFound):
            await tx.get_commit(DIGITS, bytes(32))
        first = await begin(tx)
        await tx.create_dataset(new_dataset(other, "ann"))
        with pytest.raises(CommitNotFound):
            await tx.get_commit(other, first.id)
        with pytest.raises(CommitNotFound):
            await tx.get_commits(DIGITS, [first.id, bytes(32)])
        with pytest.raises(BranchNotFound):
            await tx.get_branch(SIDE)
        with pytest.raises(TagNotFound):
            await tx.delete_tag(TagName("default", "digits", "main"))
        with pytest.raises(VersionNotFound):
            await tx.get_version(other, SemVer(1, 0, 0))


async def test_a_commit_is_found_by_every_name_it_has(store: Store) -> None:
    async with store.transaction() as tx:
        first = await begin(tx)
        second = await grow(tx, MAIN, "second")
        await tag(tx, "best", first)
        for name, commit in (
            ("versions/v1.0.0", first),
            ("branches/main", second),
            ("tags/best", first),
            (f"commits/{first.id.hex()}", first),
            (f"commits/{first.id.hex()[:9]}", first),
            (f"commits/{second.id.hex()[:8]}", second),
        ):
            assert await commit_named(tx, f"{DIGITS}/{name}") == commit
        for name, refusal in (
            ("versions/v9.0.0", VersionNotFound),
            ("branches/best", BranchNotFound),
            ("tags/main", TagNotFound),
            (f"commits/{'0' * 64}", CommitNotFound),
            (f"commits/{'0' * 8}", CommitNotFound),
            ("commits/1234567", InvalidCommit),
            ("commits/ABCDEF0123", InvalidCommit),
            (f"commits/{'0' * 65}", InvalidCommit),
            ("uploads/a", InvalidReference),
            ("branches/a/b", InvalidReference),
        ):
            with pytest.raises(refusal):
                await commit_named(tx, f"{DIGITS}/{name}")


async def test_digits_that_two_commits_begin_with_name_neither(store: Store) -> None:
    async with store.transaction() as tx:
        first = await begin(tx)
        for last in (b"\x01", b"\x02"):
            await tx.add_commit(dataclasses.replace(first, id=b"same" + bytes(27) + last, parents=(first.id,)))
        with pytest.raises(CommitAmbiguous):
            await commit_named(tx, str(CommitName("default", "digits", b"same".hex())))
        found = await commit_named(tx, str(CommitName("default", "digits", (b"same" + bytes(27) + b"\x02").hex()[:64])))
        assert found.id[-1] == 2


async def test_a_commit_of_an_archived_version_may_not_be_used_by_whatever_name(store: Store) -> None:
    """M-19."""
    async with store.transaction() as tx:
        first = await begin(tx)
        version = await tx.get_version(DIGITS, SemVer(1, 0, 0))
        archived = dataclasses.replace(version, state=VersionState.ARCHIVED, state_message="wrong labels")
        await tx.update_version(archived)
        for name in ("versions/v1.0.0", "branches/main", f"commits/{first.id.hex()}"):
            with pytest.raises(VersionArchived) as refusal:
                await commit_named(tx, f"{DIGITS}/{name}")
            assert refusal.value.metadata["why"] == "wrong labels"
            assert (await commit_named(tx, f"{DIGITS}/{name}", archived=True)).id == first.id


async def test_commits_come_newest_first_and_of_a_merge_both_sides(store: Store) -> None:
    async with store.transaction() as tx:
        a = await begin(tx, "a")
        await fork(tx, SIDE, a)
        b, c = await grow(tx, MAIN, "b"), await grow(tx, SIDE, "c")
        d, e = await grow(tx, MAIN, "d"), await grow(tx, SIDE, "e")
        m = await grow(tx, MAIN, "m", e.id)
        f = await grow(tx, MAIN, "f")
        walked, rest = await newest_first(tx, [f.id], 10)
        assert [link.id for link in walked] == [each.id for each in (f, m, e, d, c, b, a)]
        assert rest == []
        for count in range(1, 7):
            ids, starts, below = list[bytes](), [f.id], None
            while starts:
                walked, rest = await newest_first(tx, starts, count, below)
                assert len(walked) <= count
                ids += [link.id for link in walked]
                starts = rest
            assert ids == [each.id for each in (f, m, e, d, c, b, a)]
        # Going on from the start, below a number, gives the same.
        walked, _ = await newest_first(tx, [f.id], 3, e.number)
        assert [link.id for link in walked] == [d.id, c.id, b.id]


async def test_the_base_of_a_merge_is_the_newest_commit_that_both_come_from(store: Store) -> None:
    async with store.transaction() as tx:
        a = await begin(tx, "a")
        await fork(tx, SIDE, a)
        b, c = await grow(tx, MAIN, "b"), await grow(tx, SIDE, "c")
        assert await merge_base(tx, b.id, c.id) == a.id
        assert await merge_base(tx, a.id, c.id) == a.id
        assert await merge_base(tx, c.id, c.id) == c.id
        m = await grow(tx, MAIN, "m", c.id)
        d = await grow(tx, SIDE, "d")
        assert await merge_base(tx, m.id, d.id) == c.id
        # Crosswise: both b's and c's sides are in both.
        n = await grow(tx, SIDE, "n", b.id)
        assert await merge_base(tx, m.id, n.id) in (b.id, c.id)
        # A commit with a history of its own, which no user can make.
        lone = dataclasses.replace(a, id=digest("lone"))
        await tx.add_commit(lone)
        assert await merge_base(tx, lone.id, d.id) is None


async def test_a_walk_looks_at_no_more_of_a_long_history_than_it_needs(store: Store) -> None:
    """The cost of opening, listing and merging does not grow with the number of ancestors."""
    async with store.transaction() as tx:
        last = await begin(tx)
        for number in range(300):
            commit = dataclasses.replace(last, id=digest(str(number)), parents=(last.id,))
            last = await tx.add_commit(commit)
        assert len(await tx.ancestry([last.id], 20)) == 20
        asked = []

        class Counting:
            async def ancestry(self, ids: list[bytes], limit: int) -> object:
                links = await tx.ancestry(ids, limit)
                asked.append(len(links))
                return links

        walked, _ = await newest_first(Counting(), [last.id], 10)  # type: ignore[arg-type]
        assert len(walked) == 10
        assert asked == [11]
        (tip,) = await Graph(tx).links([last.id])
        other = dataclasses.replace(last, id=digest("other"), parents=tip.parents)
        await tx.add_commit(other)
        asked.clear()
        assert await merge_base(Counting(), last.id, other.id) == tip.parents[0]  # type: ignore[arg-type]
        assert sum(asked) <= 64


Point = Callable[[Transaction, Commit], Awaitable[object]]


async def stored_commit(tx: Transaction) -> Commit:
    """A commit of ``side`` with rows of its own, in a pack ``lone``."""
    first = await begin(tx)
    await fork(tx, SIDE, first)
    upload = await begin_upload(tx)
    await put_pack(tx, upload, "lone", "a", "b")
    split = await put_split(tx, upload, "a", "b")
    filled = dataclasses.replace(draft("second"), splits=(split,), upload_uid=upload.uid)
    commit = (await append_commit(tx, SIDE, filled, [first.id])).commit
    await tx.close_upload(upload.uid, UploadState.COMMITTED)
    return commit


async def test_rows_that_no_branch_leads_to_any_more_are_given_up_after_a_while(world: World) -> None:
    async with world.store.transaction() as tx:
        commit = await stored_commit(tx)
    assert await collect(world.store) == []
    async with world.store.transaction() as tx:
        third = await grow(tx, SIDE, "third")
        await tx.delete_branch(SIDE)
    await world.pass_time(13 * DAY_S)
    assert await collect(world.store) == []
    async with world.store.transaction() as tx:
        assert (await tx.get_commit(DIGITS, third.id)).parents == (commit.id,)
    await world.pass_time(2 * DAY_S)
    assert await collect(world.store) == [pack_named("lone")]
    async with world.store.transaction() as tx:
        for dropped in (commit, third):
            with pytest.raises(CommitNotFound):
                await tx.get_commit(DIGITS, dropped.id)
        # What main leads to is untouched.
        assert (await tx.get_version(DIGITS, SemVer(1, 0, 0))).commit.parents == ()


async def tagged(tx: Transaction, commit: Commit) -> None:
    await tag(tx, "kept", commit)


async def versioned(tx: Transaction, commit: Commit) -> None:
    # Not by name_commit, which would compare the columns of rows that have none here.
    await tx.add_version(Version("u" * 32, commit, SemVer(2, 0, 0), SemVer(1, 0, 0)))


async def based_upon(tx: Transaction, commit: Commit) -> None:
    await tx.create_upload("f" * 32, DIGITS, "ann", 30 * DAY_S, UploadTarget("side", commit.id))


async def continued(tx: Transaction, commit: Commit) -> None:
    other = dataclasses.replace(SIDE, branch="other")
    await fork(tx, other, commit)
    await append_commit(tx, other, draft("more"), [commit.id])


@pytest.mark.parametrize("point", [tagged, versioned, based_upon, continued])
async def test_rows_that_anything_still_leads_to_are_kept(world: World, point: Point) -> None:
    async with world.store.transaction() as tx:
        commit = await stored_commit(tx)
        await point(tx, commit)
        await tx.delete_branch(SIDE)
    await world.pass_time(20 * DAY_S)
    for _ in range(2):
        assert await collect(world.store) == []
    async with world.store.transaction() as tx:
        assert (await tx.get_commit(DIGITS, commit.id)).splits == commit.splits


async def test_a_commit_that_comes_back_into_use_has_its_time_anew(world: World) -> None:
    async with world.store.transaction() as tx:
        commit = await stored_commit(tx)
        await tx.delete_branch(SIDE)
    await world.pass_time(13 * DAY_S)
    async with world.store.transaction() as tx:
        await fork(tx, SIDE, commit)
    await world.pass_time(3 * DAY_S)
    assert await collect(world.store) == []
    async with world.store.transaction() as tx:
        await tx.move_branch(SIDE, (await tx.get_branch(MAIN)).head)
    await world.pass_time(13 * DAY_S)
    assert await collect(world.store) == []
    await world.pass_time(2 * DAY_S)
    assert await collect(world.store) == [pack_named("lone")]


async def test_a_writer_that_finds_chunks_of_a_dropped_commit_keeps_their_pack(world: World) -> None:
    async with world.store.transaction() as tx:
        await stored_commit(tx)
        await tx.delete_branch(SIDE)
        writer = await begin_upload(tx, 30 * DAY_S)
        assert await tx.find_chunks(writer.uid, LAYOUT, [digest("a")]) == {digest("a")}
    await world.pass_time(20 * DAY_S)
    assert await collect(world.store) == []
    async with world.store.transaction() as tx:
        split = await put_split(tx, writer, "a")
        await tx.close_upload(writer.uid, UploadState.ABORTED)
        assert len(await tx.list_chunks(split.tree, 0, 10, None)) == 1
    assert await collect(world.store) == [pack_named("lone")]


async def test_rows_that_another_commit_has_too_outlive_the_one_that_brought_them(world: World) -> None:
    async with world.store.transaction() as tx:
        commit = await stored_commit(tx)
        other = dataclasses.replace(SIDE, branch="other")
        await fork(tx, other, await tx.get_commit(DIGITS, commit.parents[0]))
        twin = dataclasses.replace(draft("twin"), splits=commit.splits)
        kept = (await append_commit(tx, other, twin, commit.parents)).commit
        await tx.delete_branch(SIDE)
    await world.pass_time(20 * DAY_S)
    assert await collect(world.store) == []
    async with world.store.transaction() as tx:
        with pytest.raises(CommitNotFound):
            await tx.get_commit(DIGITS, commit.id)
        (split,) = (await tx.get_commit(DIGITS, kept.id)).splits
        assert len(await tx.list_chunks(split.tree, 0, 20, None)) == 2


async def test_an_upload_remembers_where_it_goes_and_what_it_builds_on(store: Store) -> None:
    async with store.transaction() as tx:
        first = await begin(tx)
        target = UploadTarget("side", first.id, inherit=True)
        upload = await tx.create_upload("f" * 32, DIGITS, "ann", HOUR_S, target)
        second = await grow(tx, MAIN, "second")
    async with store.transaction() as tx:
        assert (await tx.get_upload(upload.name)).target == target
        await tx.set_base(upload.uid, second.id)
        assert (await tx.get_upload(upload.name)).target == dataclasses.replace(target, base=second.id)


async def test_a_dataset_changes_in_all_that_can_be_said_about_it(store: Store) -> None:
    async with store.transaction() as tx:
        before = await tx.create_dataset(new_dataset(DIGITS, "ann"))
        await tx.create_dataset(new_dataset(DatasetName("default", "other"), "ann"))
        change = dataclasses.replace(
            before, display_name="D", description="Text.", key_columns=("a", "b"), tags={"team": "vision"}, hidden=True
        )
        changed = await tx.update_dataset(change)
    async with store.transaction() as tx:
        assert await tx.get_dataset(DIGITS) == changed == dataclasses.replace(change, revision=2)
        assert [each.name.dataset for each in await tx.list_datasets("default", "", 10)] == ["other"]
        assert len(await tx.list_datasets("default", "", 10, hidden=True)) == 2
