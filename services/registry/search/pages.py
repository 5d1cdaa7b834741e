"""From one page of a search to the next: the token holds where the last row stood in the order."""

import dataclasses
import datetime
import enum
import math
from collections.abc import Sequence
from typing import TypeAlias, TypeVar

from chassis.paging import InvalidPageToken, Page, decode_token, encode_token
from services.registry.ids import is_id
from services.registry.search.fields import Kind
from services.registry.search.orders import ORDERED_CHARACTERS, Order
from services.registry.search.tree import Value
from services.registry.search.values import EPOCH

T = TypeVar("T")
Tie: TypeAlias = int | str
"""What is unique of a row, the last word in every order: its sequence number or its uid."""
_MICROSECOND = datetime.timedelta(microseconds=1)


class Rank(enum.IntEnum):
    """What comes first, in both directions."""

    VALUE = 0
    NAN = 1
    MISSING = 2

    @classmethod
    def of(cls, value: Value | None) -> "Rank":
        """The rank of a value."""
        if value is None:
            return cls.MISSING
        return cls.NAN if isinstance(value, float) and math.isnan(value) else cls.VALUE


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """Where a row stands: its values by the fields of the order, None where it has none, and its tie."""

    values: tuple[Value | None, ...]
    tie: Tie


def encode(position: Position, query: str) -> str:
    """The page token that continues after ``position`` in the query with this digest."""
    parts: list[str | int] = []
    for value in position.values:
        rank = Rank.of(value)
        parts += (int(rank), _text(value) if rank is Rank.VALUE else "")
    return encode_token((*parts, position.tie), query)


def decode(token: str, query: str, order: Order, tie: type[int] | type[str]) -> Position | None:
    """Where to continue; None for the empty token.

    Raises:
        InvalidPageToken: it is garbage, or belongs to another query.
    """
    parts = decode_token(token, query)
    if parts is None:
        return None
    last = parts[-1]
    if len(parts) != 2 * len(order.keys) + 1 or type(last) is not tie or (isinstance(last, str) and not is_id(last)):
        raise InvalidPageToken()
    try:
        values = [
            _value(key.field.kind, rank, text)
            for key, rank, text in zip(order.keys, parts[:-1:2], parts[1::2], strict=True)
        ]
    except (ValueError, OverflowError) as error:
        raise InvalidPageToken() from error
    return Position(tuple(values), last)


def page_of_found(rows: Sequence[tuple[T, Position]], size: int, query: str) -> Page[T]:
    """The page of ``size`` rows out of ``rows``, of which one more was read to see whether there is a next page."""
    items = [row for row, _position in rows[:size]]
    return Page(items, encode(rows[size - 1][1], query) if len(rows) > size else "")


def _text(value: Value | None) -> str:
    match value:
        case datetime.datetime():
            return str((value - EPOCH) // _MICROSECOND)
        case float():
            return value.hex()
        case _:
            return str(value)


def _value(kind: Kind, rank: str | int, text: str | int) -> Value | None:
    if not isinstance(text, str) or not isinstance(rank, int):
        raise InvalidPageToken()
    match Rank(rank), kind:
        case Rank.MISSING, _:
            return None
        case Rank.NAN, Kind.NUMBER:
            return math.nan
        case Rank.VALUE, Kind.NUMBER:
            number = float.fromhex(text)
            if math.isnan(number):
                raise ValueError("NaN is no number")
            return number
        case Rank.VALUE, Kind.TIME:
            return EPOCH + int(text) * _MICROSECOND
        case Rank.VALUE, Kind.WORD:
            word = int(text)
            if not -(2**15) <= word < 2**15:
                raise ValueError("out of range")
            return word
        case Rank.VALUE, Kind.TEXT if len(text) <= ORDERED_CHARACTERS:
            return text
    raise ValueError("a part has another kind")
