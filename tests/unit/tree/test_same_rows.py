"""N-11: the same rows have the same digest whatever they came in."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.tree import Split, digest_split, schema_digest, version_digest
from tests.unit.tree import reference, strategies


def digest(batches: list[pa.RecordBatch]) -> bytes:
    schema = batches[0].schema
    return version_digest(schema, [digest_split("train", schema, batches)])


@given(strategies.tables())
@settings(max_examples=150, deadline=None)
def test_a_digest_is_what_the_specification_says(table: tuple[pa.Schema, strategies.Rows]) -> None:
    schema, rows = table
    assert digest([strategies.plain(schema, rows)]) == reference.version_digest(schema, {"train": rows})


@given(strategies.tables(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_same_rows_in_any_arrow_form_have_the_same_digest(
    table: tuple[pa.Schema, strategies.Rows], rng: random.Random
) -> None:
    schema, rows = table
    other = strategies.disguised(schema, rows, rng)
    assert digest(other) == digest([strategies.plain(schema, rows)])


def test_csv_parquet_and_arrow_files_of_the_same_rows_have_the_same_digest(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array(range(5000), pa.int64()),
            "score": pa.array([i / 7 if i % 5 else None for i in range(5000)], pa.float64()),
            "day": pc.add(pa.scalar(0), pa.array(range(5000))).cast(pa.int32()).cast(pa.date32()),
            "at": pa.array(range(5000), pa.timestamp("s")),
            "name": pa.array([f'row {i}, "quoted"\n' for i in range(5000)]),
        }
    )
    pa.parquet.write_table(table, tmp_path / "t.parquet", use_dictionary=True, row_group_size=700)
    large = table.schema.set(4, pa.field("name", pa.large_string()))
    pa.feather.write_feather(table.cast(large), tmp_path / "t.arrow")
    pa.csv.write_csv(table, tmp_path / "t.csv")
    options = pa.csv.ConvertOptions(column_types=table.schema, strings_can_be_null=False)
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    read = [
        table,
        pa.parquet.read_table(tmp_path / "t.parquet"),
        pa.parquet.read_table(tmp_path / "t.parquet", read_dictionary=["name"]),
        pa.feather.read_table(tmp_path / "t.arrow"),
        pa.csv.read_csv(tmp_path / "t.csv", convert_options=options, parse_options=parse),
    ]
    assert len({one.schema.to_string() for one in read}) > 2  # they do differ physically
    assert len({digest(one.to_batches()) for one in read}) == 1


@pytest.mark.parametrize("rows_per_batch", [1, 7, 1000, 5000])
def test_the_size_of_batches_does_not_matter(rows_per_batch: int) -> None:
    table = pa.table({"n": pa.array(range(5000)), "text": pa.array([f"{i:02000}" for i in range(5000)])})
    batches = table.to_batches(rows_per_batch)
    assert digest(batches) == digest(table.combine_chunks().to_batches())


def test_nullability_metadata_and_extension_names_are_no_part_of_a_schema() -> None:
    plain = pa.schema([pa.field("x", pa.list_(pa.float32())), pa.field("id", pa.binary())])
    dressed = pa.schema(
        [
            pa.field("x", pa.fixed_shape_tensor(pa.float32(), [2, 3]), nullable=False, metadata={"unit": "m"}),
            pa.field("id", pa.uuid()),
        ],
        metadata={"pandas": "{}"},
    )
    assert schema_digest(plain) == schema_digest(dressed)


def test_an_extension_column_is_its_storage() -> None:
    storage = pa.FixedSizeListArray.from_arrays(pa.array(range(12), pa.float32()), 6)
    tensors = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), [2, 3]), storage)
    assert digest([pa.record_batch({"x": tensors})]) == digest([pa.record_batch({"x": storage})])


def test_nan_has_one_form_and_minus_zero_is_not_zero() -> None:
    def of(bits: int) -> bytes:
        return digest([pa.record_batch({"x": pa.array([bits], pa.uint32()).view(pa.float32())})])

    assert of(0x7FC00000) == of(0xFFC00001) == of(0x7F800001)
    assert of(0x00000000) != of(0x80000000)
    assert of(0x7F800000) != of(0x7FC00000)  # infinity


def test_infinities_beside_each_other_are_not_taken_for_nan() -> None:
    both = digest([pa.record_batch({"x": [float("inf"), float("-inf")]})])
    assert both != digest([pa.record_batch({"x": [float("nan"), float("-inf")]})])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_of_a_timestamp_is_no_part_of_its_value(unit: str) -> None:
    before_1970 = pa.array([-1, 0, 1, None], pa.timestamp("s"))
    assert digest([pa.record_batch({"at": before_1970.cast(pa.timestamp(unit))})]) == digest(
        [pa.record_batch({"at": before_1970})]
    )


def test_splits_are_named_and_in_no_order() -> None:
    schema = pa.schema({"x": pa.int64()})
    one, two = (digest_split(name, schema, [pa.record_batch({"x": [i]})]) for i, name in enumerate(("a", "b")))
    assert version_digest(schema, [one, two]) == version_digest(schema, [two, one])
    swapped = [Split("b", one.root, 1), Split("a", two.root, 1)]
    assert version_digest(schema, [one, two]) != version_digest(schema, swapped)
