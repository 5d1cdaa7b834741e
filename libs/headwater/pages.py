"""The answers of methods that list, page by page."""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar


class _Asks(Protocol):
    page_token: str


class _Page(Protocol):
    @property
    def next_page_token(self) -> str: ...


_Request = TypeVar("_Request", bound=_Asks)
_Answer = TypeVar("_Answer", bound=_Page)


def pages(call: Callable[[_Request], _Answer], request: _Request) -> Iterator[_Answer]:
    """Every page of a list, from the one that ``request`` asks for; each is asked for when the one before was read."""
    while True:
        page = call(request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
