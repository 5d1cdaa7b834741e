"""Rows out and in again."""

import datetime
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import webdataset  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headwater.files import ByDirectory, Source, export, export_folder
from headwater.files.errors import SourceUnsupported
from headwater.files.exporting import TargetNotEmpty
from headwater.tree import digest_split
from tests.unit.files.test_images import rows_of

FORMATS = ["parquet", "arrow", "csv", "jsonl", "tar"]
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=8)
scalars = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int8(): st.integers(-128, 127),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.float32(): st.floats(allow_nan=False, allow_infinity=False, width=32),
    pa.bool_(): st.booleans(),
    pa.string(): texts.filter(bool),
    pa.date32(): st.dates(datetime.date(1900, 1, 1), datetime.date(2200, 1, 1)),
    pa.timestamp("us", "UTC"): st.datetimes(
        datetime.datetime(1900, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
        datetime.datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.just(datetime.UTC),
    ),
    pa.decimal128(9, 2): st.decimals(-999, 999, places=2),
}
nested = {
    pa.list_(pa.int64()): st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), max_size=3),
    pa.list_(pa.float32(), 2): st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2
    ),
    pa.struct({"a": pa.int64(), "b": pa.string()}): st.fixed_dictionaries({"a": st.integers(0, 9), "b": texts}),
}


@st.composite
def tables(draw: st.DrawFn, kinds: dict[Any, Any]) -> pa.Table:
    rows = draw(st.integers(1, 6))
    chosen = draw(st.lists(st.sampled_from(list(kinds)), min_size=1, max_size=4))
    columns = {f"c{at}": _column(draw, kind, kinds[kind], rows) for at, kind in enumerate(chosen)}
    # In an archive a row has a name, and at least one value.
    columns["__key__"] = pa.array([f"{row:04}" for row in range(rows)])
    columns["n"] = pa.array(range(rows), pa.int64())
    return pa.table(columns)


def _column(draw: st.DrawFn, kind: Any, values: Any, rows: int) -> pa.Array:
    return pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)


def returned(tmp_path: Path, table: pa.Table, kind: str, types: pa.Schema | None) -> Source:
    path = tmp_path / f"rows.{kind}"
    assert export(table.to_batches(2), table.schema, path) == table.num_rows
    return Source(path, types=types)


def digest(table: pa.Table) -> bytes:
    return digest_split("train", table.schema, table.to_batches()).root


@pytest.mark.parametrize("kind", FORMATS)
@given(data=st.data())
def test_given_the_types_a_digest_survives_every_format(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    """N-11."""
    kinds = {of: values | st.none() for of, values in (scalars | nested).items()}
    if kind == "csv":  # which has no way to say that a text is null
        kinds = {of: values if of == pa.string() else values | st.none() for of, values in scalars.items()}
    table = data.draw(tables(kinds))
    source = returned(tmp_path_factory.mktemp("out"), table, kind, table.schema)
    assert digest_split("train", source.schema, source.batches("train")).root == digest(table)


@given(data=st.data())
def test_bytes_survive_an_archive(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    table = data.draw(tables({pa.binary(): st.binary(max_size=20) | st.none(), pa.string(): texts | st.none()}))
    source = returned(tmp_path_factory.mktemp("out"), table, "tar", table.schema)
    assert digest_split("train", source.schema, source.batches("train")).root == digest(table)


def images(count: int) -> pa.Table:
    files = []
    for index in range(count):
        stream = io.BytesIO()
        Image.fromarray(np.full((4, 4, 3), index, np.uint8)).save(stream, format=("PNG", "JPEG", "WEBP")[index % 3])
        files.append(stream.getvalue())
    return pa.table({
        "__key__": [f"{index:06}" for index in range(count)],
        "image": files,
        "label": pa.array(range(count), pa.int64()),
        "caption": [f"bild {index} é" for index in range(count)],
        "box": [{"x": index, "y": [0.5]} for index in range(count)],
    })  # fmt: skip


# It leaves the file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_webdataset_package_reads_and_decodes_our_archives(tmp_path: Path) -> None:
    table = images(9)
    export(table.to_batches(), table.schema, tmp_path / "rows.tar")
    samples = list(webdataset.WebDataset(str(tmp_path / "rows.tar"), shardshuffle=False).decode("rgb8"))
    assert [sample["__key__"] for sample in samples] == table.column("__key__").to_pylist()
    for index, sample in enumerate(samples):
        assert sample[f"image.{('png', 'jpg', 'webp')[index % 3]}"].shape == (4, 4, 3)
        assert sample["label.cls"] == index
        assert sample["caption.txt"] == f"bild {index} é"
        assert sample["box.json"] == {"x": index, "y": [0.5]}


def test_images_of_several_formats_come_back_as_one_column(tmp_path: Path) -> None:
    table = images(9)
    export(table.to_batches(), table.schema, tmp_path / "rows.tar")
    source = Source(tmp_path / "rows.tar")
    assert source.schema == table.schema
    assert rows_of(source) == table.to_pylist()


def test_rows_without_a_key_are_named_by_their_number(tmp_path: Path) -> None:
    table = pa.table({"cls": pa.array([7, 8], pa.int64())})
    export(table.to_batches(), table.schema, tmp_path / "rows.tar")
    assert [row["__key__"] for row in rows_of(Source(tmp_path / "rows.tar"))] == ["000000000", "000000001"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"__key__": ["../x"], "a": [1]}, "has the __key__ '../x'"),
        ({"__key__": ["/x"], "a": [1]}, "has the __key__"),
        ({"__key__": ["a.b"], "a": [1]}, "has the __key__"),
        ({"__key__": [""], "a": [1]}, "has the __key__"),
        ({"__key__": pa.array([None], pa.string()), "a": [1]}, "has the __key__ None"),
        ({"__key__": ["x", "x"], "a": [1, 2]}, "Row 1 has the __key__ 'x', which a row before it has"),
        ({"__key__": ["x", "y", "x"], "a": [1, 2, 3]}, "Row 2 has the __key__ 'x', which a row before it has"),
        ({"a": pa.array([None], pa.int64())}, "Row 0 has only nulls"),
        ({"a/b": [1]}, "Column a/b would have another name"),
        ({"A": [1]}, "Column A would have another name"),
        ({"a.txt": ["x"]}, "Column a.txt would have another name"),
        ({"txt": [b"x"]}, "Column txt holds bytes"),
        ({"a": [float("nan")]}, "NaN"),
        ({"a": [datetime.timedelta(1)]}, "Column a is duration.*, which JSON cannot hold"),
    ],
)
def test_what_an_archive_cannot_hold_is_refused(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    table = pa.table(columns)
    with pytest.raises(SourceUnsupported, match=said):
        export(table.to_batches(), table.schema, tmp_path / "rows.tar")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([b"x"], "Column x is binary, which JSON cannot hold"),
        ([[b"x"]], r"Column x\[\] is binary"),
        ([{"y": datetime.time(1)}], r"Column x\.y is time64"),
        ([float("inf")], "infinity"),
    ],
)
def test_what_json_cannot_hold_is_refused(tmp_path: Path, values: list[Any], said: str) -> None:
    table = pa.table({"x": values})
    with pytest.raises(SourceUnsupported, match=said):
        export(table.to_batches(), table.schema, tmp_path / "rows.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "extension", "said"),
    [
        (pa.struct({"x": pa.int64()}), ".csv", "Column box is struct<x: int64>, which CSV cannot hold"),
        (pa.list_(pa.int8()), ".csv", "Column box is list<item: int8>, which CSV cannot hold"),
        (pa.month_day_nano_interval(), ".parquet", "which Parquet cannot hold"),
        (pa.month_day_nano_interval(), ".csv", "cannot be written to .*out/train.csv: Unsupported cast"),
    ],
)
def test_what_a_table_of_a_format_cannot_hold_is_refused_by_column(
    tmp_path: Path, kind: Any, extension: str, said: str
) -> None:
    table = pa.table({"n": [1], "box": pa.nulls(1, kind)})
    rows = pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    with pytest.raises(SourceUnsupported, match=said) as refused:
        export_folder([("train", rows)], tmp_path / "out", extension)
    assert "/." not in str(refused.value)
    with pytest.raises(SourceUnsupported, match=said.replace("out/train", "rows")):
        export(table.to_batches(), table.schema, tmp_path / f"rows{extension}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_folder_has_shards_of_a_size_and_is_read_back_as_it_was(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    table = pa.table({
        "__key__": [f"{row:06}" for row in range(20_000)],
        "x": pa.array(rng.integers(0, 2**62, 20_000)),
        "text": [rng.bytes(10).hex() for _ in range(20_000)],
    })  # fmt: skip
    splits = [(name, pa.RecordBatchReader.from_batches(part.schema, part.to_batches(5000)))
              for name, part in (("train", table), ("test", table[:3]))]  # fmt: skip
    exported = export_folder(splits, tmp_path / "out", f".{kind}", max_bytes=300_000)
    assert [split.row_count for split in exported] == [20_000, 3]
    assert exported[0].files[1].name == f"train-00001-of-{len(exported[0].files):05}.{kind}"
    assert exported[1].files == (tmp_path / "out" / f"test.{kind}",)
    sizes = [file.stat().st_size for file in exported[0].files]
    assert max(sizes) <= 300_000
    assert sum(sizes) == exported[0].size_bytes
    assert len(sizes) < 3 + sum(sizes) / 200_000
    source = Source(tmp_path / "out", ByDirectory(), types=table.schema)
    assert source.splits == ("train", "test")
    assert digest_split("train", source.schema, source.batches("train")).root == digest(table)


def test_a_folder_appears_when_it_is_complete_or_not_at_all(tmp_path: Path) -> None:
    good, bad = pa.table({"x": [1]}), pa.table({"x": [b"1"]})
    splits = [(name, pa.RecordBatchReader.from_batches(part.schema, part.to_batches()))
              for name, part in (("train", good), ("test", bad))]  # fmt: skip
    with pytest.raises(SourceUnsupported):
        export_folder(splits, tmp_path / "out", ".jsonl")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(TargetNotEmpty):
        export_folder([], tmp_path, ".jsonl")
    with pytest.raises(SourceUnsupported, match="must end in one of"):
        export_folder([], tmp_path / "new", ".xlsx")


def test_an_archive_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    table = images(3)
    for name in ("a.tar", "b.tar"):
        export(table.to_batches(), table.schema, tmp_path / name)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert {(member.uid, member.mtime, member.mode) for member in archive} == {(0, 0, 0o644)}
