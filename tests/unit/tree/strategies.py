"""Rows of any type, and the many Arrow forms that the same rows can have."""

import datetime
import decimal
import itertools
import random
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

Rows = list[dict[str, Any]]

_NAMES = st.text("abcxyzäß_ .", min_size=1, max_size=6)
# Within what 64 bits of nanoseconds can hold.
_FIRST, _LAST = datetime.datetime.fromisoformat("1900-01-01"), datetime.datetime.fromisoformat("2200-01-01")
_VALUES: dict[Any, st.SearchStrategy[Any]] = {
    pa.null(): st.none(),
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-(2**7), 2**7 - 1),
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint8(): st.integers(0, 2**8 - 1),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.string(): st.text(max_size=12),
    pa.binary(): st.binary(max_size=12),
    pa.date32(): st.dates(_FIRST.date(), _LAST.date()),
    pa.time64("ns"): st.times(),
    pa.timestamp("us"): st.datetimes(_FIRST, _LAST),
    pa.timestamp("us", "UTC"): st.datetimes(_FIRST, _LAST, timezones=st.just(datetime.UTC)),
    pa.duration("us"): st.timedeltas(datetime.timedelta(-50_000), datetime.timedelta(50_000)),
    pa.decimal128(9, 2): st.integers(-(10**9) + 1, 10**9 - 1).map(lambda value: decimal.Decimal(value).scaleb(-2)),
    pa.decimal128(38, 0): st.integers(-(10**30), 10**30).map(decimal.Decimal),
    pa.decimal256(50, 3): st.integers(-(10**40), 10**40).map(
        lambda v: decimal.Decimal(v).scaleb(-3, decimal.Context(76))
    ),
}


def _structs(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(_NAMES, inside, min_size=1, max_size=3).map(lambda fields: pa.struct(list(fields.items())))


KINDS = st.recursive(
    st.sampled_from(list(_VALUES)),
    lambda inside: st.one_of(
        inside.map(pa.list_),
        _structs(inside),
        st.tuples(st.sampled_from([pa.string(), pa.int32()]), inside).map(lambda pair: pa.map_(*pair)),
    ),
    max_leaves=4,
)
SCHEMAS = (
    st.dictionaries(_NAMES, KINDS, min_size=1, max_size=4)
    .filter(lambda fields: any(kind != pa.null() for kind in fields.values()))
    .map(lambda fields: pa.schema(list(fields.items())))
)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """A value of the type, or None."""
    return st.none() | present(kind)


def present(kind: Any) -> st.SearchStrategy[Any]:
    """A value of the type that is not None (unless the type is null)."""
    if pa.types.is_map(kind):
        return st.lists(st.tuples(present(kind.key_type), values(kind.item_type)), max_size=3)
    if pa.types.is_list(kind):
        return st.lists(values(kind.value_type), max_size=4)
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    return _VALUES[kind]


@st.composite
def tables(draw: st.DrawFn, min_rows: int = 0) -> tuple[pa.Schema, Rows]:
    """A schema and rows of it."""
    schema = draw(SCHEMAS)
    row = st.fixed_dictionaries({field.name: values(field.type) for field in schema})
    return schema, draw(st.lists(row, min_size=min_rows, max_size=12))


def plain(schema: pa.Schema, rows: Rows) -> pa.RecordBatch:
    """The rows as Arrow writes them by itself."""
    arrays = [pa.array([row[field.name] for row in rows], field.type) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def disguised(schema: pa.Schema, rows: Rows, rng: random.Random) -> list[pa.RecordBatch]:
    """The same rows in other physical types, sliced out of longer arrays, with junk under nulls, in uneven batches."""
    before, after = rng.randrange(3), rng.randrange(3)
    columns = []
    for field in schema:
        junk = _junk(field.type)
        padded = [junk] * before + [row[field.name] for row in rows] + [junk] * after
        columns.append(_array(field.type, padded, rng).slice(before, len(rows)))
    batch = pa.RecordBatch.from_arrays(columns, names=schema.names)
    cuts = sorted(rng.randrange(len(rows) + 1) for _ in range(rng.randrange(4)))
    ends = [0, *cuts, len(rows)]
    return [batch.slice(start, end - start) for start, end in itertools.pairwise(ends)]


def _array(kind: Any, given: list[Any], rng: random.Random) -> pa.Array:
    mask = [value is None for value in given]
    filled = [_junk(kind) if value is None else value for value in given]
    if pa.types.is_null(kind):
        return pa.nulls(len(given))
    if pa.types.is_struct(kind):
        children = [_array(field.type, [value[field.name] for value in filled], rng) for field in kind]
        names = [field.name for field in kind]
        return pa.StructArray.from_arrays(children, names=names, mask=pa.array(mask, pa.bool_()))
    if pa.types.is_map(kind):
        entries = [entry for value in filled for entry in value]
        # A map's keys are never null, and its physical key type is left as it is.
        keys = pa.array([key for key, _ in entries], kind.key_type)
        items = _array(kind.item_type, [item for _, item in entries], rng)
        return pa.MapArray.from_arrays(_offsets(filled), keys, items, mask=pa.array(mask, pa.bool_()))
    if pa.types.is_list(kind):
        return _list(kind.value_type, filled, mask, rng)
    return _leaf(kind, filled, mask, rng)


def _offsets(lists: list[Any]) -> pa.Array:
    return pa.array(np.cumsum([0, *(len(value) for value in lists)]), pa.int32())


def _list(element: Any, filled: list[Any], mask: list[bool], rng: random.Random) -> pa.Array:
    flat = _array(element, [item for value in filled for item in value], rng)
    nulls = pa.array(mask, pa.bool_())
    sizes = {len(value) for value in filled}
    if len(sizes) == 1 and sizes != {0} and rng.random() < 0.6:
        return pa.FixedSizeListArray.from_arrays(flat, sizes.pop(), mask=nulls)
    if rng.random() < 0.5:
        return pa.LargeListArray.from_arrays(_offsets(filled).cast(pa.int64()), flat, mask=nulls)
    return pa.ListArray.from_arrays(_offsets(filled), flat, mask=nulls)


def _leaf(kind: Any, filled: list[Any], mask: list[bool], rng: random.Random) -> pa.Array:
    """Non-nested values: cast to another form first, then hide the junk, so that it stays under the nulls."""
    array = pa.array(filled, kind)
    form = rng.choice(_forms(kind, filled))
    if form == "dictionary of views":
        array = array.cast(pa.string_view())
    elif form != "dictionary":
        array = array.cast(form)
    if any(mask):
        present = pa.py_buffer(np.packbits(~np.array(mask), bitorder="little"))
        array = pa.Array.from_buffers(array.type, len(array), [present, *array.buffers()[1:]])
    if form == "dictionary of views":
        indices = pa.array([None if null else index for index, null in enumerate(mask)], pa.int16())
        return pa.DictionaryArray.from_arrays(indices, array)
    return array.dictionary_encode() if form == "dictionary" else array


def _forms(kind: Any, filled: list[Any]) -> list[Any]:
    if kind == pa.string():
        return [kind, pa.large_string(), pa.string_view(), "dictionary", "dictionary of views"]
    if kind == pa.binary():
        sizes = {len(value) for value in filled}
        fixed = [pa.binary(max(sizes))] if len(sizes) == 1 and sizes != {0} else []
        return [kind, pa.large_binary(), pa.binary_view(), "dictionary", *fixed]
    if pa.types.is_timestamp(kind):
        return [kind, pa.timestamp("ns", kind.tz), "dictionary"]
    if pa.types.is_decimal(kind):
        narrow = [pa.decimal32(9, 2), pa.decimal64(9, 2)] if kind.precision == 9 else []
        return [kind, pa.decimal256(kind.precision, kind.scale), *narrow]
    others = {pa.date32(): pa.date64(), pa.time64("ns"): pa.time64("us"), pa.duration("us"): pa.duration("ns")}
    return [kind, others[kind]] if kind in others else [kind]


def _junk(kind: Any) -> Any:
    if pa.types.is_map(kind):
        return [("junk" if kind.key_type == pa.string() else 5, _junk(kind.item_type))]
    if pa.types.is_list(kind):
        return [_junk(kind.value_type)] * 2
    if pa.types.is_struct(kind):
        return {field.name: _junk(field.type) for field in kind}
    if pa.types.is_timestamp(kind):
        return datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC if kind.tz else None)
    if pa.types.is_decimal(kind):
        return decimal.Decimal(5)
    others = {
        pa.null(): None,
        pa.bool_(): True,
        pa.string(): "junk",
        pa.binary(): b"junk",
        pa.duration("us"): datetime.timedelta(3),
        pa.date32(): datetime.date(2001, 2, 3),
        pa.time64("ns"): datetime.time(1, 2, 3),
    }
    return others.get(kind, 5)
