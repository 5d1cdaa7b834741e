"""What is known of each column's values in one chunk: a reader's filter leaves out chunks in which no row can match.

Bounds are safe and not always tight: every value that is neither null nor NaN lies between them, and long texts and
binaries are cut. What cannot be told in few bytes (nested columns, views, extension types) has no statistics.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chassis.filters.ranges import ColumnRange as ColumnRange
from chassis.filters.ranges import Value

MAX_COLUMNS = 256
"""The columns of a wider table that come after so many have no statistics: they would cost more than they save."""
MAX_LENGTH = 64
"""Characters or bytes of a bound."""

_FORMAT = 1
_is = pa.types


def collect(batches: Sequence[pa.RecordBatch]) -> bytes:
    """The statistics of the rows of a chunk: at least one batch, all of one schema, valid Arrow."""
    columns: dict[str, list[Any]] = {}
    for number, field in enumerate(batches[0].schema):
        if len(columns) == MAX_COLUMNS:
            break
        values = pa.chunked_array([batch.column(number) for batch in batches], field.type)
        found = _column(values)
        if found is not None:
            columns[field.name] = found
    rows = sum(batch.num_rows for batch in batches)
    return json.dumps([_FORMAT, rows, columns], separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def parse(statistics: bytes) -> Mapping[str, ColumnRange]:
    """The columns' ranges, of those columns that have one; none for empty bytes, and for what a later release wrote."""
    if not statistics:
        return {}
    form, *content = json.loads(statistics)
    if form != _FORMAT:
        return {}
    rows, columns = content
    ranges = {}
    for name, (kind, minimum, maximum, nulls, nans) in columns.items():
        value = _FROM_TEXT[kind]
        ranges[name] = ColumnRange(
            None if minimum is None else value(minimum), None if maximum is None else value(maximum), nulls, rows, nans
        )
    return ranges


def _column(values: pa.ChunkedArray) -> list[Any] | None:
    """Kind, minimum and maximum as JSON can hold them, nulls and NaNs; None for a type that has no statistics."""
    if _is.is_dictionary(values.type):
        return _dictionary(values)
    for applies, kind, bounds in _KINDS:
        if applies(values.type):
            return [kind, *bounds(values), values.null_count, _nan_count(values)]
    return None


def _dictionary(values: pa.ChunkedArray) -> list[Any] | None:
    """Those of the values that are used: unfolding all rows could take any amount of memory."""
    used = []
    for chunk in values.chunks:
        indices = pc.drop_null(pc.unique(chunk.indices))
        used.append(chunk.dictionary.take(indices))
    found = _column(pa.chunked_array(used, values.type.value_type))
    if found is None:
        return None
    kind, minimum, maximum, _, nan_values = found
    if nan_values or any(chunk.dictionary.null_count for chunk in values.chunks):
        # How many rows they stand for takes a look at every row; dictionaries of floats, or with nulls, are rare.
        return None
    return [kind, minimum, maximum, values.null_count, 0]


def _nan_count(values: pa.ChunkedArray) -> int:
    return (pc.sum(pc.is_nan(values)).as_py() or 0) if _is.is_floating(values.type) else 0


def _numbers(values: pa.ChunkedArray) -> tuple[Any, Any]:
    least, most = _min_max(values)
    return least.as_py(), most.as_py()


def _ticks(values: pa.ChunkedArray) -> tuple[Any, Any]:
    if _is.is_duration(values.type):
        return _numbers(values.cast(pa.int64()))
    least, most = _min_max(values)
    return least.value, most.value


def _floats(values: pa.ChunkedArray) -> tuple[Any, Any]:
    least, most = _numbers(values.cast(pa.float32()) if _is.is_float16(values.type) else values)
    if least is None or least != least:  # all of them are NaN
        return None, None
    # As 0.0 equals -0.0, the bounds must hold both wherever they hold one.
    return (least or -0.0).hex(), (most or 0.0).hex()


def _decimals(values: pa.ChunkedArray) -> tuple[Any, Any]:
    kind = values.type
    if kind.bit_width < 128:
        values = values.cast(pa.decimal128(kind.precision, kind.scale))
    least, most = _numbers(values)
    return (None, None) if least is None else (str(least), str(most))


def _texts(values: pa.ChunkedArray) -> tuple[Any, Any]:
    least, most = _numbers(values)
    return (None, None) if least is None else (least[:MAX_LENGTH], _text_above(most))


def _binaries(values: pa.ChunkedArray) -> tuple[Any, Any]:
    least, most = _numbers(values)
    if least is None:
        return None, None
    above = _bytes_above(most)
    return least[:MAX_LENGTH].hex(), None if above is None else above.hex()


def _min_max(values: pa.ChunkedArray) -> tuple[Any, Any]:
    both = pc.min_max(values)
    return both["min"], both["max"]


def _text_above(text: str) -> str | None:
    """A text of at most MAX_LENGTH characters that is not less than ``text``, compared by code points as UTF-8 is."""
    if len(text) <= MAX_LENGTH:
        return text
    cut = text[:MAX_LENGTH].rstrip(chr(0x10FFFF))
    if not cut:
        return None
    following = ord(cut[-1]) + 1
    return cut[:-1] + chr(0xE000 if following == 0xD800 else following)


def _bytes_above(data: bytes) -> bytes | None:
    """Bytes, at most MAX_LENGTH of them, that are not less than ``data``."""
    if len(data) <= MAX_LENGTH:
        return data
    cut = data[:MAX_LENGTH].rstrip(b"\xff")
    return cut[:-1] + bytes([cut[-1] + 1]) if cut else None


_KINDS: tuple[tuple[Callable[[Any], bool], str, Callable[[pa.ChunkedArray], tuple[Any, Any]]], ...] = (
    (_is.is_boolean, "b", _numbers),
    (_is.is_integer, "i", _numbers),
    (_is.is_floating, "f", _floats),
    (_is.is_decimal, "d", _decimals),
    (_is.is_temporal, "i", _ticks),
    (lambda kind: _is.is_string(kind) or _is.is_large_string(kind), "s", _texts),
    (
        lambda kind: _is.is_binary(kind) or _is.is_large_binary(kind) or _is.is_fixed_size_binary(kind),
        "x",
        _binaries,
    ),
    (_is.is_null, "b", lambda _: (None, None)),
)

_FROM_TEXT: dict[str, Callable[[Any], Value]] = {
    "b": bool,
    "i": int,
    "f": float.fromhex,
    "d": Decimal,
    "s": str,
    "x": bytes.fromhex,
}
