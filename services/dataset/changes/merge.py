"""Three-way merge, as decisions about ranges of rows: from what both sides changed of one base to what is to be done.

Rows are looked at through their digests only (``contents``), so this knows neither rows nor where they are.
"""

from collections.abc import Callable, Sequence

from services.dataset.changes.model import Clash, Edit
from services.dataset.trees.align import Hunk

Contents = Callable[[Hunk], object]
"""Something that is equal for two hunks that put the same rows in the place of the same rows."""


def merge(
    ours: Sequence[Hunk], theirs: Sequence[Hunk], ours_contents: Contents, theirs_contents: Contents
) -> tuple[list[Edit], list[Clash]]:
    """What to do to our rows so that they have the changes of both sides, and what stands against it.

    Both are differences from the base, in order. Changes clash when they touch the same rows of the base in different
    ways, and when both put rows at the same place.
    """
    edits: list[Edit] = []
    clashes: list[Clash] = []
    place, shift = 0, 0
    for theirs_hunk in theirs:
        while place < len(ours) and _is_before(ours[place], theirs_hunk):
            shift += ours[place].other_count - ours[place].count
            place += 1
        touching = _touching(ours, place, theirs_hunk)
        if any(_is_same(each, theirs_hunk, ours_contents, theirs_contents) for each in touching):
            continue
        if touching:
            clashes.extend(Clash(each, theirs_hunk) for each in touching)
            continue
        put_in = place < len(ours) and _inserts_at(ours[place], theirs_hunk.first)
        at = shift + (ours[place].other_count if put_in else 0)
        edits.append(Edit(theirs_hunk.first + at, theirs_hunk.count, theirs_hunk.other_first, theirs_hunk.other_count))
    return edits, clashes


def touches(ours: Hunk, theirs: Hunk) -> bool:
    """Whether the two change the same rows of the base, or put rows at the same place."""
    if ours.count and theirs.count:
        return max(ours.first, theirs.first) < min(ours.end, theirs.end)
    if not ours.count and not theirs.count:
        return ours.first == theirs.first
    inserted, replaced = (ours, theirs) if theirs.count else (theirs, ours)
    return replaced.first < inserted.first < replaced.end


def _touching(ours: Sequence[Hunk], place: int, theirs: Hunk) -> list[Hunk]:
    found = []
    for number in range(max(0, place - 1), len(ours)):
        each = ours[number]
        if each.first > theirs.end:
            break
        if touches(each, theirs):
            found.append(each)
    return found


def _is_before(ours: Hunk, theirs: Hunk) -> bool:
    """Whether what we changed lies wholly before; rows put in where theirs begin are looked at by ``_inserts_at``."""
    return ours.end <= theirs.first and not (not ours.count and ours.first == theirs.first)


def _inserts_at(ours: Hunk, first: int) -> bool:
    return not ours.count and ours.first == first


def _is_same(ours: Hunk, theirs: Hunk, ours_contents: Contents, theirs_contents: Contents) -> bool:
    same_place = (ours.first, ours.count, ours.other_count) == (theirs.first, theirs.count, theirs.other_count)
    return same_place and ours_contents(ours) == theirs_contents(theirs)
