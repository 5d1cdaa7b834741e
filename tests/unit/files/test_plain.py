"""Files as they are, a row each."""

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from headwater.files import ByDirectory, Source, split_by
from headwater.files.errors import SourceChanged, SourceEmpty, SourceUnsupported
from tests.unit.files.conftest import write
from tests.unit.files.test_images import rows_of

FILES = {"notes.txt": b"hello", "train/empty": b"", "train/é.csv": b"not,a\ntable", "zz.parquet": b"\0\1"}


def test_every_file_is_a_row_of_its_path_and_its_bytes(tmp_path: Path) -> None:
    source = Source(write(tmp_path / "f", FILES), kind="files")
    assert source.schema == pa.schema({"path": pa.string(), "data": pa.binary()})
    assert rows_of(source) == [{"path": path, "data": FILES[path]} for path in sorted(FILES)]
    assert [(file.path, file.digest) for file in source.source_files()] == [
        (path, f"sha256:{hashlib.sha256(FILES[path]).hexdigest()}") for path in sorted(FILES)
    ]


def test_one_file_is_one_row(tmp_path: Path) -> None:
    path = write(tmp_path, {"only.bin": b"x"}) / "only.bin"
    assert rows_of(Source(path, kind="files")) == [{"path": "only.bin", "data": b"x"}]


def test_a_folder_without_files_is_passed_over_but_not_a_source_without_any(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"a/1": b"x"})
    (folder / "b" / "c").mkdir(parents=True)
    assert len(rows_of(Source(folder, kind="files"))) == 1
    (folder / "a" / "1").unlink()
    with pytest.raises(SourceEmpty, match="no files in"):
        Source(folder, kind="files")


def test_files_have_splits_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"train/a": b"x", "val/b": b"y"})
    source = Source(folder, ByDirectory(), kind="files")
    assert {split: rows_of(source, split)[0]["path"] for split in source.splits} == {
        "train": "train/a",
        "validation": "val/b",
    }


def test_files_of_other_splits_are_not_opened(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {f"{i}": bytes([i]) for i in range(20)})
    source = Source(folder, split_by("ratio:a=0.5,b=0.5"), kind="files")
    mine = {row["path"] for row in rows_of(source, "a")}
    for path in mine:
        (folder / str(path)).unlink()
    assert len(rows_of(source, "b")) == 10


def test_a_file_larger_than_a_row_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"a": b"x", "large.bin": bytes(9_000_000)})
    with pytest.raises(SourceUnsupported, match=r"large\.bin has 9000000 bytes; .* may have 8000000"):
        Source(folder, kind="files")


@pytest.mark.parametrize("content", [b"longer than it was", b"y", b""])
def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path / "f", {"a": b"before"})
    source = Source(folder, kind="files")
    (folder / "a").write_bytes(content)
    with pytest.raises(SourceChanged):
        rows_of(source)


def test_a_stamp_tells_whether_anything_changed(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"a": b"x", "b": b"y"})
    before = Source(folder, kind="files").stamp()
    assert Source(folder, kind="files").stamp() == before
    (folder / "a").rename(folder / "c")
    renamed = Source(folder, kind="files").stamp()
    (folder / "b").write_bytes(b"z")
    assert len({before, renamed, Source(folder, kind="files").stamp()}) == 3


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceUnsupported, match="'rows'; only as files"):
        Source(write(tmp_path / "f", FILES), kind="rows")
