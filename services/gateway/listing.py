"""Pages of lists. What cannot be read of a filter, an order or a place in the list is said beside the form."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from headwater.errors import InvalidArgument


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list."""

    things: Sequence[Any] = ()
    next_page_token: str = ""
    refused: str = ""
    """Why there is none, for whoever typed the filter; empty otherwise."""

    @property
    def status(self) -> int:
        """Of the HTTP answer that shows it."""
        return 400 if self.refused else 200


def page_number(text: str) -> int:
    """The page that is asked for, from 1; the first where the text is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 1


def listed(call: Callable[[Any], Any], request: Message, field: str) -> Listing:
    """The page that a List method answers with; ``field`` is that of the things in it."""
    try:
        answer = call(request)
    except InvalidArgument as error:
        return Listing(refused=error.message)
    return Listing(getattr(answer, field), answer.next_page_token)
