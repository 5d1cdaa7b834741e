"""Pages of rows that differ much in size."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from chassis.paging import Key, Page, page_of

T = TypeVar("T")
A = TypeVar("A")

MAX_PAGE_WEIGHT = 250_000
"""A page ends before it holds more small values (parameters, metrics, tensors) than this: about 16 MiB as a message."""
CHARACTERS = 64
"""Of text weigh as much as one small value."""
_CHUNK = 100
"""Rows that are read at once: each may hold much."""


def weighed_page(
    rows: Sequence[T], size: int, *, key: Callable[[T], Key], query: str, weight: Callable[[T], int]
) -> Page[T]:
    """Like ``page_of``, but the page ends early where its rows together weigh too much. It has one row at least."""
    return page_of(rows, fitting(rows, size, weight), key=key, query=query)


def fitting(rows: Sequence[T], size: int, weight: Callable[[T], int]) -> int:
    """How many of the rows make a page: ``size`` of them, or fewer where they weigh too much; one at least."""
    total = 0
    for count, row in enumerate(rows[:size]):
        total += weight(row)
        if count and total > MAX_PAGE_WEIGHT:
            return count
    return size


def weight_of(*said: object) -> int:
    """How much texts and free values weigh, beside what else there is of a row."""
    return sum(len(each if isinstance(each, str) else json.dumps(each)) for each in said) // CHARACTERS


async def read_by_weight(
    read: Callable[[int, A | None], Awaitable[Sequence[tuple[T, A]]]],
    wanted: int,
    after: A | None,
    weight: Callable[[T], int],
) -> Sequence[tuple[T, A]]:
    """The first ``wanted`` rows after a place, or fewer as soon as they are too heavy for a page; ``read(limit,
    after)`` gives some of them, each with its own place."""
    found: list[tuple[T, A]] = []
    total = 0
    while len(found) < wanted and total <= MAX_PAGE_WEIGHT:
        limit = min(_CHUNK, wanted - len(found))
        chunk = await read(limit, after)
        found += chunk
        total += sum(weight(row) for row, _position in chunk)
        if len(chunk) < limit:
            break
        after = chunk[-1][1]
    return found
