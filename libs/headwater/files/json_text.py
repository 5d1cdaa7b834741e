"""Rows as JSON objects that are read as the same rows again, given their types."""

import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from headwater.files.errors import SourceUnsupported


def json_schema(schema: pa.Schema) -> pa.Schema:
    """The schema to cast rows to before they are written.

    Raises:
        SourceUnsupported: naming a column that JSON cannot hold.
    """
    return pa.schema([pa.field(field.name, _written(field.type, field.name)) for field in schema])


def json_texts(rows: pa.RecordBatch, schema: pa.Schema) -> Iterator[str]:
    """One JSON object for each row, without line breaks; ``schema`` is that of ``json_schema``.

    Raises:
        SourceUnsupported: a number is NaN or infinite, which JSON has no word for.
    """
    for row in rows.cast(schema).to_pylist():
        yield json_text(row)


def json_text(value: Any) -> str:
    """One value, without line breaks."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise SourceUnsupported("JSON cannot hold NaN or infinity.") from error


def _written(kind: Any, path: str) -> Any:
    types = pa.types
    if types.is_dictionary(kind):
        return _written(kind.value_type, path)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_written(kind.value_type, f"{path}[]"))
    if types.is_struct(kind):
        return pa.struct([field.with_type(_written(field.type, f"{path}.{field.name}")) for field in kind])
    if types.is_timestamp(kind) or types.is_date(kind) or types.is_decimal(kind):
        return pa.string()
    if types.is_float16(kind):
        return pa.float32()
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_null(kind):
        return kind
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    raise SourceUnsupported(f"Column {path} is {kind}, which JSON cannot hold.", column=path)
