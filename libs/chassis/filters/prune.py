"""Whether a chunk can hold a row that satisfies a condition, told from the chunk's statistics alone.

What is not known may match. So a chunk is left out only when no row of it can satisfy the condition.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from sqlglot import exp

from chassis.filters.errors import InvalidFilter
from chassis.filters.literals import scalar_like
from chassis.filters.numbers import MIRRORED, is_number, number_of
from chassis.filters.ranges import ColumnRange

_Ranges = Mapping[str, ColumnRange]
_POSSIBLE: Mapping[type[exp.Expression], Callable[[Any, Any, Any], bool]] = {
    exp.EQ: lambda low, high, value: low <= value <= high,
    exp.LT: lambda low, _, value: low < value,
    exp.LTE: lambda low, _, value: low <= value,
    exp.GT: lambda _, high, value: high > value,
    exp.GTE: lambda _, high, value: high >= value,
}


def may_match(node: exp.Expression, ranges: _Ranges, schema: pa.Schema) -> bool:
    """Whether any row may satisfy the condition."""
    waiting, alternatives = [node], []
    # Every part of a conjunction must be possible; parts are collected without recursion, for long chains.
    while waiting:
        part = waiting.pop()
        if isinstance(part, exp.And):
            waiting += [part.this, part.expression]
        elif isinstance(part, exp.Paren):
            waiting.append(part.this)
        elif isinstance(part, exp.Or):
            alternatives.append(part)
        elif not _simple(part, ranges, schema):
            return False
    return all(_any(alternative, ranges, schema) for alternative in alternatives)


def _any(node: exp.Expression, ranges: _Ranges, schema: pa.Schema) -> bool:
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, exp.Or):
            waiting += [part.this, part.expression]
        elif may_match(part, ranges, schema):
            return True
    return False


def _simple(node: exp.Expression, ranges: _Ranges, schema: pa.Schema) -> bool:
    match node:
        case exp.EQ() | exp.LT() | exp.LTE() | exp.GT() | exp.GTE():
            return _compared(node, ranges, schema)
        case exp.Between():
            low = exp.GTE(this=node.this, expression=node.args["low"])
            high = exp.LTE(this=node.this, expression=node.args["high"])
            return _compared(low, ranges, schema) and _compared(high, ranges, schema)
        case exp.In():
            values = (exp.EQ(this=node.this, expression=value) for value in node.expressions)
            return any(_compared(value, ranges, schema) for value in values)
        case exp.Is() if isinstance(node.expression, exp.Null):
            found = _range(node.this, ranges)
            return found is None or found.null_count > 0
        case exp.Not() if isinstance(node.this, exp.Is) and isinstance(node.this.expression, exp.Null):
            found = _range(node.this.this, ranges)
            return found is None or found.null_count < found.row_count
        case _:
            return True


def _compared(node: exp.Expression, ranges: _Ranges, schema: pa.Schema) -> bool:
    column, value, kind = node.this, node.expression, type(node)
    if not isinstance(column, exp.Column):
        column, value, kind = value, column, MIRRORED[kind]
    found = _range(column, ranges)
    if found is None or found.minimum is None or found.maximum is None:
        # Without bounds, all values are null (and no comparison holds), or NaN, or nothing is known.
        return found is None or found.null_count < found.row_count
    try:
        known = _comparable(value, schema.field(column.name).type)
        return known is None or _POSSIBLE[kind](found.minimum, found.maximum, known)
    except (InvalidFilter, TypeError, ValueError, pa.ArrowException):
        return True


def _range(node: exp.Expression, ranges: _Ranges) -> ColumnRange | None:
    if not isinstance(node, exp.Column) or len(node.parts) != 1:
        return None
    return ranges.get(node.name)


def _comparable(node: exp.Expression, kind: Any) -> Any:
    """The value as statistics hold those of its column; None where that cannot be told."""
    number = number_of(node)
    if number is not None and is_number(kind):
        # As it is compared with the column's values: with decimals and integers exactly.
        return float(number) if pa.types.is_floating(kind) else number
    value = scalar_like(node, kind)
    if not value.is_valid:
        return None
    if pa.types.is_temporal(kind):
        return value.cast(kind).value if value.type == kind else None
    return value.as_py()
