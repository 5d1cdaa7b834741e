"""Aligning, merging and splicing, against what they must come to."""

import itertools
from collections.abc import Iterator, Sequence

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater import tree
from services.dataset.changes.merge import merge
from services.dataset.changes.splice import Replacement, Splicer
from services.dataset.model import Chunk, Placement
from services.dataset.trees.align import Hunk, align

items = st.lists(st.integers(0, 8).map(lambda number: bytes([number])), max_size=40)


def applied(ours: Sequence[bytes], theirs: Sequence[bytes], hunks: Sequence[Hunk]) -> list[bytes]:
    """Ours with every hunk replaced by theirs."""
    result, at = [], 0
    for hunk in hunks:
        result += [*ours[at : hunk.first], *theirs[hunk.other_first : hunk.other_end]]
        at = hunk.end
    return [*result, *ours[at:]]


@given(ours=items, theirs=items)
def test_hunks_say_how_to_get_from_one_to_the_other(ours: list[bytes], theirs: list[bytes]) -> None:
    hunks = align(ours, theirs)
    assert applied(ours, theirs, hunks) == theirs
    assert all(hunk.count or hunk.other_count for hunk in hunks)
    assert all(
        before.end < after.first or before.other_end < after.other_first for before, after in itertools.pairwise(hunks)
    )


@given(rows=st.lists(st.binary(min_size=4, max_size=4), unique=True, max_size=60), data=st.data())
def test_one_change_among_distinct_items_is_found_as_it_is(rows: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(rows)))
    count = data.draw(st.integers(0, len(rows) - first))
    new = data.draw(st.lists(st.binary(min_size=5, max_size=5), max_size=10))
    hunks = align(rows, [*rows[:first], *new, *rows[first + count :]])
    assert hunks == ([Hunk(first, count, first, len(new))] if count or new else [])


def merged(base: Sequence[bytes], ours: Sequence[bytes], theirs: Sequence[bytes]) -> list[bytes] | None:
    """The merge as a list; None when there are conflicts."""
    our_hunks, their_hunks = align(base, ours), align(base, theirs)
    edits, clashes = merge(
        our_hunks,
        their_hunks,
        lambda hunk: tuple(ours[hunk.other_first : hunk.other_end]),
        lambda hunk: tuple(theirs[hunk.other_first : hunk.other_end]),
    )
    if clashes:
        return None
    result, at = [], 0
    for edit in edits:
        result += [*ours[at : edit.first], *theirs[edit.theirs_first : edit.theirs_first + edit.theirs_count]]
        at = edit.first + edit.count
    return [*result, *ours[at:]]


@given(base=items, ours=items)
def test_merging_with_one_self_or_with_the_base_changes_nothing(base: list[bytes], ours: list[bytes]) -> None:
    assert merged(base, ours, ours) == ours
    assert merged(base, ours, base) == ours
    assert merged(base, base, ours) == ours


@given(base=items, ours=items, theirs=items)
def test_a_merge_does_not_depend_on_who_merges(base: list[bytes], ours: list[bytes], theirs: list[bytes]) -> None:
    assert merged(base, ours, theirs) == merged(base, theirs, ours)


@given(rows=st.lists(st.binary(min_size=4, max_size=4), unique=True, min_size=5, max_size=60), data=st.data())
def test_changes_of_different_rows_all_come(rows: list[bytes], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True, min_size=2, max_size=2).map(sorted))
    ours, theirs, both = list(rows), list(rows), list(rows)
    ours[places[0]] = both[places[0]] = b"ours!"
    theirs[places[1]] = both[places[1]] = b"theirs"
    assert merged(rows, ours, theirs) == both
    theirs[places[0]] = b"too"
    assert merged(rows, ours, theirs) is None


class _Written:
    """Takes the place of what stores chunks."""

    def __init__(self) -> None:
        self.chunks: list[tree.Chunk] = []

    def add(self, chunk: tree.Chunk) -> None:
        self.chunks.append(chunk)


class _Old:
    """A split as it was, that counts the rows looked at."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows
        self.chunks = chunks_of(rows)
        self.row_count = rows.num_rows
        self.looked_at = 0

    def chunk_at(self, row: int) -> Chunk:
        return next(chunk for chunk in self.chunks if chunk.first_row <= row < chunk.end_row)

    def read(self, first: int, count: int) -> Iterator[pa.RecordBatch]:
        self.looked_at += count
        yield from self.rows.slice(first, count).to_batches()


def spliced(old: _Old, replacements: Sequence[Replacement]) -> tuple[list[bytes], int]:
    """The digests of all chunks after the replacements, and how many of them were cut."""
    written = _Written()
    result, row, taken = [], 0, 0
    for recut in Splicer(old, old.rows.schema, written).splice(replacements):
        assert recut.first_row >= row
        result += [chunk.digest for chunk in old.chunks if row <= chunk.first_row < recut.first_row]
        result += [chunk.digest for chunk in written.chunks[taken : taken + recut.chunk_count]]
        row, taken = recut.end_row, taken + recut.chunk_count
    assert taken == len(written.chunks)
    return result + [chunk.digest for chunk in old.chunks if chunk.first_row >= row], taken


SCHEMA = pa.schema([("data", pa.binary())])


def table(sizes: Sequence[tuple[int, int]]) -> pa.Table:
    """Rows of these sizes in KiB, each with a number that makes it what it is."""
    return pa.table({"data": [number.to_bytes(8, "little") + bytes(1024 * kib) for kib, number in sizes]}, SCHEMA)


def chunks_of(rows: pa.Table) -> list[Chunk]:
    builder = tree.ChunkBuilder(rows.schema)
    cut = [chunk for batch in rows.to_batches() for chunk in builder.push(batch)] + builder.finish()
    found, first = [], 0
    for chunk in cut:
        place = Placement("pack", 0, first)
        ends, begins = chunk.ends_naturally, chunk.first_row_bytes
        found.append(Chunk(chunk.digest, first, chunk.row_count, chunk.size_bytes, place, ends, begins))
        first += chunk.row_count
    return found


# Rows of 1 KiB to 6 MiB: chunks end by chance, by size, and with the rows.
sizes = st.lists(st.tuples(st.one_of(st.integers(1, 300), st.integers(2000, 6000)), st.integers(0, 2**40)), max_size=20)


@given(old=sizes, data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_spliced_split_is_cut_as_all_its_rows_would_be(old: list[tuple[int, int]], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(old)), max_size=6)))
    rows, parts, at = table(old), list[pa.Table](), 0
    replacements = []
    for first, end in zip(cuts[::2], cuts[1::2], strict=False):
        new = table(data.draw(sizes))
        replacements.append(Replacement(first, end - first, new.to_batches()))
        parts += [rows[at:first], new]
        at = end
    wanted = pa.concat_tables([*parts, rows[at:]])
    assert spliced(_Old(rows), replacements)[0] == [chunk.digest for chunk in chunks_of(wanted)]


def test_one_changed_row_costs_a_chunk_or_two() -> None:
    """In proportion to the change: what is cut again is counted, not timed."""
    rows = pa.table({"data": [number.to_bytes(8, "little") * 8 for number in range(400_000)]}, SCHEMA)
    old = _Old(rows)
    assert len(old.chunks) > 20
    new = pa.table({"data": [b"changed"]}, SCHEMA)
    _, cut = spliced(old, [Replacement(200_000, 1, new.to_batches())])
    assert cut <= 3
    assert old.looked_at <= 3 * max(chunk.row_count for chunk in old.chunks)
