"""Edits as streams: cut, at the same time, of other types, and with commands that are none."""

import asyncio
import concurrent.futures
import datetime
import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import TokenFor
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, flight_pb2
from headwater.datasets.catalog import stub
from headwater.errors import HeadwaterError
from headwater.flight import flight_errors
from tests.integration.dataset.raw_flight import messages_of, put_and_vanish
from tests.integration.dataset.test_collection import collect, packs_in

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def people(numbers: Any) -> pa.Table:
    numbers = list(numbers)
    return pa.table({"id": numbers, "name": [f"person {number}" for number in numbers]}, SCHEMA)


def open_upload(connection: Connection) -> datasets_pb2.Upload:
    request = datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d", inherit=True)
    return stub(connection).CreateUpload(request)


def put(connection: Connection, command: bytes) -> None:
    """A row, with a command of any kind."""
    descriptor = flight.FlightDescriptor.for_command(command)
    with flight_errors():
        writer, answers = connection.flight().do_put(descriptor, SCHEMA, connection.flight_options())
        with writer:
            writer.write_table(people([1]))
            writer.done_writing()
            answers.read()


async def test_an_edit_that_is_cut_changes_nothing_and_leaves_nothing(
    service: Service, connection: Connection, token_for: TokenFor, postgres_url: str, blobs_dir: Path
) -> None:
    """Promise 2: cut at 1, 50 and 99 % of its rows."""

    def story() -> str:
        datasets.push(connection, "d", datasets.Tables({"train": people(range(1000))}))
        upload = open_upload(connection)
        edit = flight_pb2.EditCommand(upload=upload.name, split="train", first_row=500, delete_count=10)
        command = flight_pb2.WriteCommand(edit=edit).SerializeToString()
        messages = messages_of(SCHEMA, people(range(400_000)).to_batches(max_chunksize=4000))
        address, token = f"127.0.0.1:{service.flight_port}", token_for(Role.WRITER)
        for share in (0.01, 0.5, 0.99):
            sent = messages[: 1 + int(share * len(messages))]
            put_and_vanish(address, token, upload.name, "train", sent, command)
        return upload.name

    kept_before = await asyncio.to_thread(story)
    found = await asyncio.to_thread(stub(connection).GetUpload, datasets_pb2.GetUploadRequest(name=kept_before))
    assert not found.splits
    await asyncio.to_thread(stub(connection).AbortUpload, datasets_pb2.AbortUploadRequest(name=kept_before))
    await _settle(postgres_url, blobs_dir)
    assert len(packs_in(blobs_dir)) == 1
    await asyncio.to_thread(datasets.verify, connection, "d")


async def _settle(postgres_url: str, blobs_dir: Path) -> None:
    """Collect until what the cut streams were still writing is gone."""
    for _ in range(50):
        await collect(postgres_url, blobs_dir)
        if len(packs_in(blobs_dir)) == 1:
            return
        await asyncio.sleep(0.2)


async def test_of_edits_at_the_same_time_each_is_made_as_a_whole_or_refused(connection: Connection) -> None:
    def story() -> None:
        datasets.push(connection, "d", datasets.Tables({"train": people(range(100))}))
        with datasets.edit(connection, "d") as edit:

            def append(number: int) -> str:
                try:
                    edit.replace("train", 100, 0, people([number]))
                except HeadwaterError as error:
                    return str(error.reason)
                return ""

            with concurrent.futures.ThreadPoolExecutor(6) as threads:
                outcomes = list(threads.map(append, range(1000, 1006)))
            assert set(outcomes) <= {"", "SPLIT_CHANGED"}
            assert "" in outcomes
        made = [1000 + at for at, outcome in enumerate(outcomes) if not outcome]
        rows = datasets.reader(connection, edit.commit.name, "train").read_all().column("id").to_pylist()
        assert rows[:100] == list(range(100))
        assert sorted(rows[100:]) == made
        datasets.verify(connection, "d")

    await asyncio.to_thread(story)


KEYS: list[tuple[pa.DataType, list[Any]]] = [
    (pa.int8(), [-1, 0, 7]),
    (pa.uint64(), [0, 2**64 - 1, 5]),
    (pa.bool_(), [True, False]),
    (pa.string(), ["", "é", "z" * 100]),
    (pa.binary(), [b"", b"\x00", b"\xff" * 80]),
    (pa.binary(4), [b"aaaa", b"\xff\xff\xff\xff"]),
    (pa.date32(), [datetime.date(1969, 12, 31), datetime.date(2026, 1, 1)]),
    (pa.timestamp("us"), [datetime.datetime.fromisoformat(text) for text in ("1960-01-01", "2026-01-01T12:00")]),
    (pa.timestamp("ns", "UTC"), [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)]),
    (pa.time64("us"), [datetime.time(0), datetime.time(23, 59, 59, 5)]),
    (pa.decimal128(10, 2), [decimal.Decimal("-1.50"), decimal.Decimal("99999999.99")]),
]


@pytest.mark.parametrize(("kind", "values"), KEYS, ids=[str(kind) for kind, _ in KEYS])
async def test_rows_are_found_by_keys_of_every_type_that_can_be_one(
    connection: Connection, kind: pa.DataType, values: list[Any]
) -> None:
    keys = pa.array(values, kind)

    def story() -> None:
        rows = pa.table({"key": keys, "n": pa.array([0] * len(keys))})
        datasets.push(connection, "d", datasets.Tables({"train": rows}))
        datasets.update(connection, "d", key_columns=["key"])
        with datasets.edit(connection, "d") as edit:
            edit.upsert("train", pa.table({"key": keys, "n": pa.array(range(1, len(keys) + 1))}))
        found = datasets.reader(connection, edit.commit.name, "train").read_all()
        assert found.column("n").to_pylist() == list(range(1, len(keys) + 1))
        with datasets.edit(connection, "d") as edit:
            edit.delete("train", pa.table({"key": keys[:1]}))
        assert datasets.reader(connection, edit.commit.name, "train").read_all().column("key").to_pylist() == values[1:]

    await asyncio.to_thread(story)


@pytest.mark.parametrize("kind", [pa.float64(), pa.list_(pa.int8()), pa.struct([("a", pa.int8())])], ids=str)
async def test_what_cannot_be_a_key_is_refused_as_one(connection: Connection, kind: pa.DataType) -> None:
    def story() -> None:
        rows = pa.table({"key": pa.nulls(3, kind), "n": [1, 2, 3]})
        datasets.push(connection, "d", datasets.Tables({"train": rows}))
        datasets.update(connection, "d", key_columns=["key"])
        with pytest.raises(HeadwaterError) as refusal, datasets.edit(connection, "d") as edit:
            edit.upsert("train", rows)
        assert refusal.value.reason == "KEY_TYPE_UNSUPPORTED"

    await asyncio.to_thread(story)


async def test_values_that_the_split_has_no_room_for_are_refused(connection: Connection) -> None:
    """Times of one zone are one type in the tree whatever their unit; the split keeps the unit that it has."""

    def story() -> None:
        seconds = pa.table({"at": pa.array([1, 2], pa.timestamp("s"))})
        datasets.push(connection, "d", datasets.Tables({"train": seconds}))
        with datasets.edit(connection, "d") as edit:
            edit.replace("train", 0, 1, pa.table({"at": pa.array([5_000], pa.timestamp("ms"))}))
        with pytest.raises(HeadwaterError) as refusal, datasets.edit(connection, "d") as edit:
            edit.replace("train", 0, 1, pa.table({"at": pa.array([5_001], pa.timestamp("ms"))}))
        assert refusal.value.reason == "COLUMNS_DIFFER"
        found = datasets.reader(connection, datasets.resolve(connection, "d"), "train").read_all()
        assert found.column("at").cast(pa.int64()).to_pylist() == [5, 2]

    await asyncio.to_thread(story)


async def test_key_columns_that_the_rows_do_not_have_are_named(connection: Connection) -> None:
    def story() -> None:
        rows = people(range(3))
        datasets.push(connection, "d", datasets.Tables({"train": rows}))
        with pytest.raises(HeadwaterError) as refusal:
            datasets.update(connection, "d", key_columns=["id", "nothing"])
        assert (refusal.value.reason, refusal.value.metadata["columns"]) == ("INVALID_KEY_COLUMNS", "nothing")
        with_it = rows.append_column("nothing", rows.column("id"))
        datasets.push(connection, "d", datasets.Tables({"train": with_it}))
        datasets.update(connection, "d", key_columns=["id", "nothing"])
        datasets.push(connection, "d", datasets.Tables({"train": rows}))
        with pytest.raises(HeadwaterError) as refusal, datasets.edit(connection, "d") as edit:
            edit.upsert("train", people([1]))
        assert (refusal.value.reason, refusal.value.metadata["column"]) == ("COLUMN_NOT_FOUND", "nothing")

    await asyncio.to_thread(story)


COMMANDS = {
    "nothing": b"",
    "garbage": b"\xff\xff\xff",
    "another message": flight_pb2.GetCommand(version="projects/default/datasets/d/versions/v1.0.0").SerializeToString(),
    "a command that is not set": flight_pb2.WriteCommand().SerializeToString(),
    "an edit of nothing": flight_pb2.WriteCommand(edit=flight_pb2.EditCommand()).SerializeToString(),
    "a row before the first": flight_pb2.WriteCommand(
        edit=flight_pb2.EditCommand(upload="projects/default/datasets/d/uploads/u", split="train", first_row=-1)
    ).SerializeToString(),
    "a split that is a path": flight_pb2.WriteCommand(
        edit=flight_pb2.EditCommand(upload="projects/default/datasets/d/uploads/u", split="../train")
    ).SerializeToString(),
    "an upload that is not there": flight_pb2.WriteCommand(
        upsert=flight_pb2.UpsertCommand(upload="projects/default/datasets/d/uploads/u", split="train")
    ).SerializeToString(),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
async def test_a_command_that_is_none_is_refused_cleanly(connection: Connection, command: bytes) -> None:
    """Promise 16."""

    def story() -> str:
        with pytest.raises(HeadwaterError) as refusal:
            put(connection, command)
        return refusal.value.code.name

    assert await asyncio.to_thread(story) in {"INVALID_ARGUMENT", "NOT_FOUND"}


async def test_an_upload_that_inherits_nothing_takes_no_edits(connection: Connection) -> None:
    def story() -> None:
        datasets.push(connection, "d", datasets.Tables({"train": people(range(3))}))
        upload = stub(connection).CreateUpload(datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d"))
        edit = flight_pb2.EditCommand(upload=upload.name, split="train")
        command = flight_pb2.WriteCommand(edit=edit).SerializeToString()
        with pytest.raises(HeadwaterError) as refusal:
            put(connection, command)
        assert refusal.value.reason == "UPLOAD_INHERITS_NOTHING"

    await asyncio.to_thread(story)
