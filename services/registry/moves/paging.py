"""Pages of moves, bounded by what was said of them."""

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.paging import Page, decode_token, page_of
from services.registry.moves.model import AliasChange, Transition
from services.registry.pages import fitting, read_by_weight, weight_of

M = TypeVar("M", Transition, AliasChange)


async def page_of_moves(
    read: Callable[[int, int | None], Awaitable[Sequence[M]]], size: int, token: str, query: str
) -> Page[M]:
    """A page of at most ``size`` moves; ``read(limit, before)`` gives some of them, the newest first."""
    before = decode_token(token, query, (int,))

    async def placed(limit: int, before: int | None) -> Sequence[tuple[M, int]]:
        return [(move, move.sequence) for move in await read(limit, before)]

    found = await read_by_weight(placed, size + 1, int(before[0]) if before else None, _weight)
    moves = [move for move, _sequence in found]
    return page_of(moves, fitting(moves, size, _weight), key=lambda move: (move.sequence,), query=query)


def _weight(move: Transition | AliasChange) -> int:
    return 5 + weight_of(move.why.comment, *(text for each in move.why.evidence for text in dataclasses.astuple(each)))
