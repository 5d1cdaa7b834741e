"""Rows as other libraries have them. Ray is a real one on this machine; starting it takes some seconds."""

import asyncio
import datetime
import itertools
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets as hf  # type: ignore[import-untyped]
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch

from headwater import datasets, files
from headwater.client import Connection
from headwater.datasets import history
from headwater.datasets.packages import PackageMissing
from headwater.datasets.states import VersionDeprecated
from headwater.errors import HeadwaterError, InvalidArgument
from headwater.files.walk import find_files

ROWS = 1_000


def table() -> pa.Table:
    values = np.random.default_rng(3).random((ROWS, 6), np.float32)
    image = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), 6)
    day = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    columns: dict[str, pa.Array] = {
        "row": pa.array(np.arange(ROWS)),
        "image": image,
        "flag": pa.array([row % 2 == 0 for row in range(ROWS)]),
        "maybe": pa.array([None if row % 3 == 0 else row for row in range(ROWS)], pa.int32()),
        "time": pa.array([day + datetime.timedelta(hours=row) for row in range(ROWS)], pa.timestamp("us", "UTC")),
        "label": pa.array([f"label {row % 10}" for row in range(ROWS)]),
        "file": pa.array([bytes([row % 256]) * 3 for row in range(ROWS)]),
    }
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    fields[1] = fields[1].with_metadata({"headwater.shape": "[2, 3]"})
    return pa.table(list(columns.values()), schema=pa.schema(fields))


@pytest.fixture
async def version(connection: Connection) -> str:
    """A version with the table as its split train."""
    splits = datasets.Tables({"train": table(), "empty": table()[:0]})
    return (await asyncio.to_thread(datasets.push, connection, "d", splits)).version.name


async def test_an_arrow_table_has_the_rows_and_the_metadata(connection: Connection, version: str) -> None:
    def story() -> None:
        for name in (version, "d", "d@v1.0.0"):
            assert datasets.to_arrow(connection, name, "train").equals(table(), check_metadata=True)
        chosen = datasets.to_arrow(connection, "d", "train", columns=["label", "row"])
        assert chosen.equals(table().select(["label", "row"]))
        assert datasets.to_arrow(connection, "d", "empty").equals(table()[:0], check_metadata=True)

    await asyncio.to_thread(story)


async def test_the_filter_goes_to_the_server(connection: Connection, version: str) -> None:
    def story() -> None:
        chosen = datasets.to_arrow(connection, "d", "train", columns=["row"], filter="label = 'label 7' AND row < 500")
        assert chosen["row"].to_pylist() == [row for row in range(500) if row % 10 == 7]
        frame = datasets.to_pandas(connection, "d", "train", columns=["label"], filter="maybe IS NULL")
        assert len(frame) == len(range(0, ROWS, 3))
        with pytest.raises(HeadwaterError):
            datasets.to_numpy(connection, "d", "train", filter="nope = 1")

    await asyncio.to_thread(story)


async def test_who_reads_a_deprecated_version_is_warned_and_an_archived_one_is_not_read(
    connection: Connection, version: str
) -> None:
    """M-19, M-20."""

    def story() -> None:
        history.deprecate(connection, version, "use another one")
        with pytest.warns(VersionDeprecated, match="v1.0.0 is deprecated: use another one"):
            assert datasets.to_arrow(connection, version, "train").num_rows == ROWS
        history.archive(connection, version, "wrong labels")
        with pytest.raises(HeadwaterError) as refusal:
            datasets.to_arrow(connection, version, "train")
        assert refusal.value.reason == "DATASET_VERSION_ARCHIVED"

    await asyncio.to_thread(story)


async def test_a_pandas_frame_has_the_same_values(connection: Connection, version: str) -> None:
    def story() -> None:
        frame = datasets.to_pandas(connection, version, "train")
        wanted = table()
        assert list(frame.columns) == wanted.column_names
        assert frame["row"].tolist() == wanted["row"].to_pylist()
        assert frame["label"].tolist() == wanted["label"].to_pylist()
        assert frame["maybe"].isna().tolist() == wanted["maybe"].is_null().to_pylist()
        assert str(frame["time"].dtype).startswith("datetime64")
        assert frame["time"].dt.tz is not None
        assert np.stack(frame["image"].tolist()).tolist() == wanted["image"].to_pylist()

    await asyncio.to_thread(story)


async def test_a_polars_frame_has_the_same_values(connection: Connection, version: str) -> None:
    def story() -> None:
        frame = datasets.to_polars(connection, version, "train")
        assert frame.to_arrow().cast(table().schema).to_pydict() == table().to_pydict()
        assert frame["image"].shape == (ROWS,)
        assert frame.filter(frame["maybe"].is_null()).height == len(range(0, ROWS, 3))

    await asyncio.to_thread(story)


async def test_what_polars_has_of_its_own_can_be_pushed_and_what_it_lacks_is_said(connection: Connection) -> None:
    def story() -> None:
        words = ["a", "b", "a", None]
        frame = pl.DataFrame(
            {
                "category": pl.Series(words, dtype=pl.Categorical),
                "enum": pl.Series(words, dtype=pl.Enum(["a", "b"])),
                "inner": pl.Series([["a"], [], None, ["b"]], dtype=pl.List(pl.Categorical)),
            }
        )
        pushed = datasets.push(connection, "polars", {"train": frame})
        found = datasets.to_polars(connection, pushed.version.name, "train")
        assert found.to_dict(as_series=False) == frame.to_dict(as_series=False)
        wide = pa.table({"fits": pa.array([Decimal("1.5")], pa.decimal256(60, 2))})
        pushed = datasets.push(connection, "wide", {"train": wide})
        assert datasets.to_polars(connection, pushed.version.name, "train")["fits"].to_list() == [Decimal("1.50")]
        wide = pa.table({"too_wide": pa.array([Decimal(10**50)], pa.decimal256(60, 2))})
        pushed = datasets.push(connection, "wider", {"train": wide})
        with pytest.raises(InvalidArgument, match="too_wide"):
            datasets.to_polars(connection, pushed.version.name, "train")

    await asyncio.to_thread(story)


async def test_a_hugging_face_dataset_comes_back_with_its_features(connection: Connection, tmp_path: Path) -> None:
    def story() -> None:
        labels = hf.ClassLabel(names=["cat", "dog"])
        features = hf.Features({"label": labels, "text": hf.Value("string"), "pixels": hf.Array2D((2, 2), "float32")})
        rows = {"label": [0, 1, 1], "text": ["a", "b", "c"], "pixels": [[[0.0, 1.0], [2.0, 3.0]]] * 3}
        hf.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
        source = files.Source(find_files(tmp_path / "saved"))
        name = datasets.push(connection, "saved", source).version.name
        (split,) = source.splits
        loaded = datasets.to_huggingface_table(connection, name, split)
        assert (loaded.features["label"], loaded["label"][:]) == (labels, [0, 1, 1])
        stream = datasets.to_huggingface(connection, name, split)
        assert (stream.features["label"], [row["text"] for row in stream]) == (labels, ["a", "b", "c"])

    await asyncio.to_thread(story)


async def test_arrays_have_shapes_types_and_masks(connection: Connection, version: str) -> None:
    def story() -> None:
        arrays = datasets.to_numpy(connection, version, "train")
        wanted = table()
        assert {name: (array.shape, array.dtype) for name, array in arrays.items()} == {
            "row": ((ROWS,), np.int64),
            "image": ((ROWS, 2, 3), np.float32),
            "flag": ((ROWS,), np.bool_),
            "maybe": ((ROWS,), np.int32),
            "time": ((ROWS,), np.dtype("datetime64[us]")),
            "label": ((ROWS,), object),
            "file": ((ROWS,), object),
        }
        assert arrays["image"].reshape(ROWS, 6).tolist() == wanted["image"].to_pylist()
        assert isinstance(arrays["maybe"], np.ma.MaskedArray)
        assert arrays["maybe"].tolist() == wanted["maybe"].to_pylist()
        assert arrays["file"][5] == b"\5\5\5"
        empty = datasets.to_numpy(connection, version, "empty")
        assert empty["image"].shape == (0, 2, 3)
        assert empty["label"].shape == (0,)

    await asyncio.to_thread(story)


async def test_a_streamed_hugging_face_dataset_is_read_in_shards_and_goes_on(
    connection: Connection, version: str
) -> None:
    def story() -> None:
        stream = datasets.to_huggingface(connection, version, "train", shard_count=5, columns=["row", "label"])
        assert stream.num_shards == 5
        assert stream.column_names == ["row", "label"]
        assert [example["row"] for example in stream] == list(range(ROWS))
        begun, seen = iter(stream), []
        for _ in range(333):
            seen.append(next(begun)["row"])
        state = stream.state_dict()
        resumed = datasets.to_huggingface(connection, version, "train", shard_count=5, columns=["row", "label"])
        resumed.load_state_dict(state)
        assert seen + [example["row"] for example in resumed] == list(range(ROWS))

        from datasets.distributed import split_dataset_by_node  # type: ignore[import-untyped]

        halves = [[example["row"] for example in split_dataset_by_node(stream, rank, 5)] for rank in range(5)]
        assert sorted(itertools.chain(*halves)) == list(range(ROWS))
        shuffled = [example["row"] for example in stream.shuffle(seed=1, buffer_size=50)]
        assert shuffled != sorted(shuffled) == list(range(ROWS))

    await asyncio.to_thread(story)


async def test_workers_of_torchs_loader_share_the_shards_of_a_hugging_face_dataset(
    connection: Connection, version: str
) -> None:
    """They are forks of a process that has used gRPC; see headwater/datasets/sources.py."""

    def story() -> None:
        stream = datasets.to_huggingface(connection, version, "train", shard_count=4, columns=["row", "image"])
        loader = torch.utils.data.DataLoader(stream.with_format("torch"), batch_size=50, num_workers=2)
        batches = list(loader)
        assert batches[0]["image"].shape == (50, 6)
        assert sorted(torch.cat([batch["row"] for batch in batches]).tolist()) == list(range(ROWS))

    await asyncio.to_thread(story)


async def test_a_hugging_face_dataset_in_memory_has_the_rows_by_number(connection: Connection, version: str) -> None:
    def story() -> None:
        loaded = datasets.to_huggingface_table(connection, version, "train", columns=["row", "label", "image"])
        assert len(loaded) == ROWS
        assert loaded[7]["label"] == "label 7"
        assert loaded[7]["image"] == table()["image"][7].as_py()
        assert set(loaded.train_test_split(test_size=0.1, seed=0)) == {"train", "test"}

    await asyncio.to_thread(story)


@pytest.fixture
def local_ray() -> Iterator[Any]:
    """A Ray of this test's own."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    yield ray
    ray.shutdown()


# Ray Data sets some of its own deprecated settings.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.timeout(300)
async def test_ray_reads_each_shard_in_a_task(connection: Connection, version: str, local_ray: Any) -> None:
    def story() -> None:
        with pytest.raises(HeadwaterError) as refusal:
            datasets.to_ray(connection, version, "train", columns=["nope"])
        assert refusal.value.reason == "COLUMN_NOT_FOUND"
        data = datasets.to_ray(connection, version, "train", shard_count=4, columns=["row", "label", "image"])
        assert data.count() == ROWS
        assert data.schema().names == ["row", "label", "image"]
        read = data.materialize()
        assert read.num_blocks() == 4
        rows = sorted(read.take_all(), key=lambda row: row["row"])
        assert [row["row"] for row in rows] == list(range(ROWS))
        assert [list(row["image"]) for row in rows] == table()["image"].to_pylist()
        mapped = data.map_batches(lambda batch: {"twice": batch["row"] * 2}, batch_size=100)
        assert mapped.sum("twice") == ROWS * (ROWS - 1)

    await asyncio.to_thread(story)


READERS = [
    ("pandas", datasets.to_pandas),
    ("polars", datasets.to_polars),
    ("ray", datasets.to_ray),
    ("datasets", datasets.to_huggingface),
]


async def test_a_package_that_is_missing_is_named(
    connection: Connection, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, _ in READERS:
        # What Python itself keeps for a module that must not be imported.
        for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, package, None)

    def story() -> None:
        for package, reader in READERS:
            with pytest.raises(PackageMissing, match=f"pip install {package}"):
                reader(connection, version, "train")
        assert len(datasets.to_numpy(connection, version, "train")["row"]) == ROWS

    await asyncio.to_thread(story)
