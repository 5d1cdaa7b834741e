"""Three-way merge by key, as decisions about numbers of rows: where a row stands decides nothing.

Whoever changed, added or removed the row of a key alone gets his way; both get it where they came to the same. Rows
that only moved are where ours are.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from services.dataset.changes.keyed import NONE, KeyChanges
from services.dataset.changes.model import Edit
from services.dataset.trees.align import Hunk, Numbers, numbered, ranges_of

Flags: TypeAlias = npt.NDArray[np.bool_]


def merge_by_key(
    ours: KeyChanges, moved: tuple[Numbers, Numbers], hunks: list[Hunk], theirs: KeyChanges
) -> tuple[list[Edit], KeyChanges, KeyChanges]:
    """What to do to our rows so that they have the changes of both sides; and what is in conflict, as ours, as theirs.

    Args:
        ours: what we changed of the base.
        moved: rows of the base that we have elsewhere as they were, and where.
        hunks: where our rows differ from the base's.
        theirs: what they changed of the same base.
    """
    our_keys, their_keys = numbered(ours.keys.tobytes(), theirs.keys.tobytes())
    our_at, their_at, is_unique = _both(our_keys, their_keys)
    same = is_unique & _same(ours.some(our_at), theirs.some(their_at))
    alone = ~np.isin(their_keys, our_keys)
    edits = _edits(theirs.some(alone), _Map(hunks, moved))
    return edits, ours.some(our_at[~same]), theirs.some(their_at[~same])


class _Map:
    """Where rows of the base are among ours."""

    def __init__(self, hunks: list[Hunk], moved: tuple[Numbers, Numbers]) -> None:
        self._first, count, self._other_first, other_count = ranges_of(hunks).T
        self._end, self._other_end = self._first + count, self._other_first + other_count
        order = np.argsort(moved[0])
        self._moved, self._moved_to = moved[0][order], moved[1][order]

    def rows(self, rows: Numbers) -> Numbers:
        """Where rows of the base are that we have as they were."""
        hunk = np.searchsorted(self._first, rows, side="right") - 1
        found = rows + self._shift(hunk)
        if len(self._moved):
            at = np.minimum(np.searchsorted(self._moved, rows), len(self._moved) - 1)
            is_moved = self._moved[at] == rows
            found[is_moved] = self._moved_to[at[is_moved]]
        return found

    def places(self, places: Numbers) -> Numbers:
        """Before which of our rows stands what stands before a row of the base; behind what we put in there."""
        # Of what begins there only rows put in: they come first, what was replaced there does not.
        hunk = np.searchsorted(self._first, places, side="left") - 1
        following = np.minimum(hunk + 1, len(self._first) - 1)
        if len(self._first):
            puts_in = (self._first[following] == places) & (self._end[following] == places)
            hunk = np.where(puts_in, following, hunk)
        found = places + self._shift(hunk)
        within = hunk >= 0
        within[within] &= self._end[hunk[within]] > places[within]
        found[within] = self._other_end[hunk[within]]
        return found

    def _shift(self, hunk: Numbers) -> Numbers:
        shift = np.zeros(len(hunk), np.int64)
        behind = hunk >= 0
        shift[behind] = (self._other_end - self._end)[hunk[behind]]
        return shift


def _both(ours: Numbers, theirs: Numbers) -> tuple[Numbers, Numbers, Flags]:
    """Where each key is that both have changed, and whether each of them did so in one row only."""
    keys, at, counts = np.unique(ours, return_index=True, return_counts=True)
    their_keys, their_at, their_counts = np.unique(theirs, return_index=True, return_counts=True)
    _, found, their_found = np.intersect1d(keys, their_keys, assume_unique=True, return_indices=True)
    is_unique = (counts[found] == 1) & (their_counts[their_found] == 1)
    return at[found], their_at[their_found], is_unique


def _same(ours: KeyChanges, theirs: KeyChanges) -> Flags:
    """Whether both came to the same: gone, or the same row."""
    gone, their_gone = ours.other_rows == NONE, theirs.other_rows == NONE
    equal = (ours.other_digests == theirs.other_digests).all(axis=1)
    found: Flags = (gone & their_gone) | (~gone & ~their_gone & equal)
    return found


def _edits(theirs: KeyChanges, to_ours: _Map) -> list[Edit]:
    is_new = theirs.base_rows == NONE
    first = np.empty(len(theirs), np.int64)
    first[is_new] = to_ours.places(theirs.base_places[is_new])
    first[~is_new] = to_ours.rows(theirs.base_rows[~is_new])
    # What is put in before a row comes before what happens to that row; several in their order.
    order = np.lexsort((theirs.places, ~is_new, first))
    edits = []
    for at in order.tolist():
        there = int(theirs.other_rows[at])
        count = int(there != NONE)
        edits.append(Edit(int(first[at]), int(not is_new[at]), there if count else 0, count))
    return edits
