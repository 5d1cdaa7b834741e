"""Reading orders, as in ``metrics.loss asc, start_time desc``."""

import dataclasses

from services.registry.search.errors import InvalidOrder
from services.registry.search.fields import Field, Fields
from services.registry.search.reader import Reader
from services.registry.search.tokens import Unreadable

MAX_LENGTH = 1024
MAX_KEYS = 4
ORDERED_CHARACTERS = 100
"""Texts are in the order of so many of their characters: what an index can hold, and a page token carry."""


@dataclasses.dataclass(frozen=True, slots=True)
class OrderKey:
    """By one field. Numbers come before NaN and that before what has no value, in both directions."""

    field: Field
    descending: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """By these fields, the first one first; what is equal in all of them by what is unique of it (the tie-break).

    A field of numbers and texts stands in ``keys`` twice: its numbers come before its texts.
    """

    keys: tuple[OrderKey, ...]
    descending: bool
    """The direction of the tie-break: that of the last field."""


NEWEST_FIRST = Order((), descending=True)


def parse_order(text: str, fields: Fields) -> Order:
    """The order that ``text`` asks for; NEWEST_FIRST when it is blank.

    Raises:
        InvalidOrder: it cannot be read, or names too many fields, or one twice.
    """
    try:
        return _read(Reader(text, fields, MAX_LENGTH))
    except Unreadable as error:
        raise InvalidOrder(error.sentence("The order"), position=error.position + 1) from error


def _read(reader: Reader) -> Order:
    if reader.finished():
        return NEWEST_FIRST
    keys: dict[tuple[str, str], list[OrderKey]] = {}
    while True:
        name, key, kinds, token = reader.field()
        if (name, key) in keys:
            raise Unreadable("the field comes twice", token.begin)
        if len(keys) == MAX_KEYS:
            raise Unreadable(f"there are more than {MAX_KEYS} fields", token.begin)
        descending = reader.accept("DESC")
        if not descending:
            reader.accept("ASC")
        keys[name, key] = [OrderKey(Field(name, key, kind), descending) for kind in kinds.kinds]
        if reader.finished():
            return Order(tuple(part for parts in keys.values() for part in parts), descending)
        reader.expect(",", "or the end")
