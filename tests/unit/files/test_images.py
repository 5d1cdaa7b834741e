"""Folders of images."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from headwater.files import ByDirectory, Source, split_by
from headwater.files.errors import SourceChanged, SourceEmpty, SourceUnsupported
from headwater.tree import digest_split, version_digest
from tests.unit.files.conftest import IMAGES, write


def rows_of(source: Source, split: str = "train") -> list[dict[str, object]]:
    return [row for batch in source.batches(split) for row in batch.to_pylist()]


def digest_of(source: Source) -> bytes:
    splits = [digest_split(split, source.schema, source.batches(split)) for split in source.splits]
    return version_digest(source.schema, splits)


def test_each_image_is_a_row_of_its_bytes_its_class_and_its_path(images: Path) -> None:
    assert rows_of(Source(images)) == [
        {"image": content, "label": path.split("/")[0], "path": path} for path, content in IMAGES.items()
    ]


def test_the_manifest_has_the_digest_of_every_file_whether_its_rows_were_read_or_not(images: Path) -> None:
    source = Source(images)
    before = list(source.source_files())
    rows_of(source)
    assert list(source.source_files()) == before
    assert [(file.path, file.digest, file.size_bytes) for file in before] == [
        (path, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) for path, content in IMAGES.items()
    ]


def test_a_parquet_file_of_the_same_rows_has_the_same_digest(tmp_path: Path) -> None:
    """N-11, with real images."""
    rng = np.random.default_rng(3)
    for index in range(40):
        path = tmp_path / "digits" / str(index % 10) / f"{index:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(path)
    files = sorted((tmp_path / "digits").rglob("*.png"))
    table = pa.table(
        {
            "image": [file.read_bytes() for file in files],
            "label": pa.array([file.parent.name for file in files]).dictionary_encode(),
            "path": pa.array([file.relative_to(tmp_path / "digits").as_posix() for file in files], pa.large_string()),
        }
    )
    pa.parquet.write_table(table, tmp_path / "digits.parquet", row_group_size=7)
    by = split_by("hash:path,train=0.5,test=0.5")
    folder, parquet = Source(tmp_path / "digits", by), Source(tmp_path / "digits.parquet", by)
    assert digest_of(folder) == digest_of(parquet)
    assert 0 < len(rows_of(folder, "test")) < 40


def test_the_order_of_rows_is_that_of_the_paths_by_code_point(tmp_path: Path) -> None:
    names = ["a/2.png", "a/10.png", "B/1.png", "a/é.png", "a.b/1.png", "a-b/1.png"]
    source = Source(write(tmp_path / "f", dict.fromkeys(names, b"x")))
    assert [row["path"] for row in rows_of(source)] == sorted(names)


def test_batches_have_one_to_four_mebibytes(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {f"a/{i:03}.png": bytes(100_000 + 50_000 * (i % 40)) for i in range(120)})
    sizes = [batch.nbytes for batch in Source(folder).batches("train")]
    assert all(2**20 <= size <= 2**22 + 10_000 for size in sizes[:-1])


def test_images_below_train_validation_and_test_are_of_those_splits(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"test/cat/1.png": b"1", "train/cat/2.png": b"2", "train/dog/3.png": b"3"})
    source = Source(folder, ByDirectory())
    assert source.splits == ("train", "test")
    assert [(row["label"], row["path"]) for row in rows_of(source)] == [
        ("cat", "train/cat/2.png"),
        ("dog", "train/dog/3.png"),
    ]


@pytest.mark.parametrize(
    ("files", "error", "named"),
    [
        ({"cat/1.png": b"x", "cat/notes.txt": b"x"}, SourceUnsupported, "cat/notes.txt"),
        ({"cat/1.png": b"x", "2.png": b"x"}, SourceUnsupported, "2.png"),
        ({"cat/black/1.png": b"x"}, SourceUnsupported, "cat/black/1.png"),
        ({"cat/1.png": b"x", "rows.csv": b"a\n1"}, SourceUnsupported, "rows.csv"),
        ({"cat/1.png": b""}, SourceEmpty, "cat/1.png"),
        ({"cat/1.png": bytes(9_000_000)}, SourceUnsupported, "cat/1.png"),
    ],
    ids=["not an image", "no class", "too deep", "a table", "no bytes", "too large"],
)
def test_a_file_that_cannot_be_a_row_is_named(
    tmp_path: Path, files: dict[str, bytes], error: type[Exception], named: str
) -> None:
    folder = write(tmp_path / "f", files)
    with pytest.raises(error) as caught:
        Source(folder)
    assert str(folder / named) in str(caught.value)


@pytest.mark.parametrize(
    ("odd", "why"), [("cat/1.png", "not where an image belongs"), ("_a/cat/1.png", "split can have")]
)
def test_a_folder_that_is_no_split_is_named(tmp_path: Path, odd: str, why: str) -> None:
    folder = write(tmp_path / "f", {"train/cat/1.png": b"x", odd: b"x"})
    with pytest.raises(SourceUnsupported, match=f"{odd} .*{why}"):
        Source(folder, ByDirectory())


def test_an_image_that_changes_after_the_folder_was_listed_is_refused(images: Path) -> None:
    source = Source(images)
    (images / "dog" / "1.PNG").write_bytes(b"something else")
    with pytest.raises(SourceChanged, match=r"dog/1\.PNG"):
        rows_of(source)


def test_types_cannot_be_given_for_images(images: Path) -> None:
    with pytest.raises(SourceUnsupported, match="Types"):
        Source(images, types=pa.schema({"image": pa.binary()}))
