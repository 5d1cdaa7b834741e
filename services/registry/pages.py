"""Pages of rows that differ much in size."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from chassis.paging import Key, Page, page_of

T = TypeVar("T")

MAX_PAGE_WEIGHT = 250_000
"""A page ends before it holds more small values (parameters, metrics, tensors) than this: about 16 MiB as a message."""


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
