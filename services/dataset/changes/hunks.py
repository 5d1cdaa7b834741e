"""Where the rows of two splits differ: first chunk by chunk, then row by row where chunks differ.

Chunks end where rows say, so equal rows make equal chunks: only the chunks around a change are looked into.
"""

from collections.abc import Sequence

from services.dataset.changes.side import Side
from services.dataset.trees.align import Hunk, align

MAX_ALIGNED_ROWS = 1 << 21
"""Between two equal chunks; where more rows differ, all of them are taken to be replaced."""


async def row_hunks(base: Side, other: Side) -> list[Hunk]:
    """Where the rows of ``base`` and ``other`` differ, in order. Both have the same columns."""
    hunks: list[Hunk] = []
    base_chunks, other_chunks = ([chunk.digest for chunk in side.chunks] for side in (base, other))
    for hunk in align(base_chunks, other_chunks):
        first, count = _rows(base, hunk.first, hunk.end)
        other_first, other_count = _rows(other, hunk.other_first, hunk.other_end)
        if count + other_count > MAX_ALIGNED_ROWS:
            hunks.append(Hunk(first, count, other_first, other_count))
            continue
        ours, theirs = await base.digests(first, count), await other.digests(other_first, other_count)
        hunks.extend(part.moved(first, other_first) for part in align(ours, theirs))
    return hunks


async def by_key(hunks: Sequence[Hunk], base: Side, other: Side, columns: Sequence[str]) -> list[Hunk]:
    """The same differences, taken apart so that a row stands where the row with the same key does.

    Each is then one row that became another, one row that is gone, or some that are new.
    """
    parts: list[Hunk] = []
    for hunk in hunks:
        ours = await base.keys(hunk.first, hunk.count, columns)
        theirs = await other.keys(hunk.other_first, hunk.other_count, columns)
        before = await base.digests(hunk.first, hunk.count)
        after = await other.digests(hunk.other_first, hunk.other_count)
        place, other_place = 0, 0
        for gap in [*align(ours, theirs), Hunk(len(ours), 0, len(theirs), 0)]:
            while place < gap.first:
                if before[place] != after[other_place]:
                    parts.append(Hunk(hunk.first + place, 1, hunk.other_first + other_place, 1))
                place, other_place = place + 1, other_place + 1
            other_first = hunk.other_first + gap.other_first
            parts.extend(Hunk(hunk.first + gone, 1, other_first, 0) for gone in range(gap.first, gap.end))
            if gap.other_count:
                parts.append(Hunk(hunk.first + gap.end, 0, other_first, gap.other_count))
            place, other_place = gap.end, gap.other_end
    return parts


def _rows(side: Side, first_chunk: int, end_chunk: int) -> tuple[int, int]:
    if first_chunk == len(side.chunks):
        return side.row_count, 0
    first = side.chunks[first_chunk].first_row
    end = side.chunks[end_chunk].first_row if end_chunk < len(side.chunks) else side.row_count
    return first, end - first
