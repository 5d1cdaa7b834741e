"""Edits, differences and merges of a dataset, against what lists and dictionaries come to."""

import dataclasses
from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataset.changes import diff, hunks
from services.dataset.changes.errors import MergeConflict, TooManyComparisons
from services.dataset.changes.keys import KeyedTable, find
from services.dataset.changes.model import ChangeKind
from services.dataset.changes.side import Side
from services.dataset.history.errors import BranchMoved
from services.dataset.history.model import Commit
from tests.unit.dataset.changing import SCHEMA, Digits, Rows, digits, small_trees, table

EXAMPLES = settings(max_examples=50, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def small() -> object:
    with pytest.MonkeyPatch.context() as monkeypatch:
        small_trees(monkeypatch)
        yield


@dataclasses.dataclass(frozen=True)
class Script:
    """What one side does to each row of the base, known by its number, and what it puts in before which."""

    changed: dict[int, str]
    removed: set[int]
    put_in: dict[int, Rows]

    def apply(self, base: Rows) -> list[tuple[int, str]]:
        rows: list[tuple[int, str]] = []
        for number in range(len(base) + 1):
            rows += self.put_in.get(number, ())
            if number < len(base) and number not in self.removed:
                key, value = base[number]
                rows.append((key, self.changed.get(number, value)))
        return rows

    def touched(self) -> dict[int, object]:
        return {**self.changed, **dict.fromkeys(self.removed)}


@st.composite
def scripts(draw: st.DrawFn, size: int, side: int, density: int = 4) -> Script:
    numbers = st.integers(0, max(0, size - 1))
    values = st.sampled_from(["x", "y"])
    changed = draw(st.dictionaries(numbers, values, max_size=density)) if size else {}
    removed = draw(st.sets(numbers, max_size=density)) if size else set()
    places = draw(st.sets(st.integers(0, size), max_size=2))
    put_in: dict[int, Rows] = {}
    for place in sorted(places):
        count = draw(st.integers(1, 3))
        put_in[place] = [(10_000 * side + 10 * place + at, "new") for at in range(count)]
    return Script({row: value for row, value in changed.items() if row not in removed}, removed, put_in)


BASES = st.integers(0, 80).map(lambda size: [(number, f"row {number}") for number in range(size)])


@st.composite
def two_scripts(draw: st.DrawFn) -> tuple[Rows, Script, Script]:
    base = draw(BASES)
    return base, draw(scripts(len(base), 1)), draw(scripts(len(base), 2))


def contradict(ours: Script, theirs: Script) -> bool:
    """Whether both did something else to one row."""
    our, their = ours.touched(), theirs.touched()
    return any(our[row] != their[row] for row in our.keys() & their.keys())


def together(base: Rows, ours: Script, theirs: Script) -> list[tuple[int, str]] | None:
    """Both sides' changes of the base row by row; None when both put rows in at one place, in whatever order."""
    if ours.put_in.keys() & theirs.put_in.keys():
        return None
    return Script(
        {**ours.changed, **theirs.changed}, ours.removed | theirs.removed, {**ours.put_in, **theirs.put_in}
    ).apply(base)


async def forked(world: Digits, base: Rows, ours: Rows, theirs: Rows) -> tuple[Commit, Commit]:
    first = await world.push(train=base)
    await world.branch("side", first)
    return await world.push(train=ours), await world.push("side", train=theirs)


@EXAMPLES
@given(two_scripts())
async def test_a_merge_by_place_is_what_both_did_or_a_conflict(case: tuple[Rows, Script, Script]) -> None:
    base, ours, theirs = case
    async with digits() as world:
        our, their = await forked(world, base, ours.apply(base), theirs.apply(base))
        merged, back = await world.merge(their), await world.merge(our, "side")
        assert (back.appended is None) == (merged.appended is None)
        if merged.appended is None or back.appended is None:
            assert merged.conflict_count >= len(merged.conflicts) >= 1
            return
        assert not contradict(ours, theirs)
        rows = await world.rows(merged.appended.commit)
        # The other way round it comes to the same.
        assert await world.rows(back.appended.commit) == rows
        assert rows == (together(base, ours, theirs) or rows)


@EXAMPLES
@given(st.data())
async def test_changes_of_rows_apart_from_each_other_never_conflict(data: st.DataObject) -> None:
    base = [(number, f"row {number}") for number in range(60)]
    rows = data.draw(st.sets(st.integers(0, 29), max_size=8).map(lambda found: [2 * number for number in found]))
    mine = {row: data.draw(st.booleans()) for row in rows}
    ours = Script({row: "ours" for row in rows if mine[row]}, set(), {})
    theirs = Script({row: "theirs" for row in rows if not mine[row]}, set(), {})
    async with digits() as world:
        _, their = await forked(world, base, ours.apply(base), theirs.apply(base))
        merged = await world.merge(their)
        assert merged.appended is not None
        assert await world.rows(merged.appended.commit) == together(base, ours, theirs)


KEYED = st.dictionaries(st.integers(0, 60), st.sampled_from(["a", "b", "c"]), max_size=50)


@st.composite
def sides(draw: st.DrawFn, count: int) -> list[Rows]:
    """Rows of as many commits, each with what it has in common with the first, in an order of its own."""
    first = draw(KEYED)
    found: list[Rows] = [list(first.items())]
    for _ in range(count - 1):
        gone = draw(st.sets(st.integers(0, 60), max_size=5))
        new = draw(st.dictionaries(st.integers(0, 60), st.sampled_from(["a", "b", "c"]), max_size=5))
        rows = {key: value for key, value in (first | new).items() if key not in gone}
        order = list(rows.items())
        for _ in range(draw(st.integers(0, 2))):
            if order:
                moved = order.pop(draw(st.integers(0, len(order) - 1)))
                order.insert(draw(st.integers(0, len(order))), moved)
        found.append(order)
    return found


@EXAMPLES
@given(sides(2))
async def test_a_difference_by_key_tells_what_dictionaries_differ_in(case: list[Rows]) -> None:
    before, after = (dict(rows) for rows in case)
    async with digits(["id"]) as world:
        first = await world.push(train=case[0])
        second = await world.push(train=case[1])
        if first.digest == second.digest:
            return
        changes, sums = await world.diff(first, second)
        found = {kind: {change.key_json for change in changes if change.kind is kind} for kind in ChangeKind}
        assert found[ChangeKind.ADDED] == {f"[{key}]" for key in after.keys() - before.keys()}
        assert found[ChangeKind.REMOVED] == {f"[{key}]" for key in before.keys() - after.keys()}
        both = before.keys() & after.keys()
        assert found[ChangeKind.CHANGED] == {f"[{key}]" for key in both if before[key] != after[key]}
        assert (sums.added, sums.removed, sums.changed) == tuple(len(found[kind]) for kind in ChangeKind)
        for change in changes:
            for rows, number in ((case[0], change.base_row), (case[1], change.target_row)):
                assert number is None or f"[{rows[number][0]}]" == change.key_json
        # Listed are the first ones; counted are all, also when they are compared in parts.
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(diff, "_COMPARED_AT_ONCE", 3)
            some, same = await world.diff(first, second, 4)
        assert same == sums
        assert some == changes[:4]


@EXAMPLES
@given(sides(3))
async def test_a_merge_by_key_is_what_both_did_to_each_key(case: list[Rows]) -> None:
    base, ours, theirs = (dict(rows) for rows in case)
    async with digits(["id"]) as world:
        our, their = await forked(world, *case)
        merged = await world.merge(their)
        wanted, clashing = dict[int, str](), set[str]()
        for key in base.keys() | ours.keys() | theirs.keys():
            before, mine, other = base.get(key), ours.get(key), theirs.get(key)
            value = other if mine == before else mine
            if mine != before and other not in (before, mine):
                clashing.add(f"[{key}]")
            if value is not None:
                wanted[key] = value
        assert {conflict.key_json for conflict in merged.conflicts} == clashing
        assert merged.conflict_count == len(clashing)
        if not clashing:
            assert merged.appended is not None
            rows = await world.rows(merged.appended.commit)
            assert len(rows) == len(wanted)
            assert dict(rows) == wanted
        else:
            assert merged.appended is None
            assert (await world.push(train=case[1])).id == our.id  # the branch stays


@EXAMPLES
@given(BASES, st.data())
async def test_edits_and_upserts_come_to_what_lists_and_dictionaries_come_to(base: Rows, data: st.DataObject) -> None:
    rows = list(base)
    async with digits(["id"]) as world:
        await world.push(train=rows)
        upload = await world.begin()
        for step in range(data.draw(st.integers(1, 4))):
            kind = data.draw(st.sampled_from(["edit", "upsert", "delete"]))
            keys = [key for key, _ in rows]
            if kind == "edit":
                first = data.draw(st.integers(0, len(rows)))
                count = data.draw(st.integers(0, len(rows) - first))
                new = [(1000 * (step + 1) + at, "new") for at in range(data.draw(st.integers(0, 30)))]
                await world.edit(upload, first, count, new)
                rows[first : first + count] = new
            elif kind == "upsert":
                some = data.draw(st.lists(st.integers(0, 90), unique=True, max_size=12))
                await world.upsert(upload, [(key, f"step {step}") for key in some])
                rows = [(key, f"step {step}" if key in some else value) for key, value in rows]
                rows += [(key, f"step {step}") for key in some if key not in keys]
            else:
                some = data.draw(st.lists(st.sampled_from(keys), unique=True, max_size=12)) if keys else []
                await world.delete(upload, some)
                rows = [(key, value) for key, value in rows if key not in some]
        assert await world.rows(await world.commit(upload)) == rows


@EXAMPLES
@given(two_scripts())
async def test_a_revert_takes_back_what_a_commit_did(case: tuple[Rows, Script, Script]) -> None:
    base, wrong, _ = case
    async with digits() as world:
        first, bad = await world.push(train=base), await world.push(train=wrong.apply(base))
        reverted = await world.revert(bad) if bad.id != first.id else None
        assert reverted is None or reverted.appended is not None
        if reverted and reverted.appended:
            assert await world.rows(reverted.appended.commit) == list(base)
            assert reverted.appended.commit.digest == first.digest


@EXAMPLES
@given(BASES, st.data())
async def test_a_revert_leaves_what_came_later(base: Rows, data: st.DataObject) -> None:
    rows = data.draw(st.sets(st.integers(0, max(0, len(base) // 2 - 1)), max_size=6)) if len(base) > 1 else set()
    wrong = Script({2 * row: "wrong" for row in rows if row % 2}, set(), {})
    later = Script({2 * row: "later" for row in rows if not row % 2}, set(), {})
    async with digits() as world:
        first, bad = await world.push(train=base), await world.push(train=wrong.apply(base))
        await world.push(train=later.apply(wrong.apply(base)))
        reverted = await world.revert(bad) if bad.id != first.id else None
        if reverted is not None:
            assert reverted.appended is not None
            assert await world.rows(reverted.appended.commit) == later.apply(base)


@EXAMPLES
@given(two_scripts())
async def test_an_upload_that_was_rebased_is_the_merge_or_stays_as_it_was(case: tuple[Rows, Script, Script]) -> None:
    base, ours, theirs = case
    async with digits() as world:
        first = await world.push(train=base, test=base[:3])
        upload = await world.begin()
        await world.edit(upload, 0, len(base), theirs.apply(base))
        head = await world.push(train=ours.apply(base), test=base[:3])
        before = await world.uploads.get(upload)
        if head.id != first.id and theirs.apply(base) != ours.apply(base):
            with pytest.raises(BranchMoved):
                await world.commit(upload)
        try:
            await world.changes.rebase(upload)
        except MergeConflict:
            after = await world.uploads.get(upload)
            assert (after.splits, after.target) == (before.splits, before.target)
            return
        assert not contradict(ours, theirs)
        rows = await world.rows(await world.commit(upload))
        assert rows == (together(base, ours, theirs) or rows)


@EXAMPLES
@given(BASES, BASES, st.data())
async def test_differences_found_window_by_window_lead_from_one_to_the_other(
    one: Rows, other: Rows, data: st.DataObject
) -> None:
    after = data.draw(st.permutations(other))
    async with digits() as world:
        first, second = await world.push(train=one), await world.push(train=after)
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(hunks, "WINDOW_ROWS", 7)
            changes, sums = await world.diff(first, second) if first.id != second.id else ([], None)
        gone = {change.base_row for change in changes if change.kind is ChangeKind.REMOVED}
        come = {change.target_row for change in changes if change.kind is ChangeKind.ADDED}
        assert sums is None or (sums.removed, sums.added) == (len(gone), len(come))
        kept = [row for number, row in enumerate(one) if number not in gone]
        assert kept == [row for number, row in enumerate(after) if number not in come]


async def test_keys_are_looked_for_only_where_statistics_say_that_they_may_be() -> None:
    """In proportion to what may hold them: the chunks that are read are counted."""
    rows = [(number, f"row {number}") for number in range(2000)]
    async with digits(["id"]) as world:
        (split,) = (await world.push(train=rows)).splits
        assert split.tree.chunk_count > 50
        side = CountingSide(split, world.store, world.packs)
        wanted = KeyedTable.of(SCHEMA, table([(5, ""), (1999, ""), (3000, "")]).to_batches(), ["id"])
        assert set((await find(world.store, side, wanted)).values()) == {5, 1999}
        # Two chunks hold the keys, and one more key lies behind all rows; those between the two hold none.
        assert side.read == 2


class CountingSide(Side):
    """A side that counts how often rows of it are read."""

    read = 0

    async def rows(self, first: int, count: int, columns: Sequence[str] = ()) -> pa.Table:
        self.read += 1
        return await super().rows(first, count, columns)


async def test_one_comparison_too_many_is_refused_with_a_hint_when_to_come_back() -> None:
    """Promise 8."""
    async with digits() as world:
        first, second = await world.push(train=[(1, "a")]), await world.push(train=[(1, "b")])
        running = [world.changes.diff(str(first.name), str(second.name), "", 10, ()) for _ in range(8)]
        for each in running:
            await anext(each)
        with pytest.raises(TooManyComparisons) as refusal:
            await world.diff(first, second)
        assert refusal.value.retry_after_ms
        await running[0].aclose()
        assert (await world.diff(first, second))[1].added == 1
