"""What the tree refuses, and that it says which column or row."""

import numpy as np
import pyarrow as pa
import pytest

from headwater.tree import ChunkBuilder, Split, parse_digest, schema_digest, version_digest
from headwater.tree.digest import InvalidDigest
from headwater.tree.errors import (
    InvalidSchema,
    InvalidSplits,
    MalformedRows,
    RowTooLarge,
    SchemaChanged,
    UnsupportedType,
)

MIB = 2**20


@pytest.mark.parametrize(
    "kind",
    [
        pa.dense_union([pa.field("a", pa.int32())]),
        pa.month_day_nano_interval(),
        pa.run_end_encoded(pa.int32(), pa.int64()),
        pa.list_view(pa.int32()),
        pa.dictionary(pa.int32(), pa.list_(pa.int32())),
        pa.binary(0),
        pa.list_(pa.int32(), 0),
        pa.struct([]),
    ],
    ids=str,
)
def test_a_type_without_a_canonical_form_is_refused_by_name(kind: pa.DataType) -> None:
    nested = pa.schema([("good", pa.int32()), ("meta", pa.struct([("inner", pa.list_(kind))]))])
    with pytest.raises(UnsupportedType, match=r"Column meta\.inner\[\] has type") as caught:
        schema_digest(nested)
    assert caught.value.metadata["column"] == "meta.inner[]"


@pytest.mark.parametrize(
    "schema",
    [
        pa.schema([]),
        pa.schema([("x", pa.null())]),
        pa.schema([("x", pa.int32()), ("x", pa.int32())]),
        pa.schema([("", pa.int32())]),
        pa.schema([("s", pa.struct([("a", pa.int8()), ("a", pa.int8())]))]),
    ],
    ids=["no columns", "nulls only", "a name twice", "an empty name", "a field twice"],
)
def test_a_schema_that_no_dataset_can_have_is_refused(schema: pa.Schema) -> None:
    with pytest.raises(InvalidSchema):
        ChunkBuilder(schema)


def test_a_schema_nested_a_thousand_deep_is_refused() -> None:
    kind = pa.int32()
    for _ in range(1000):
        kind = pa.list_(kind)
    with pytest.raises(InvalidSchema, match="deep"):
        schema_digest(pa.schema([("deep", kind)]))


def test_a_batch_of_another_schema_is_refused() -> None:
    builder = ChunkBuilder(pa.schema({"x": pa.int32()}))
    with pytest.raises(SchemaChanged, match="Column x has another"):
        builder.push(pa.record_batch({"x": pa.array([1], pa.int64())}))
    with pytest.raises(SchemaChanged, match="2 columns in a stream of 1"):
        builder.push(pa.record_batch({"x": pa.array([1], pa.int32()), "y": [1]}))


@pytest.mark.parametrize("kind", [pa.int32(), pa.timestamp("s", "name"), pa.struct([("name", pa.int32())])], ids=str)
def test_a_name_that_is_not_utf8_is_refused(kind: pa.DataType) -> None:
    message = pa.schema([("name", kind)]).serialize().to_pybytes()
    schema = pa.ipc.read_schema(pa.py_buffer(message.replace(b"name", b"\xff\xfe\xfd\xfc")))
    with pytest.raises(InvalidSchema, match="not UTF-8"):
        ChunkBuilder(schema)


@pytest.mark.parametrize("extra", [0, 1])
def test_a_row_may_have_eight_mebibytes_and_not_a_byte_more(extra: int) -> None:
    data = pa.array([b"small", bytes(8 * MIB - 5 + extra)])
    builder = ChunkBuilder(pa.schema({"data": pa.binary()}))
    if extra:
        with pytest.raises(RowTooLarge, match="8388609"):
            builder.push(pa.record_batch({"data": data}))
    else:
        builder.push(pa.record_batch({"data": data}))
        assert sum(chunk.row_count for chunk in builder.finish()) <= 2


@pytest.mark.parametrize("size", [3 * MIB, 9 * MIB])
def test_a_dictionary_or_view_of_one_large_value_takes_no_more_memory_than_the_rows_of_a_chunk(size: int) -> None:
    """A few kilobytes of indices that stand for many gigabytes."""
    one = pa.array([bytes(size)])
    dictionary = pa.DictionaryArray.from_arrays(pa.array(np.zeros(40, np.int32)), one)
    view = one.cast(pa.binary_view())
    views = pa.Array.from_buffers(
        view.type, 40, [None, pa.py_buffer(view.buffers()[1].to_pybytes()[:16] * 40), *view.buffers()[2:]]
    )
    for column in (dictionary, views):
        builder = ChunkBuilder(pa.schema({"data": column.type}))
        before = pa.default_memory_pool().bytes_allocated()
        if size > 8 * MIB:
            with pytest.raises(RowTooLarge):
                builder.push(pa.record_batch({"data": column}))
        else:
            chunks = builder.push(pa.record_batch({"data": column}))
            assert len(chunks) == 40
            assert len({chunk.digest for chunk in chunks}) == 1
        assert pa.default_memory_pool().bytes_allocated() - before < 64 * MIB


def test_offsets_that_point_past_the_end_are_refused() -> None:
    batch = pa.record_batch({"data": [b"abc", b"de"]})
    good, evil = (np.array([0, end, 5], np.int32).tobytes() for end in (3, 10**6))
    message = batch.serialize().to_pybytes()
    assert message.count(good) == 1
    broken = pa.ipc.read_record_batch(pa.py_buffer(message.replace(good, evil)), batch.schema)
    with pytest.raises(MalformedRows, match="out of bounds"):
        ChunkBuilder(batch.schema).push(broken)


def test_text_that_is_not_utf8_is_refused() -> None:
    batch = pa.record_batch({"text": pa.array([b"\xff"]).view(pa.string())})
    with pytest.raises(MalformedRows, match="UTF8"):
        ChunkBuilder(batch.schema).push(batch)


def test_a_date64_within_a_day_is_refused() -> None:
    batch = pa.record_batch({"day": pa.array([1], pa.int64()).view(pa.date64())})
    with pytest.raises(MalformedRows):
        ChunkBuilder(batch.schema).push(batch)


@pytest.mark.parametrize("names", [[], [""], ["a", "a"]])
def test_splits_without_distinct_names_are_refused(names: list[str]) -> None:
    with pytest.raises(InvalidSplits):
        version_digest(pa.schema({"x": pa.int8()}), [Split(name, bytes(32), 0) for name in names])


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "a" * 65, "md5:" + "a" * 64])
def test_a_digest_has_one_form_of_text(text: str) -> None:
    with pytest.raises(InvalidDigest, match="etag"):
        parse_digest(text, "etag")
