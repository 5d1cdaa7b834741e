"""Where the rows of two splits differ: nodes first, then chunks, then rows where chunks differ.

Chunks end where rows say, so equal rows make equal chunks: only the chunks around a change are looked into, and above
them only the nodes that differ.
"""

import asyncio
from collections.abc import AsyncIterator

from headwater import tree
from services.dataset.changes.side import Side
from services.dataset.store import Store
from services.dataset.trees.align import Hunk, align_digests
from services.dataset.trees.differing import Region, differing

WINDOW_ROWS = 1 << 18
"""Where more rows than this differ between two equal chunks, they are aligned window by window: a row that has moved
further than that is then one that went and one that came."""


async def row_hunks(store: Store, base: Side | None, other: Side | None) -> AsyncIterator[Hunk]:
    """Where the rows of two splits differ, in order; an absent split has no rows."""
    if base is None or other is None or tree.schema_digest(base.schema) != tree.schema_digest(other.schema):
        # A row's digest covers the columns, so no row of the one is a row of the other.
        whole = Hunk(0, base.row_count if base else 0, 0, other.row_count if other else 0)
        if whole.count or whole.other_count:
            yield whole
        return
    async with store.transaction() as tx:
        regions = await differing(tx, base.split.tree, other.split.tree)
    for region in regions:
        async for hunk in _in_region(base, other, region):
            yield hunk


async def _in_region(base: Side, other: Side, region: Region) -> AsyncIterator[Hunk]:
    row, other_row = region.base.first_row, region.other.first_row
    end, other_end = region.base.end_row, region.other.end_row
    while row < end and other_row < other_end:
        count, other_count = min(WINDOW_ROWS, end - row), min(WINDOW_ROWS, other_end - other_row)
        digests = await base.digests(row, count), await other.digests(other_row, other_count)
        hunks = await asyncio.to_thread(align_digests, *digests)
        cut, other_cut = count, other_count
        if (row + count, other_row + other_count) != (end, other_end):
            cut, other_cut = _settled(hunks, count, other_count)
        for hunk in hunks:
            if hunk.end <= cut and hunk.other_end <= other_cut:
                yield hunk.moved(row, other_row)
        row, other_row = row + cut, other_row + other_cut
    if row < end or other_row < other_end:
        yield Hunk(row, end - row, other_row, other_end - other_row)


def _settled(hunks: list[Hunk], count: int, other_count: int) -> tuple[int, int]:
    """Up to where what was found in a window holds whatever comes behind it: the last one reaches into that."""
    if not hunks or (hunks[-1].end < count and hunks[-1].other_end < other_count):
        return count, other_count
    last = hunks[-1]
    # Unless nearly the whole window differs: then going on from there would not come far.
    is_far = last.first + last.other_first >= (count + other_count) // 2
    return (last.first, last.other_first) if is_far else (count, other_count)
