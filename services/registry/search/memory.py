"""Conditions and orders over plain values: the same as in PostgreSQL."""

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from services.registry.search.fields import Field
from services.registry.search.orders import ORDERED_CHARACTERS, Order, OrderKey
from services.registry.search.pages import Position, Rank, Tie
from services.registry.search.tree import And, Comparison, Condition, NoneOf, Not, OneOf, Operator, Or, Present, Value

T = TypeVar("T")
Lookup = Callable[[T, Field], Value | tuple[Value, ...] | None]
"""The value of a field as its kind says (text, float, int for a word, aware datetime), or None where there is none; all
the values of a field that may have several."""


def matches(condition: Condition, row: T, lookup: Lookup[T]) -> bool:
    """Whether the condition is true of ``row``."""
    match condition:
        case And(parts):
            return all(matches(part, row, lookup) for part in parts)
        case Or(parts):
            return any(matches(part, row, lookup) for part in parts)
        case Not(part):
            return not matches(part, row, lookup)
    found = lookup(row, condition.field)
    values = found if isinstance(found, tuple) else (found,)
    return any(_holds(condition, value) for value in values if value is not None)


def _holds(leaf: Comparison | OneOf | NoneOf | Present, value: Value) -> bool:
    match leaf:
        case Present():
            return True
        case OneOf(_field, values):
            return value in values
        case NoneOf(_field, values):
            return value not in values
        case Comparison(_field, operator, wanted):
            return _compares(value, operator, wanted)


def in_order(rows: Iterable[T], order: Order, lookup: Lookup[T], tie: Callable[[T], Tie]) -> list[T]:
    """The rows in this order; ``tie`` gives what is unique of each."""

    def compare(one: T, other: T) -> int:
        return _compare(position_of(one, order, lookup, tie), position_of(other, order, lookup, tie), order)

    return sorted(rows, key=functools.cmp_to_key(compare))


def after(rows: Iterable[T], position: Position, order: Order, lookup: Lookup[T], tie: Callable[[T], Tie]) -> list[T]:
    """Those of the rows that come after ``position``."""
    return [row for row in rows if _compare(position, position_of(row, order, lookup, tie), order) < 0]


def position_of(row: T, order: Order, lookup: Lookup[T], tie: Callable[[T], Tie]) -> Position:
    """Where ``row`` stands in this order."""
    return Position(tuple(_ordered(lookup(row, key.field)) for key in order.keys), tie(row))


def _ordered(found: Value | tuple[Value, ...] | None) -> Value | None:
    value = min(found, default=None) if isinstance(found, tuple) else found
    return value[:ORDERED_CHARACTERS] if isinstance(value, str) else value


def _compare(one: Position, other: Position, order: Order) -> int:
    for key, first, second in zip(order.keys, one.values, other.values, strict=True):
        difference = _compare_values(key, first, second)
        if difference:
            return difference
    return _directed(one.tie, other.tie, order.descending)


def _compare_values(key: OrderKey, first: Value | None, second: Value | None) -> int:
    ranks = Rank.of(first), Rank.of(second)
    if ranks[0] != ranks[1] or ranks[0] is not Rank.VALUE:
        return ranks[0] - ranks[1]
    return _directed(first, second, key.descending)


def _directed(first: object, second: object, descending: bool) -> int:
    difference = int(first > second) - int(first < second)  # type: ignore[operator]  # of one kind
    return -difference if descending else difference


def _compares(value: Value, operator: Operator, wanted: Value) -> bool:
    match operator:
        case Operator.EQUAL:
            return value == wanted
        case Operator.NOT_EQUAL:
            return value != wanted
        case Operator.LIKE:
            return _is_like(value, wanted)
        case Operator.ILIKE:
            return _is_like(value, wanted, re.IGNORECASE | re.ASCII)
        case Operator.NOT_LIKE:
            return not _is_like(value, wanted)
        case Operator.NOT_ILIKE:
            return not _is_like(value, wanted, re.IGNORECASE | re.ASCII)
    if isinstance(value, float) and math.isnan(value):
        return False
    sign = int(value > wanted) - int(value < wanted)  # type: ignore[operator]  # of one kind
    return sign in _SIGNS[operator]


_SIGNS: dict[Operator, Sequence[int]] = {
    Operator.LESS: (-1,),
    Operator.LESS_OR_EQUAL: (-1, 0),
    Operator.GREATER: (1,),
    Operator.GREATER_OR_EQUAL: (1, 0),
}


def _is_like(value: Value, wanted: Value, flags: int = 0) -> bool:
    return re.fullmatch(_pattern(str(wanted)), str(value), re.DOTALL | flags) is not None


def _pattern(like: str) -> str:
    parts = re.findall(r"\\.|.", like, re.DOTALL)
    return "".join({"%": ".*", "_": "."}.get(part, re.escape(part.removeprefix("\\") or "\\")) for part in parts)
