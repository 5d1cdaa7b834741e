"""A page of heavy rows ends early, and the next one goes on where it ended."""

from chassis.paging import decode_token
from services.registry.pages import MAX_PAGE_WEIGHT, weighed_page


def _pages(weights: list[int], size: int) -> list[list[int]]:
    """All pages of the rows 0, 1, …, which weigh as much as ``weights`` says."""
    pages: list[list[int]] = []
    begin = 0
    while True:
        rows = list(range(begin, len(weights)))[: size + 1]
        page = weighed_page(rows, size, key=lambda row: (row,), query="q", weight=lambda row: weights[row])
        pages.append(list(page.items))
        after = decode_token(page.next_page_token, "q", (int,))
        if after is None:
            return pages
        begin = int(after[0]) + 1


def test_light_rows_fill_their_pages() -> None:
    assert _pages([1] * 5, 2) == [[0, 1], [2, 3], [4]]


def test_heavy_rows_make_short_pages() -> None:
    half = MAX_PAGE_WEIGHT // 2
    assert _pages([half, half, half, 1, 1], 10) == [[0, 1], [2, 3, 4]]


def test_a_row_that_is_too_heavy_alone_has_a_page_of_its_own() -> None:
    assert _pages([1, MAX_PAGE_WEIGHT + 1, 1], 10) == [[0], [1], [2]]
