"""Comparing a column of numbers with a number as it is written, exactly.

Arrow brings both sides to one type before it compares, and that type may hold neither: 9007199254740993 becomes a
float, 1.1 a binary fraction. So a number is brought to the column's own type, with what that does to the comparison: of
whole numbers, those from 1.5 on are those above 1.
"""

import decimal
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, cast

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

COMPARISONS: Mapping[type[exp.Expression], Any] = {
    exp.EQ: pc.Expression.__eq__,
    exp.NEQ: pc.Expression.__ne__,
    exp.LT: pc.Expression.__lt__,
    exp.LTE: pc.Expression.__le__,
    exp.GT: pc.Expression.__gt__,
    exp.GTE: pc.Expression.__ge__,
}
MIRRORED: Mapping[type[exp.Expression], type[exp.Expression]] = {
    exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
}
# More digits than any decimal type has.
_EXACT = decimal.Context(prec=200, rounding=decimal.ROUND_FLOOR)


class _Steps(NamedTuple):
    """The values that a type has: all from ``low`` to ``high`` in steps of a power of ten."""

    low: Decimal
    high: Decimal
    step: Decimal


def bare(node: exp.Expression) -> exp.Expression:
    """The node without the brackets around it."""
    return cast(exp.Expression, node.unnest())


def number_of(node: exp.Expression) -> Decimal | None:
    """The number that the node writes, perhaps with a sign or in brackets; None for anything else."""
    node = bare(node)
    if isinstance(node, exp.Neg):
        number = number_of(node.this)
        return None if number is None else -number
    if isinstance(node, exp.Literal) and not node.is_string:
        try:
            return Decimal(node.this)
        except decimal.InvalidOperation:
            return None
    return None


def is_number(kind: Any) -> bool:
    """Whether a column's values are numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def compare(column: Any, operator: type[exp.Expression], number: Decimal, kind: Any) -> Any:
    """The expression that compares a column of the type ``kind`` with a number; null where the column is."""
    if pa.types.is_floating(kind):
        return COMPARISONS[operator](column.cast(pa.float64()), pc.scalar(pa.scalar(float(number), pa.float64())))
    steps = _steps(kind)
    if number < steps.low:
        return _always(column, operator in (exp.GT, exp.GTE, exp.NEQ))
    if number > steps.high:
        return _always(column, operator in (exp.LT, exp.LTE, exp.NEQ))
    below = number.quantize(steps.step, context=_EXACT)
    if below != number:
        if operator in (exp.EQ, exp.NEQ):
            return _always(column, operator is exp.NEQ)
        operator = exp.GT if operator in (exp.GT, exp.GTE) else exp.LTE
    return COMPARISONS[operator](column, pc.scalar(_scalar(below, kind)))


def is_among(column: Any, numbers: Sequence[Decimal], kind: Any) -> Any:
    """The expression that looks a column's values up among numbers; false where the column is null."""
    if pa.types.is_floating(kind):
        return column.cast(pa.float64()).isin(pa.array([float(number) for number in numbers], pa.float64()))
    steps = _steps(kind)
    held = [number for number in numbers if steps.low <= number <= steps.high]
    held = [number for number in held if number.quantize(steps.step, context=_EXACT) == number]
    if pa.types.is_decimal(kind) and kind.bit_width < 128:  # which Arrow looks up nowhere
        kind = pa.decimal128(kind.precision, kind.scale)
        column = column.cast(kind)
    return column.isin(pa.array([_scalar(number, kind).as_py() for number in held], kind))


def _steps(kind: Any) -> _Steps:
    if pa.types.is_decimal(kind):
        step = Decimal(1).scaleb(-kind.scale)
        high = Decimal(10**kind.precision - 1).scaleb(-kind.scale, _EXACT)
        return _Steps(-high, high, step)
    if pa.types.is_unsigned_integer(kind):
        return _Steps(Decimal(0), Decimal(2**kind.bit_width - 1), Decimal(1))
    return _Steps(Decimal(-(2 ** (kind.bit_width - 1))), Decimal(2 ** (kind.bit_width - 1) - 1), Decimal(1))


def _scalar(number: Decimal, kind: Any) -> pa.Scalar:
    return pa.scalar(int(number) if pa.types.is_integer(kind) else number, kind)


def _always(column: Any, truth: bool) -> Any:
    return pc.if_else(column.is_null(), pc.scalar(pa.scalar(None, pa.bool_())), pc.scalar(truth))
