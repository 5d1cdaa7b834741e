"""Rows in and out of a running service, as the SDK and plain Arrow Flight clients do it."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.service import Service
from chassis.testing import StartService
from headwater import datasets, tree
from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.errors import HeadwaterError
from headwater.files import Source, split_by
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo

T = TypeVar("T")
ROWS = 60_000


def floats(rows: int = ROWS, width: int = 32, seed: int = 1) -> pa.Table:
    values = np.random.default_rng(seed).random(rows * width, np.float32)
    columns = {
        "x": pa.FixedSizeListArray.from_arrays(pa.array(values), width),
        "label": pa.array(np.arange(rows) % 10, pa.int64()),
        "name": pa.array([f"row {row}" for row in range(rows)]),
    }
    return pa.table(columns)


def stored_bytes(directory: Path) -> int:
    return sum(file.stat().st_size for file in (directory / "dataset" / "blake3").rglob("*") if file.is_file())


async def test_what_was_pushed_is_read_back(connection: Connection) -> None:
    def story() -> None:
        table = floats()
        seen: list[datasets.Progress] = []
        source = datasets.Tables({"train": table, "test": table[:10]})
        pushed = datasets.push(connection, "digits", source, message="m", on_progress=seen.append)
        assert pushed.created
        assert pushed.version.name == "projects/default/datasets/digits/versions/v1.0.0"
        assert (pushed.version.row_count, pushed.version.message, pushed.version.author) == (ROWS + 10, "m", "tester")
        assert (seen[-1].split, seen[-1].rows) == ("test", ROWS + 10)
        splits = [tree.digest_split("test", table.schema, table[:10].to_batches())]
        splits.append(tree.digest_split("train", table.schema, table.to_batches()))
        assert pushed.version.digest == tree.digest_text(tree.version_digest(table.schema, splits))
        assert datasets.reader(connection, pushed.version.name, "train").read_all().equals(table)
        assert datasets.reader(connection, pushed.version.name, "test").read_all().equals(table[:10])
        datasets.verify(connection, "digits")

    await asyncio.to_thread(story)


async def test_batches_have_one_to_four_mebibytes(connection: Connection) -> None:
    def story() -> None:
        pushed = datasets.push(connection, "digits", datasets.Tables({"train": floats()}))
        batches = list(datasets.reader(connection, pushed.version.name, "train"))
        assert len(batches) > 3
        assert all(1 << 20 <= batch.nbytes <= 4 << 20 for batch in batches[:-1])

    await asyncio.to_thread(story)


async def test_the_same_rows_again_make_no_version_and_store_nothing(connection: Connection, blobs_dir: Path) -> None:
    """N-11: nor do they when they come in other batches and another encoding."""

    def story() -> None:
        table = floats()
        first = datasets.push(connection, "digits", datasets.Tables({"train": table}))
        before = stored_bytes(blobs_dir)
        name = table.schema.get_field_index("name")
        encoded = table.set_column(name, "name", table["name"].combine_chunks().dictionary_encode())
        for rows in (777, 10_000):
            again = datasets.push(
                connection, "digits", datasets.Tables({"train": encoded.to_reader(max_chunksize=rows)})
            )
            assert not again.created
            assert again.new_chunk_count == 0
            assert again.version == first.version
        assert stored_bytes(blobs_dir) == before
        assert [version.name for version in datasets.list_versions(connection, "digits")] == [first.version.name]

    await asyncio.to_thread(story)


async def test_a_row_in_the_middle_costs_at_most_three_chunks(connection: Connection, blobs_dir: Path) -> None:
    def story() -> None:
        table = floats()
        first = datasets.push(connection, "digits", datasets.Tables({"train": table}))
        before = stored_bytes(blobs_dir)
        middle = ROWS // 2
        edited = pa.concat_tables([table[:middle], floats(1, seed=2), table[middle:]])
        second = datasets.push(connection, "digits", datasets.Tables({"train": edited}))
        assert second.created
        assert 1 <= second.new_chunk_count <= 3 < second.chunk_count
        assert stored_bytes(blobs_dir) - before < (stored_bytes(blobs_dir) // 2)
        # Both stay readable, each with its own rows, though most of their bytes are the same.
        assert datasets.reader(connection, first.version.name, "train").read_all().equals(table)
        assert datasets.reader(connection, second.version.name, "train").read_all().equals(edited)

    await asyncio.to_thread(story)


async def test_columns_rows_and_shards_are_what_was_asked_for(connection: Connection) -> None:
    def story() -> None:
        table = floats()
        version = datasets.push(connection, "digits", datasets.Tables({"train": table})).version.name

        def read(**wanted: Any) -> pa.Table:
            return datasets.reader(connection, version, "train", **wanted).read_all()

        assert read(columns=["name", "label"]).equals(table.select(["name", "label"]))
        assert read(first_row=123, row_limit=45_678).equals(table.slice(123, 45_678))
        assert read(first_row=ROWS - 1).equals(table.slice(ROWS - 1))
        assert read(first_row=ROWS + 5).num_rows == 0
        assert read(row_limit=1).equals(table[:1])
        parts = [read(shard=(index, 7), first_row=10) for index in range(7)]
        assert pa.concat_tables(parts).equals(table.slice(10))
        assert max(part.num_rows for part in parts) - min(part.num_rows for part in parts) <= 1

    await asyncio.to_thread(story)


async def test_one_endpoint_a_shard_says_schema_rows_and_bytes(connection: Connection) -> None:
    def story() -> None:
        table = floats()
        version = datasets.push(connection, "digits", datasets.Tables({"train": table})).version
        command = flight_pb2.GetCommand(version=version.name, split="train", columns=["label"], shard_count=3)
        descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
        info = connection.flight().get_flight_info(descriptor, connection.flight_options())
        assert len(info.endpoints) == 3
        assert info.total_records == ROWS
        assert info.total_bytes == version.size_bytes
        assert info.schema == table.select(["label"]).schema

    await asyncio.to_thread(story)


async def test_a_client_that_knows_only_arrow_flight_finds_and_reads_a_version(connection: Connection) -> None:
    def story() -> None:
        table = floats(1000)
        datasets.push(connection, "digits", datasets.Tables({"train": table, "test": table[:10]}))
        datasets.push(connection, "digits", datasets.Tables({"train": table[:500]}))
        client, options = connection.flight(), connection.flight_options()
        for criteria in (b"", b"projects/default", b"projects/default/datasets/digits"):
            paths = [info.descriptor.path for info in client.list_flights(criteria, options)]
            assert [b"/".join(path[-2:]).decode() for path in paths] == ["v1.1.0/train", "v1.0.0/test", "v1.0.0/train"]
        descriptor = flight.FlightDescriptor.for_path(
            "projects", "default", "datasets", "digits", "versions", "v1.0.0", "train"
        )
        info = client.get_flight_info(descriptor, options)
        assert client.get_schema(descriptor, options).schema == info.schema
        assert client.do_get(info.endpoints[0].ticket, options).read_all().equals(table)

    await asyncio.to_thread(story)


async def test_a_long_stream_is_read_window_by_window(start_service: StartService, connection_to: ConnectTo) -> None:
    """More packs than are opened at once, and fewer kept open than one window has."""
    service = await start_service(build, Settings, flight_port=0, pack_max_bytes=64 << 10, mapped_packs=4)
    connection = connection_to(service)

    def story() -> None:
        table = floats(40_000, width=256)
        version = datasets.push(connection, "digits", datasets.Tables({"train": table})).version
        assert version.splits[0].chunk_count > 32
        assert datasets.reader(connection, version.name, "train").read_all().equals(table)

    await asyncio.to_thread(story)


async def test_a_split_without_rows_can_be_pushed_and_read(connection: Connection) -> None:
    def story() -> None:
        table = floats(10)
        version = datasets.push(connection, "d", datasets.Tables({"train": table, "test": table[:0]})).version
        assert {split.name: split.row_count for split in version.splits} == {"train": 10, "test": 0}
        got = datasets.reader(connection, version.name, "test").read_all()
        assert got.equals(table[:0])
        datasets.verify(connection, version.name)

    await asyncio.to_thread(story)


COLUMNS = [
    pa.array(["a", None, "b"], pa.large_string()),
    pa.array(["a", None, "b"], pa.string_view()),
    pa.array(["a", None, "b"]).dictionary_encode(),
    pa.array([[1, 2], None, []], pa.large_list(pa.int32())),
    pa.array([[["x"]], None, [[], ["y", None]]], pa.list_(pa.large_list(pa.dictionary(pa.int8(), pa.string())))),
    pa.array([{"a": "x", "b": [1]}, None, {"a": None, "b": None}]),
    pa.array([[("k", 1)], None, []], pa.map_(pa.large_string(), pa.int64())),
    pa.array([b"\0\1", None, b""], pa.binary_view()),
    pa.array([1, None, 3], pa.timestamp("ms", "UTC")),
    pa.array([True, None, False]),
    pa.array([1.5, None, float("nan")], pa.float16()),
    pa.array([None, "1.25", "-3.50"]).cast(pa.decimal128(20, 2)),
    pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float32(), [2, 2]), pa.array([[1, 2, 3, 4]] * 3, pa.list_(pa.float32(), 4))
    ),
]


async def test_every_type_comes_back_with_its_values_and_its_digest(connection: Connection) -> None:
    def story() -> None:
        for column in COLUMNS:
            table = pa.table({"row": pa.array([0, 1, 2]), "column": column})
            version = datasets.push(connection, "types", datasets.Tables({"train": table})).version
            got = datasets.reader(connection, version.name, "train").read_all()
            assert str(got["column"].to_pylist()) == str(table["column"].to_pylist()), column.type
            datasets.verify(connection, version.name)

    await asyncio.to_thread(story)


async def test_metadata_of_the_schema_is_kept_for_readers_and_is_no_part_of_the_digest(connection: Connection) -> None:
    def story() -> None:
        field = pa.field("a", pa.int64(), metadata={"unit": "s"})
        plain = pa.table({"a": pa.array([1, 2])})
        version = datasets.push(
            connection, "d", datasets.Tables({"train": plain.cast(pa.schema([field], {"k": "v"}))})
        ).version
        schema = datasets.reader(connection, version.name, "train").read_all().schema
        assert schema.metadata == {b"k": b"v"}
        assert schema.field("a").metadata == {b"unit": b"s"}
        assert not datasets.push(connection, "d", datasets.Tables({"train": plain})).created

    await asyncio.to_thread(story)


async def test_files_are_pushed_with_their_names_and_digests(connection: Connection, tmp_path: Path) -> None:
    """R-31 in part: the digest of a version that came from files, and where its rows came from."""

    def story() -> None:
        for split in ("train", "test"):
            (tmp_path / "files" / split).mkdir(parents=True)
            for number in range(3):
                lines = "\n".join(f"{number},{row}" for row in range(10))
                (tmp_path / "files" / split / f"{number}.csv").write_text(f"a,b\n{lines}\n")
        source = Source(tmp_path / "files", split_by("directory"))
        version = datasets.push(connection, "csv", source).version
        assert version.source_file_count == 6
        files = list(datasets.list_source_files(connection, version.name))
        assert [file.path for file in files] == sorted(file.path for file in files)
        assert len(files) == 6
        assert version.source_digest.startswith("sha256:")
        assert datasets.pull(connection, version.name, "train", tmp_path / "train.parquet") == 30
        pulled = Source(tmp_path / "train.parquet")
        again = tree.digest_split("train", pulled.schema, pulled.batches("train"))
        assert tree.digest_text(again.root) == next(split.root for split in version.splits if split.name == "train")

    await asyncio.to_thread(story)


async def test_a_push_that_fails_gives_its_upload_up(connection: Connection, service: Service) -> None:
    def story() -> None:
        table = floats(1000)
        schema = table.schema

        def breaking() -> Any:
            yield table.to_batches()[0]
            raise RuntimeError("the disk went away")

        source = datasets.Tables({"train": pa.RecordBatchReader.from_batches(schema, breaking())})
        with pytest.raises(RuntimeError, match="the disk went away"):
            datasets.push(connection, "digits", source)
        assert list(datasets.list_datasets(connection)) == []  # nor was it made for them

    await asyncio.to_thread(story)


READS: list[tuple[str, Callable[[Connection, str], Any]]] = [
    ("SPLIT_NOT_FOUND", lambda c, v: datasets.reader(c, v, "nope")),
    ("COLUMN_NOT_FOUND", lambda c, v: datasets.reader(c, v, "train", columns=["nope"])),
    ("COLUMN_NOT_FOUND", lambda c, v: datasets.reader(c, v, "train", columns=["label", "label"])),
    ("DATASET_VERSION_NOT_FOUND", lambda c, v: datasets.reader(c, v.replace("v1.0.0", "v9.0.0"), "train")),
    ("INVALID_VERSION", lambda c, v: datasets.reader(c, v.replace("v1.0.0", "1"), "train")),
    ("INVALID_NAME", lambda c, v: datasets.reader(c, v.replace("v1.0.0", "latest"), "train")),
    ("INVALID_NAME", lambda c, v: datasets.reader(c, v, "../train")),
    ("SHARD_OUT_OF_RANGE", lambda c, v: datasets.reader(c, v, "train", shard=(2, 2))),
    ("INVALID_FIELDS", lambda c, v: datasets.reader(c, v, "train", shard=(0, 5000))),
    ("INVALID_FIELDS", lambda c, v: datasets.reader(c, v, "train", first_row=-1)),
]


async def test_a_read_of_what_is_not_there_says_so(connection: Connection) -> None:
    def story() -> None:
        version = datasets.push(connection, "digits", datasets.Tables({"train": floats(10)})).version.name
        for reason, read in READS:
            with pytest.raises(HeadwaterError) as refusal:
                read(connection, version)
            assert refusal.value.reason == reason

    await asyncio.to_thread(story)
