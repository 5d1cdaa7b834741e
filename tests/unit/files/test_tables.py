"""Parquet, CSV and Arrow files, and folders of them."""

import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

from headwater.files import ByDirectory, Source, export, split_by
from headwater.files.errors import InvalidSplitBy, SourceChanged, SourceMalformed, SourceUnsupported
from headwater.files.walk import find_files
from headwater.tree import digest_split
from headwater.tree.errors import UnsupportedType

TABLE = pa.table(
    {
        "id": pa.array(range(20_000), pa.int64()),
        "score": pa.array([i / 3 if i % 7 else None for i in range(20_000)]),
        "at": pa.array([datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)] * 20_000, pa.timestamp("s", "UTC")),
        "text": pa.array([f'row "{i}",\n{"x" * (i % 300)}' for i in range(20_000)]),
    }
)


def table_of(source: Source, split: str = "train") -> pa.Table:
    return pa.Table.from_batches(source.batches(split), source.schema)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.csv"])
def test_a_file_gives_its_rows_and_their_digest(tmp_path: Path, name: str) -> None:
    """N-11: one digest for the three formats."""
    path = tmp_path / name
    assert export(TABLE.to_batches(700), TABLE.schema, path) == 20_000
    source = Source(path, types=TABLE.schema)
    assert table_of(source).equals(TABLE)
    wanted = digest_split("train", TABLE.schema, TABLE.to_batches())
    assert digest_split("train", source.schema, source.batches("train")) == wanted


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.csv"])
def test_types_are_found_in_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    export(TABLE.to_batches(), TABLE.schema, path)
    assert Source(path).schema.field("score").type == pa.float64()
    assert table_of(Source(path)).column("text").equals(TABLE.column("text"))


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.csv", "rows.jsonl", "rows.tar"])
def test_how_much_there_is_is_told_about_before_a_row_is_read(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    for number in range(2):
        export(TABLE[:2000].to_batches(), TABLE.schema, folder / f"{number}-{name}")
    said = Source(folder).size_bytes
    assert TABLE[:4000].nbytes / 3 < said < TABLE[:4000].nbytes * 6
    if not name.endswith((".parquet", ".tar")):
        assert said == sum(file.stat().st_size for file in folder.iterdir())
    assert Source(folder, split_by("ratio:a=0.5,b=0.5")).size_bytes == said


def test_dictionaries_and_views_are_read_as_plain_values(tmp_path: Path) -> None:
    views = pa.table({"a": pa.array(["x", "y"], pa.string_view()), "b": pa.array(["u", "u"]).dictionary_encode()})
    with pa.ipc.new_stream(tmp_path / "rows.arrows", views.schema) as writer:
        writer.write_table(views)
    source = Source(tmp_path / "rows.arrows", split_by("hash:a"))
    assert source.schema == pa.schema({"a": pa.string(), "b": pa.string()})
    assert sorted(row["a"] for split in source.splits for row in table_of(source, split).to_pylist()) == ["x", "y"]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "rows.csv"])
def test_batches_have_one_to_four_mebibytes(tmp_path: Path, name: str) -> None:
    text = ["x" * (5 if i < 20_000 else 8_000) for i in range(23_000)]
    table = pa.table({"text": pa.array(text)})
    export(table.to_batches(), table.schema, tmp_path / name)
    sizes = [batch.nbytes for batch in Source(tmp_path / name).batches("train")]
    assert len(sizes) > 5
    assert all(2**20 <= size <= 2**22 for size in sizes[:-1])


def test_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for index in (2, 10, 1):
        export(TABLE.slice(index, 1).to_batches(), TABLE.schema, tmp_path / f"part-{index:02}.parquet")
    source = Source(tmp_path)
    assert table_of(source).column("id").to_pylist() == [1, 2, 10]
    assert [file.path for file in source.source_files()] == ["part-01.parquet", "part-02.parquet", "part-10.parquet"]


def test_files_named_after_splits_are_those_splits(tmp_path: Path) -> None:
    (tmp_path / "validation").mkdir()
    export(TABLE.slice(0, 5).to_batches(), TABLE.schema, tmp_path / "train.parquet")
    export(TABLE.slice(5, 2).to_batches(), TABLE.schema, tmp_path / "validation" / "any.arrow")
    source = Source(tmp_path, ByDirectory())
    assert source.splits == ("train", "validation")
    assert [table_of(source, split).num_rows for split in source.splits] == [5, 2]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (pa.table({"id": [1], "name": [2]}), "columns id, name and not id"),
        (pa.table({"id": ["1"]}), "Column id is string in"),
    ],
    ids=["columns", "types"],
)
def test_files_of_other_columns_are_refused_by_name(tmp_path: Path, other: pa.Table, named: str) -> None:
    pa.parquet.write_table(pa.table({"id": [1]}), tmp_path / "a.parquet")
    pa.parquet.write_table(other, tmp_path / "b.parquet")
    with pytest.raises(SourceMalformed, match=named) as caught:
        Source(tmp_path)
    assert caught.value.metadata["path"].endswith("b.parquet")


@pytest.mark.parametrize("extension", ["parquet", "arrow", "csv"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe garbage \x00" * 100], ids=["empty", "garbage"])
def test_a_file_that_is_not_what_its_name_says_is_named(tmp_path: Path, extension: str, content: bytes) -> None:
    path = tmp_path / f"rows.{extension}"
    path.write_bytes(content)
    with pytest.raises(SourceMalformed, match=f"rows.{extension}") as caught:
        table_of(Source(path))
    assert caught.value.metadata["path"] == str(path)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
def test_a_file_that_was_cut_off_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    export(TABLE.to_batches(), TABLE.schema, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SourceMalformed, match=name):
        Source(path)


def test_a_value_that_is_not_of_its_column_is_an_error_and_not_null(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id\n1\ntwo\n")
    with pytest.raises(SourceMalformed, match=r"rows\.csv cannot be read as rows: .*two"):
        table_of(Source(tmp_path / "rows.csv", types=pa.schema({"id": pa.int64()})))


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.arrow"
    export(TABLE.to_batches(100), TABLE.schema, path)
    batches = Source(path).batches("train")
    next(batches)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(SourceChanged, match=r"rows\.arrow"):
        list(batches)


def test_a_type_that_rows_cannot_have_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([(1, 2, 3)], pa.month_day_nano_interval())})
    pa.feather.write_feather(table, tmp_path / "rows.arrow")
    with pytest.raises(UnsupportedType, match="Column x"):
        Source(tmp_path / "rows.arrow")


def test_a_file_without_rows_is_a_split_without_rows(tmp_path: Path) -> None:
    export([], TABLE.schema, tmp_path / "rows.parquet")
    assert table_of(Source(tmp_path / "rows.parquet")).num_rows == 0


def test_a_failed_export_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("before")
    nested = pa.table({"x": [[1]]})
    with pytest.raises(SourceUnsupported, match="Column x is list<item: int64>, which CSV cannot hold"):
        export(nested.to_batches(), nested.schema, path)
    assert [(file.name, file.size_bytes) for file in find_files(tmp_path)] == [("rows.csv", 6)]


def test_an_unknown_extension_is_refused_when_exporting(tmp_path: Path) -> None:
    with pytest.raises(SourceUnsupported, match="must end in one of"):
        export([], TABLE.schema, tmp_path / "rows.xlsx")


def test_a_split_or_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    export(TABLE.to_batches(), TABLE.schema, path)
    with pytest.raises(InvalidSplitBy, match="no split test; there are train"):
        Source(path).batches("test")
    with pytest.raises(InvalidSplitBy, match="no column name to split by; there are id, score, at, text"):
        list(Source(path, split_by("hash:name")).batches("test"))
