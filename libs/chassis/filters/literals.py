"""Values that stand in a condition."""

import datetime
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from sqlglot import exp

from chassis.filters.errors import InvalidFilter

_TYPES: Mapping[exp.DType, Any] = {
    exp.DType.DATE: pa.date32(),
    exp.DType.TIMESTAMP: pa.timestamp("us"),
    exp.DType.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
    exp.DType.TIME: pa.time64("us"),
    exp.DType.INT: pa.int32(),
    exp.DType.BIGINT: pa.int64(),
    exp.DType.DOUBLE: pa.float64(),
    exp.DType.FLOAT: pa.float32(),
    exp.DType.VARCHAR: pa.string(),
    exp.DType.TEXT: pa.string(),
    exp.DType.BOOLEAN: pa.bool_(),
}
TYPES = tuple(sorted(kind.value for kind in _TYPES))


def literal_of(node: exp.Expression) -> Any:
    """The value that the node writes: None, a bool, a number or a text.

    Raises:
        InvalidFilter: it writes none.
    """
    if isinstance(node, exp.Paren):
        return literal_of(node.this)
    if isinstance(node, exp.Neg):
        value = literal_of(node.this)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    if isinstance(node, exp.Null):
        return None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else _number(node.this)
    raise InvalidFilter(f"{node.sql()[:60]} stands where a value should.")


def scalar_like(node: exp.Expression, kind: Any) -> pa.Scalar:
    """The value as one of the type ``kind``, where a text can be read as one; else as it is.

    Raises:
        InvalidFilter: the text is no such value.
    """
    if isinstance(node, exp.Cast):
        return cast_literal(node)
    value = literal_of(node)
    is_read = isinstance(value, str) and (pa.types.is_temporal(kind) or pa.types.is_decimal(kind))
    if pa.types.is_binary(kind) and isinstance(value, str):
        return pa.scalar(value.encode(), kind)
    try:
        return _cast(value, kind) if is_read else pa.scalar(value)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InvalidFilter(f"{value!r} is no {kind}.") from error


def cast_literal(node: exp.Cast) -> pa.Scalar:
    """The value that ``CAST('2024-05-01' AS DATE)`` writes.

    Raises:
        InvalidFilter: it writes none.
    """
    value, kind = literal_of(node.this), type_named(node)
    try:
        return _cast(value, kind)
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InvalidFilter(f"{value!r} is no {node.to.sql()}.") from error


def _cast(value: Any, kind: Any) -> pa.Scalar:
    if pa.types.is_time(kind) and isinstance(value, str):
        return pa.scalar(datetime.time.fromisoformat(value), kind)  # which Arrow does not read
    return pa.scalar(value).cast(kind)


def type_named(node: exp.Cast) -> Any:
    """The Arrow type that a CAST names.

    Raises:
        InvalidFilter: a type that is not one of ``TYPES``.
    """
    kind = _TYPES.get(node.to.this)
    if kind is None or node.to.expressions:
        raise InvalidFilter(f"CAST to {node.to.sql()} is not known; there are {', '.join(TYPES)}.")
    return kind


def _number(text: str) -> int | float:
    try:
        value: int | float = int(text) if text.isdigit() else float(text)
    except ValueError as error:
        raise InvalidFilter(f"{text} is no number.") from error
    if isinstance(value, int) and value >= 2**63:
        raise InvalidFilter(f"{text} is larger than a 64-bit integer.")
    return value
