"""Packs of which little is needed any more are replaced, and no row changes whatever happens meanwhile."""

import contextlib
import dataclasses
import gc
import random
import weakref
from collections.abc import AsyncIterator

import pyarrow as pa
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.blobs import Scheme
from headwater.names import BranchName
from services.dataset.collector import Collector
from services.dataset.history.history import History
from services.dataset.history.model import Commit
from services.dataset.model import Chunk
from services.dataset.reads import Choice, ReadRequest, Reads
from services.dataset.rows.get import ReadPlan
from services.dataset.rows.layout import ROW_DIGEST
from services.dataset.rows.mapped import MappedPacks
from services.dataset.rows.ordered import OrderedRead
from services.dataset.store import PlacedChunk
from tests.unit.dataset.changing import Digits, Rows, digits, small_trees
from tests.unit.dataset.compacting import OPTIONS, FailingBlobs, FailingStore, Killed, Steps, compaction, files_in

KEPT, GONE = range(100), range(1000, 1400)


def rows(*parts: range) -> Rows:
    """Rows that are the same wherever they come up."""
    return [(key, random.Random(key).randbytes(20).hex()) for part in parts for key in part]


@pytest_asyncio.fixture
async def kept(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Digits]:
    """A dataset with small chunks."""
    small_trees(monkeypatch)
    async with digits() as dataset:
        yield dataset


async def push_what_goes(dataset: Digits, kept: Rows, gone: Rows, name: str = "side") -> Commit:
    """A commit of rows that lie in one pack with others, which nothing needs any more."""
    base = await dataset.push(train=[(0, name)])
    await dataset.branch(name, base)
    await dataset.push(name, train=[*kept, *gone])
    commit = await dataset.push(train=kept)
    await History(dataset.store).delete_branch(BranchName("default", "digits", name), "")
    await collect(dataset)
    return commit


async def collect(dataset: Digits) -> int:
    """Remove what is dead by now."""
    collector = Collector(
        dataset.store,
        dataset.blobs,
        interval_s=60,
        write_timeout_s=OPTIONS.pack_write_timeout_s,
        unreachable_ttl_s=0,
        retired_pack_ttl_s=OPTIONS.retired_pack_ttl_s,
        packs=dataset.packs,
    )
    return await collector.collect()


async def collect_all(dataset: Digits) -> None:
    """Remove what is dead by now, and what was retired; then the files are those that the catalogue has."""
    for _ in range(3):
        dataset.clock.advance(OPTIONS.retired_pack_ttl_s + 1)
        await collect(dataset)
    packs = dataset.store._state.packs
    assert {pack.state for pack in packs.values()} <= {"stored"}
    assert files_in(dataset.folder) == set(packs)


async def chunks_of(dataset: Digits, commit: Commit) -> list[Chunk]:
    (split,) = commit.splits
    async with dataset.store.transaction() as tx:
        return list(await tx.list_chunks(split.tree, 0, split.tree.row_count, None, with_statistics=True))


def size_of(dataset: Digits) -> int:
    return sum(file.stat().st_size for file in (dataset.folder / "blake3").rglob("*") if file.is_file())


async def test_what_nothing_needs_gives_its_bytes_back_and_the_rest_is_what_it_was(kept: Digits) -> None:
    commit = await push_what_goes(kept, rows(KEPT), rows(GONE))
    chunks, size = await chunks_of(kept, commit), size_of(kept)
    assert await compaction(kept.store, kept.blobs).compact() == 1
    moved = await chunks_of(kept, commit)
    assert chunks[0].placement.pack not in {chunk.placement.pack for chunk in moved}
    assert [dataclasses.replace(chunk, placement=chunks[0].placement) for chunk in moved] == [
        dataclasses.replace(chunk, placement=chunks[0].placement) for chunk in chunks
    ]
    assert await kept.rows(commit) == rows(KEPT)
    await collect_all(kept)
    assert size_of(kept) < size / 2
    assert await kept.rows(commit) == rows(KEPT)
    assert await compaction(kept.store, kept.blobs).compact() == 0


@pytest.mark.parametrize(("max_bytes", "new_packs"), [(1 << 20, 1), (40 << 10, 2), (1, 3)])
async def test_several_packs_become_one_as_long_as_there_is_room(kept: Digits, max_bytes: int, new_packs: int) -> None:
    parts = [range(at, at + 200) for at in (10_000, 20_000, 30_000)]
    commits = [
        await push_what_goes(kept, rows(part), rows(range(part.stop, part.stop + 1000)), f"side{part.start}")
        for part in parts
    ]
    before = {(await chunks_of(kept, commit))[0].placement.pack for commit in commits}
    options = dataclasses.replace(OPTIONS, pack_max_bytes=max_bytes)
    assert await compaction(kept.store, kept.blobs, options).compact() == len(before) == 3
    after = {(await chunks_of(kept, commit))[0].placement.pack for commit in commits}
    assert len(after) == new_packs
    assert not before & after
    await collect_all(kept)
    for part, commit in zip(parts, commits, strict=True):
        assert await kept.rows(commit) == rows(part)


async def test_a_reader_that_knows_only_of_the_old_pack_reads_on_until_it_is_removed(kept: Digits) -> None:
    commit = await push_what_goes(kept, rows(KEPT), rows(GONE))
    chunks = await chunks_of(kept, commit)
    await compaction(kept.store, kept.blobs).compact()
    kept.clock.advance(OPTIONS.retired_pack_ttl_s - 1)
    await collect(kept)
    packs = MappedPacks(kept.blobs, 10)
    opened = await packs.open({chunk.placement.pack for chunk in chunks})
    read = [
        opened[each.placement.pack].rows(each.placement.block, each.placement.block_row, each.row_count)
        for each in chunks
    ]
    assert pa.Table.from_batches([part.replace_schema_metadata() for part in read]).num_rows == len(KEPT)


@pytest.mark.parametrize("global_batch_rows", [0, 10], ids=["where they lie", "in an order"])
async def test_where_rows_lie_is_forgotten_long_before_the_old_pack_is_removed(
    kept: Digits, global_batch_rows: int
) -> None:
    commit = await push_what_goes(kept, rows(KEPT), rows(GONE))
    ttl_s = OPTIONS.retired_pack_ttl_s
    reads = Reads(kept.store, kept.packs, retired_pack_ttl_s=ttl_s, monotonic=kept.clock.monotonic)
    choice = Choice(str(commit.name), "train", global_batch_rows=global_batch_rows)
    (selection,) = (await reads.select(ReadRequest(choice))).shards

    async def packs() -> set[str]:
        plan = await reads.plan(selection)
        if isinstance(plan, ReadPlan):
            return {slice_.pack for slice_ in plan.slices}
        assert isinstance(plan, OrderedRead)
        return {chunk.placement.pack for chunk in plan.chunks}

    before = await packs()
    await compaction(kept.store, kept.blobs).compact()
    assert await packs() == before  # from memory
    kept.clock.advance(ttl_s / 24)
    assert await packs() != before
    assert {(await chunks_of(kept, commit))[0].placement.pack} <= await packs()


async def test_who_removes_a_pack_lets_go_of_its_file(kept: Digits) -> None:
    """A file that is mapped takes its place on the disk."""
    commit = await push_what_goes(kept, rows(KEPT), rows(GONE))
    pack = (await chunks_of(kept, commit))[0].placement.pack
    assert await kept.rows(commit) == rows(KEPT)
    mapped = weakref.ref((await kept.packs.open([pack]))[pack])
    assert mapped() is not None
    await compaction(kept.store, kept.blobs).compact()
    await collect_all(kept)
    gc.collect()
    assert mapped() is None


async def test_rows_that_are_pushed_again_meanwhile_are_there(kept: Digits) -> None:
    """Before their pack is replaced they are found in it; after that they are stored once more."""
    commit = await push_what_goes(kept, rows(KEPT), rows(GONE))
    upload = await kept.begin()
    await kept.edit(upload, 0, 0, rows(GONE))
    assert await compaction(kept.store, kept.blobs).compact() == 0
    again = await kept.commit(upload)
    await collect(kept)
    assert await compaction(kept.store, kept.blobs).compact() == 0
    assert sorted(await kept.rows(again)) == rows(KEPT, GONE)
    assert await kept.rows(commit) == rows(KEPT)


async def test_rows_that_are_pushed_again_afterwards_are_there(kept: Digits) -> None:
    commit = await push_what_goes(kept, rows(KEPT), rows(GONE))
    assert await compaction(kept.store, kept.blobs).compact() == 1
    again = await kept.push(train=rows(KEPT, GONE))
    await collect_all(kept)
    assert await kept.rows(again) == rows(KEPT, GONE)
    assert await kept.rows(commit) == rows(KEPT)


@pytest.mark.parametrize("error", [Killed, OSError], ids=["killed", "failing"])
async def test_it_may_end_at_any_step(kept: Digits, error: type[BaseException]) -> None:
    """Each step fails in its turn, until one pass has failed nowhere: the rows are there after each, and what it has
    left is removed."""
    commit = await push_what_goes(kept, rows(KEPT), rows(GONE))
    fails_at = 0
    while True:
        fails_at += 1
        steps = Steps(fails_at, error)
        with contextlib.suppress(error):
            await compaction(FailingStore(kept.store, steps), FailingBlobs(kept.folder, steps)).compact()
        assert await kept.rows(commit) == rows(KEPT)
        if steps.taken < fails_at:
            break
        await collect_all(kept)
        assert await kept.rows(commit) == rows(KEPT)
        if await _all_live(kept, commit):  # it was done, and who did it was not told
            commit = await push_what_goes(kept, rows(KEPT), rows(range(10_000 * fails_at, 10_000 * fails_at + 400)))
    assert fails_at > 12
    await collect_all(kept)
    assert await kept.rows(commit) == rows(KEPT)


async def _all_live(dataset: Digits, commit: Commit) -> bool:
    async with dataset.store.transaction() as tx:
        return not (await tx.sparse_packs(0, 1000, 0, 0.5)).packs


async def test_a_file_that_appears_when_its_process_was_given_up_is_removed(kept: Digits) -> None:
    """The process was stopped between noting its pack and publishing it."""
    await push_what_goes(kept, rows(KEPT), rows(GONE))
    late, step = list[str](), 0
    while not late:
        await _dies_at(kept, step := step + 1)
        late = [name for name, pack in kept.store._state.packs.items() if pack.state == "writing"]
    file = kept.folder / "blake3" / late[0].removeprefix("blake3:")[:2] / late[0].removeprefix("blake3:")
    assert not file.exists()
    kept.clock.advance(OPTIONS.pack_write_timeout_s)
    await collect(kept)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"late")
    await collect(kept)
    assert file.exists()
    await collect_all(kept)
    assert not file.exists()


async def test_a_damaged_pack_stays_as_it_is_and_others_are_replaced(kept: Digits) -> None:
    """Whoever can restore its bytes finds it in its place."""
    damaged = await push_what_goes(kept, rows(KEPT), rows(GONE), "one")
    sound = await push_what_goes(kept, rows(range(5000, 5100)), rows(range(6000, 6400)), "two")
    pack = (await chunks_of(kept, damaged))[0].placement.pack
    (file,) = (kept.folder / "blake3").rglob(pack.removeprefix("blake3:"))
    content = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(content.replace(content[1000:1010], content[1000:1010][::-1], 1))
    assert await compaction(kept.store, kept.blobs).compact() == 1
    assert (await chunks_of(kept, damaged))[0].placement.pack == pack
    file.write_bytes(content)
    assert await compaction(kept.store, kept.blobs).compact() == 1
    await collect_all(kept)
    assert await kept.rows(damaged) == rows(KEPT)
    assert await kept.rows(sound) == rows(range(5000, 5100))


async def test_a_pack_of_an_older_release_gets_its_rows_digests(kept: Digits) -> None:
    """It has no column for them, nor is it known how its chunks begin and end."""
    commit = await push_what_goes(kept, rows(KEPT), rows(GONE))
    pack = (await chunks_of(kept, commit))[0].placement.pack
    await _make_old(kept, pack)
    before = await chunks_of(kept, commit)
    assert await compaction(kept.store, kept.blobs).compact() == 1
    after = await chunks_of(kept, commit)
    assert [chunk.first_row_bytes for chunk in after] == [chunk.first_row_bytes for chunk in before]
    path = await kept.blobs.local_path(after[0].placement.pack)
    assert pa.ipc.open_file(path).schema.names == ["id", "value", ROW_DIGEST]
    await collect_all(kept)
    assert await kept.rows(commit) == rows(KEPT)


async def _make_old(dataset: Digits, pack: str) -> None:
    """Leave of a pack what the first release would have stored."""
    old = dataset.blobs.writer(Scheme.SHA256)
    reader = pa.ipc.open_file(await dataset.blobs.local_path(pack))
    plain = reader.schema.remove(reader.schema.get_field_index(ROW_DIGEST))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, plain) as writer:
        for block in range(reader.num_record_batches):
            writer.write_batch(reader.get_batch(block).select(plain.names))
    old.write(sink.getvalue())
    blob = old.seal()
    await old.publish()
    state = dataset.store._state
    state.packs[blob.digest] = state.packs.pop(pack)
    for key, placed in list(state.chunks.items()):
        if placed.placement.pack == pack:
            place = dataclasses.replace(placed.placement, pack=blob.digest)
            details = dataclasses.replace(placed.chunk, first_row_bytes=0, ends_naturally=False, statistics=b"")
            state.chunks[key] = PlacedChunk(details, place)
    await dataset.blobs.delete(pack)


_PARTS = st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)
_TURNS = st.lists(
    st.one_of(
        st.tuples(st.just("main"), _PARTS),
        st.tuples(st.just("side"), _PARTS),
        st.tuples(st.just("drop"), st.just([0])),
        st.tuples(st.just("compact"), st.lists(st.integers(1, 25), min_size=1, max_size=1)),
    ),
    min_size=4,
    max_size=12,
)


@given(turns=_TURNS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_is_pushed_and_dropped_all_commits_keep_their_rows(
    monkeypatch: pytest.MonkeyPatch, turns: list[tuple[str, list[int]]]
) -> None:
    """Pushes to ``main`` and to a branch that comes and goes, and passes that die at some step."""
    small_trees(monkeypatch)
    async with digits() as dataset:
        commits = {"main": await dataset.push(train=rows(range(100)))}
        for turn, values in [*turns, ("compact", [10**6])]:
            if turn in ("main", "side"):
                if turn == "side" and "side" not in commits:
                    await dataset.branch("side", commits["main"])
                parts = [range(1000 * part, 1000 * part + 100) for part in values]
                commits[turn] = await dataset.push(turn, train=rows(*parts))
            elif turn == "drop" and commits.pop("side", None) is not None:
                await History(dataset.store).delete_branch(BranchName("default", "digits", "side"), "")
            elif turn == "compact":
                await collect(dataset)
                await _dies_at(dataset, values[0])
            for commit in commits.values():
                await dataset.rows(commit)  # checks their digest
        await collect_all(dataset)
        for commit in commits.values():
            await dataset.rows(commit)


async def _dies_at(dataset: Digits, step: int) -> None:
    steps = Steps(step, Killed)
    with contextlib.suppress(Killed):
        await compaction(FailingStore(dataset.store, steps), FailingBlobs(dataset.folder, steps)).compact()
