"""The canonical form of a schema: names and logical types, nothing of how values are laid out in memory.

int32 and int64 differ. string, large_string, string_view and a dictionary of strings do not; nor do list, large_list
and fixed_size_list, nor timestamps of the same zone in other units. Nullability, metadata and extension types'
names are no part of it.
"""

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from headwater.tree.columns import (
    Boolean,
    Bytes,
    Column,
    Date,
    Decimal,
    Fixed,
    Float,
    Instant,
    List,
    Null,
    Struct,
    TimeOfDay,
)
from headwater.tree.errors import InvalidSchema, UnsupportedType
from headwater.tree.format import FORMAT, MAX_DEPTH, SCHEMA

_NUMBERS: dict[Any, tuple[int, str]] = {
    pa.int8(): (0x10, "<i1"),
    pa.int16(): (0x11, "<i2"),
    pa.int32(): (0x12, "<i4"),
    pa.int64(): (0x13, "<i8"),
    pa.uint8(): (0x14, "<u1"),
    pa.uint16(): (0x15, "<u2"),
    pa.uint32(): (0x16, "<u4"),
    pa.uint64(): (0x17, "<u8"),
}
_FLOATS: dict[Any, tuple[int, str]] = {
    pa.float16(): (0x20, "<f2"),
    pa.float32(): (0x21, "<f4"),
    pa.float64(): (0x22, "<f8"),
}
_NULL, _BOOL, _STRING, _BINARY = b"\x00", b"\x01", b"\x30", b"\x31"
_DECIMAL, _DATE, _TIME, _TIMESTAMP, _DURATION = b"\x40", b"\x50", b"\x51", b"\x52", b"\x53"
_LIST, _STRUCT, _MAP = b"\x60", b"\x61", b"\x62"

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_INSTANT = np.dtype([("seconds", "<i8"), ("nanos", "<u4")])

_is = pa.types


def columns_of(schema: pa.Schema) -> tuple[Column, ...]:
    """The columns' encoders.

    Raises:
        InvalidSchema: without columns, with two of one name, or nested too deeply.
        UnsupportedType: naming the column.
    """
    if len(schema) == 0 or all(_is.is_null(field.type) for field in schema):
        raise InvalidSchema("A dataset needs at least one column that can hold a value.")
    try:
        _check_names([field.name for field in schema], "the schema")
        return tuple(_column(field.type, field.name, 1) for field in schema)
    except UnicodeDecodeError as error:
        raise InvalidSchema("A name in the schema is not UTF-8.") from error


def schema_digest(schema: pa.Schema) -> bytes:
    """SHA-256 of the schema's canonical form; part of every row's digest and of the version's.

    Two schemas have the same digest exactly when rows can pass from one to the other without any value changing.
    """
    columns = columns_of(schema)
    preimage = SCHEMA + _text(FORMAT) + _count(len(columns))
    for field, column in zip(schema, columns, strict=True):
        preimage += _text(field.name.encode()) + column.canonical
    return hashlib.sha256(preimage).digest()


def _column(kind: Any, path: str, depth: int) -> Column:
    if depth > MAX_DEPTH:
        raise InvalidSchema(f"Column {path} is nested more than {MAX_DEPTH} deep.", column=path)
    column = _number(kind) or _bytes(kind) or _time(kind) or _nested(kind, path, depth)
    if column is None or _is_empty(kind):
        text = str(kind)[:200]
        raise UnsupportedType(f"Column {path} has type {text}, which rows cannot have.", column=path, type=text)
    return column


def _is_empty(kind: Any) -> bool:
    """Whether any number of values would take no bytes at all."""
    return bool(
        (_is.is_fixed_size_binary(kind) and kind.byte_width == 0)
        or (_is.is_fixed_size_list(kind) and kind.list_size == 0)
        or (_is.is_struct(kind) and kind.num_fields == 0)
    )


def _number(kind: Any) -> Column | None:
    if kind in _NUMBERS:
        tag, dtype = _NUMBERS[kind]
        return Fixed(bytes([tag]), np.dtype(dtype))
    if kind in _FLOATS:
        tag, dtype = _FLOATS[kind]
        return Float(bytes([tag]), np.dtype(dtype))
    if _is.is_boolean(kind):
        return Boolean(_BOOL, np.dtype(np.uint8))
    if _is.is_decimal(kind):
        canonical = _DECIMAL + bytes([kind.precision]) + kind.scale.to_bytes(4, "little", signed=True)
        return Decimal(canonical, np.dtype("V16" if kind.precision <= 38 else "V32"), kind.bit_width // 8)
    return Null(_NULL) if _is.is_null(kind) else None


def _bytes(kind: Any) -> Column | None:
    if _is.is_string(kind) or _is.is_large_string(kind) or _is.is_string_view(kind):
        return Bytes(_STRING)
    if _is.is_binary(kind) or _is.is_large_binary(kind) or _is.is_binary_view(kind) or _is.is_fixed_size_binary(kind):
        return Bytes(_BINARY)
    return None


def _time(kind: Any) -> Column | None:
    if _is.is_timestamp(kind):
        zone = _TIMESTAMP + _text((kind.tz or "").encode())
        return Instant(zone, _INSTANT, _PER_SECOND[kind.unit])
    if _is.is_duration(kind):
        return Instant(_DURATION, _INSTANT, _PER_SECOND[kind.unit])
    if _is.is_date(kind):
        return Date(_DATE, np.dtype("<i8"), _signed(kind))
    if _is.is_time(kind):
        return TimeOfDay(_TIME, np.dtype("<i8"), _signed(kind), 10**9 // _PER_SECOND[kind.unit])
    return None


def _nested(kind: Any, path: str, depth: int) -> Column | None:
    inside: Callable[[Any, str], Column] = functools.partial(_column, depth=depth + 1)
    if isinstance(kind, pa.BaseExtensionType):
        return inside(kind.storage_type, path)
    if _is.is_dictionary(kind):
        return None if _folds(kind.value_type) else inside(kind.value_type, path)
    if _is.is_map(kind):
        key, value = inside(kind.key_type, f"{path}.key"), inside(kind.item_type, f"{path}.value")
        return List(_MAP + key.canonical + value.canonical, Struct(b"", (key, value)))
    if _is.is_list(kind) or _is.is_large_list(kind) or _is.is_fixed_size_list(kind):
        element = inside(kind.value_type, f"{path}[]")
        return List(_LIST + element.canonical, element)
    if _is.is_struct(kind):
        _check_names([field.name for field in kind], f"column {path}")
        fields = tuple(inside(field.type, f"{path}.{field.name}") for field in kind)
        named = (_text(field.name.encode()) + made.canonical for field, made in zip(kind, fields, strict=True))
        return Struct(_STRUCT + _count(len(fields)) + b"".join(named), fields)
    return None


def _folds(kind: Any) -> bool:
    """Whether a dictionary of such values could stand for more memory than can be told beforehand."""
    return _is.is_nested(kind) or _is.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType)


def _check_names(names: list[str], where: str) -> None:
    seen: set[str] = set()
    for name in names:
        if not name or name in seen:
            raise InvalidSchema(f"The name {name!r} is empty or stands twice in {where}.", column=name)
        seen.add(name)


def _signed(kind: Any) -> np.dtype[Any]:
    return np.dtype("<i4" if kind.bit_width == 32 else "<i8")


def _text(value: bytes) -> bytes:
    return _count(len(value)) + value


def _count(value: int) -> bytes:
    return value.to_bytes(4, "little")
