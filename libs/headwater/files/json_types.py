"""The Arrow type of JSON values: texts stay texts, whatever they look like."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

MAX_DEPTH = 30
"""Less than rows may be nested."""


class NoCommonType(ValueError):
    """Values that cannot be in one column; the text says where and why."""


def schema_of(rows: Iterable[Mapping[str, Any]]) -> pa.Schema:
    """The columns that objects have, in the order in which they first occur.

    Raises:
        NoCommonType
    """
    kind: Any = pa.struct([])
    for row in rows:
        kind = merged(kind, type_of(row, "", 0), "")
    return pa.schema(list(kind))


def type_of(value: Any, path: str, depth: int) -> Any:
    """The type of one value."""
    if depth > MAX_DEPTH:
        raise NoCommonType(f"{path} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict):
        fields = [(name, type_of(inner, f"{path}.{name}".lstrip("."), depth + 1)) for name, inner in value.items()]
        return pa.struct(fields)
    if isinstance(value, list):
        element = pa.null()
        for inner in value:
            element = merged(element, type_of(inner, f"{path}[]", depth + 1), f"{path}[]")
        return pa.list_(element)
    return _SCALARS[type(value)]


_SCALARS: Mapping[type, Any] = {
    type(None): pa.null(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
}


def merged(one: Any, other: Any, path: str) -> Any:
    """The type of a column that has values of both types.

    Raises:
        NoCommonType
    """
    if one.equals(other) or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if {one, other} == {pa.int64(), pa.float64()}:
        return pa.float64()
    if pa.types.is_list(one) and pa.types.is_list(other):
        return pa.list_(merged(one.value_type, other.value_type, f"{path}[]"))
    if pa.types.is_struct(one) and pa.types.is_struct(other):
        fields = {field.name: field.type for field in one}
        for field in other:
            inner = f"{path}.{field.name}".lstrip(".")
            fields[field.name] = merged(fields.get(field.name, pa.null()), field.type, inner)
        return pa.struct(list(fields.items()))
    raise NoCommonType(f"{path or 'the row'} is {_name(one)} in one place and {_name(other)} in another")


def parsed_type(kind: Any) -> Any:
    """The type to parse JSON into, from which values are then cast to ``kind``."""
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(parsed_type(kind.value_type))
    if types.is_struct(kind):
        return pa.struct([field.with_type(parsed_type(field.type)) for field in kind])
    if types.is_date(kind) or types.is_time(kind) or types.is_large_string(kind):
        return pa.string()
    return pa.float32() if types.is_float16(kind) else kind


def _name(kind: Any) -> str:
    for check, name in ((pa.types.is_struct, "an object"), (pa.types.is_list, "a list")):
        if check(kind):
            return name
    return str(kind)
