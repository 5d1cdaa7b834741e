"""One comparison, as SQL over the value."""

import math
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, Double, and_, literal

from services.registry.search.fields import Kind
from services.registry.search.tree import Comparison, NoneOf, OneOf, Operator, Present, Value

Leaf: TypeAlias = Comparison | OneOf | NoneOf | Present
"""A condition on one field."""
NAN = literal(math.nan, Double)
"""NaN, which PostgreSQL takes for equal to itself and larger than every number."""


def test(leaf: Leaf, value: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether the leaf is true of ``value``; false or null where that is null."""
    match leaf:
        case Present():
            return value.is_not(None)
        case OneOf(_field, values):
            return value.in_(values)
        case NoneOf(_field, values):
            return value.not_in(values)
        case Comparison(field, operator, wanted):
            return _compared(value, operator, wanted, is_number=field.kind is Kind.NUMBER)


def _compared(value: ColumnElement[Any], operator: Operator, wanted: Value, *, is_number: bool) -> ColumnElement[bool]:
    match operator:
        case Operator.EQUAL:
            return value == wanted
        case Operator.NOT_EQUAL:
            return value != wanted
        case Operator.LESS:
            return value < wanted
        case Operator.LESS_OR_EQUAL:
            return value <= wanted
        case Operator.GREATER:
            return and_(value > wanted, value < NAN) if is_number else value > wanted
        case Operator.GREATER_OR_EQUAL:
            return and_(value >= wanted, value < NAN) if is_number else value >= wanted
        case Operator.LIKE | Operator.ILIKE | Operator.NOT_LIKE | Operator.NOT_ILIKE:
            # In the collation of the value, C: what ILIKE folds are the letters A to Z. A backslash escapes.
            return value.op(operator.value, is_comparison=True)(wanted)
