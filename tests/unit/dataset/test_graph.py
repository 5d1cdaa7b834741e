"""Walks through histories of any shape, compared with what follows from the definitions."""

import asyncio
import dataclasses
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from chassis.testing import ManualClock
from headwater.names import DatasetName
from services.dataset.datasets import new_dataset
from services.dataset.history.graph import Graph, merge_base, newest_first
from services.dataset.history.model import Draft, commit_of
from services.dataset.memory import MemoryStore

DIGITS = DatasetName("default", "digits")
Shape = list[list[int]]
"""The parents of each commit, all of them before it."""


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    parents: Shape = [[]]
    for number in range(1, draw(st.integers(1, 25))):
        chosen = draw(st.lists(st.integers(0, number - 1), min_size=0, max_size=2, unique=True))
        parents.append(chosen)
    return parents


def id_of(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def ancestors(shape: Shape, number: int) -> set[int]:
    """A commit and all before it."""
    return {number}.union(*(ancestors(shape, parent) for parent in shape[number]))


async def stored(shape: Shape) -> MemoryStore:
    store = MemoryStore(ManualClock())
    async with store.transaction() as tx:
        dataset = await tx.create_dataset(new_dataset(DIGITS, "ann"))
        for number, parents in enumerate(shape):
            draft = Draft(DIGITS, b"d" * 32, (), str(number), "ann")
            commit = commit_of(draft, dataset.uid, [id_of(parent) for parent in parents], await tx.now())
            await tx.add_commit(dataclasses.replace(commit, id=id_of(number)))
    return store


@given(shapes(), st.data())
def test_a_list_holds_every_ancestor_once_and_newest_first_however_it_is_paged(
    shape: Shape, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(shape) - 1))
    size = data.draw(st.integers(1, 6))
    again = data.draw(st.booleans())

    async def story() -> None:
        async with (await stored(shape)).transaction() as tx:
            ids, starts, below = list[bytes](), [id_of(start)], None
            while starts:
                links, rest = await newest_first(tx, starts, size, below)
                ids += [link.id for link in links]
                # Either from where the page ended, or from the start below its last number.
                below = links[-1].number if links else below
                starts = [id_of(start)] if again and rest else rest
            assert ids == [id_of(number) for number in sorted(ancestors(shape, start), reverse=True)]

    asyncio.run(story())


@given(shapes(), st.data())
def test_a_merge_base_is_a_common_ancestor_before_no_other_one(shape: Shape, data: st.DataObject) -> None:
    ours, theirs = (data.draw(st.integers(0, len(shape) - 1)) for _ in range(2))
    common = ancestors(shape, ours) & ancestors(shape, theirs)

    async def story() -> None:
        async with (await stored(shape)).transaction() as tx:
            base = await merge_base(tx, id_of(ours), id_of(theirs))
            assert base == (id_of(max(common)) if common else None)
            assert not any(id_of(other) != base and max(common) in ancestors(shape, other) for other in common)

    asyncio.run(story())


@given(shapes(), st.integers(1, 4))
def test_what_is_near_does_not_depend_on_how_far_ahead_a_walk_looks(shape: Shape, look_ahead: int) -> None:
    async def story() -> None:
        async with (await stored(shape)).transaction() as tx:
            graph = Graph(tx, look_ahead)
            for number, parents in reversed(list(enumerate(shape))):
                (link,) = await graph.links([id_of(number)])
                assert link.parents == tuple(id_of(parent) for parent in parents)

    asyncio.run(story())
