"""Hugging Face datasets that were saved on disk."""

import json
import shutil
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-untyped]
import pytest

from headwater.files import Source, split_by
from headwater.files.errors import SourceMalformed
from headwater.files.huggingface import CLASS_NAMES, FEATURE
from tests.unit.files.test_images import rows_of

FEATURES = datasets.Features(
    {"x": datasets.Value("int32"), "label": datasets.ClassLabel(names=["cat", "dog"]), "image": datasets.Image()}
)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.disable_progress_bars()


def dataset(first: int, rows: int) -> Any:
    values = {"x": range(first, first + rows), "label": [i % 2 for i in range(rows)]}
    images = [{"bytes": b"\x89PNG", "path": None}] * rows
    return datasets.Dataset.from_dict(values | {"image": images}, features=FEATURES)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    splits = datasets.DatasetDict({"train": dataset(0, 5), "test": dataset(5, 2)})
    splits.save_to_disk(str(tmp_path / "saved"), num_shards={"train": 3, "test": 1})
    return tmp_path / "saved"


def test_its_splits_are_ours(saved: Path) -> None:
    source = Source(saved)
    assert source.splits == ("train", "test")
    assert [row["x"] for row in rows_of(source, "train")] == [0, 1, 2, 3, 4]
    assert rows_of(source, "test")[0] == {"x": 5, "label": 0, "image": {"bytes": b"\x89PNG", "path": None}}
    assert len(list(source.source_files())) == 9


def test_its_rows_can_be_split_otherwise(saved: Path) -> None:
    assert len(rows_of(Source(saved, split_by("none")))) == 7
    assert Source(saved, split_by("ratio:a=3/7,b=4/7")).splits == ("a", "b")


def test_what_features_say_is_kept_with_the_columns(saved: Path) -> None:
    schema = Source(saved).schema
    assert json.loads(schema.field("label").metadata[CLASS_NAMES]) == ["cat", "dog"]
    assert json.loads(schema.field("image").metadata[FEATURE])["_type"] == "Image"
    batch = next(iter(Source(saved).batches("train")))
    assert batch.schema.field("label").metadata == schema.field("label").metadata


def test_one_without_splits_is_all_in_train(tmp_path: Path) -> None:
    dataset(0, 3).save_to_disk(str(tmp_path / "saved"))
    assert [row["x"] for row in rows_of(Source(tmp_path / "saved"))] == [0, 1, 2]


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("dataset_dict.json", b'{"splits": ["train", "../test"]}', "no name of something beside it"),
        ("dataset_dict.json", b'{"splits": ["train", "gone"]}', "There is no gone/state.json"),
        ("dataset_dict.json", b'{"splits": 1}', "must be a list of texts"),
        ("train/state.json", b'{"_data_files": [{"filename": "../../x.arrow"}]}', "no name of something beside it"),
        ("train/state.json", b'{"_data_files": [{"filename": "gone.arrow"}]}', "names gone.arrow"),
        ("train/state.json", b'{"_data_files": [1]}', "no list _data_files"),
        ("train/state.json", b"[]", "no JSON object"),
        ("train/state.json", b"[" * 100_000, "is no JSON"),
        ("train/dataset_info.json", b'{"features": 1}', "features are no object"),
        ("test/dataset_info.json", b'{"features": {}}', "not those of the other splits"),
        ("train/data-00000-of-00003.arrow", b"garbage", "cannot be read as rows"),
    ],
)
def test_a_folder_that_is_not_what_it_says_is_named(saved: Path, file: str, content: bytes, said: str) -> None:
    (saved / file).write_bytes(content)
    with pytest.raises(SourceMalformed, match=said):
        Source(saved)


def test_class_names_that_are_none_are_refused(tmp_path: Path) -> None:
    dataset(0, 3).save_to_disk(str(tmp_path / "saved"))
    info = tmp_path / "saved/dataset_info.json"
    info.write_text('{"features": {"label": {"_type": "ClassLabel", "names": [1]}}}')
    with pytest.raises(SourceMalformed, match="names of label must be a list of texts"):
        Source(tmp_path / "saved")


def test_old_indices_are_refused(saved: Path) -> None:
    state = json.loads((saved / "train/state.json").read_text())
    (saved / "train/state.json").write_text(json.dumps(state | {"_indices_data_files": [{"filename": "i.arrow"}]}))
    with pytest.raises(SourceMalformed, match="_indices_data_files"):
        Source(saved)


def test_a_folder_without_its_description_is_arrow_files(saved: Path) -> None:
    folder = saved.parent / "plain"
    folder.mkdir()
    for file in sorted((saved / "train").glob("*.arrow")):
        shutil.copy(file, folder)
    assert len(rows_of(Source(folder))) == 5
