"""Streams of rows that are wrong: a clear error, nothing listed, and the service goes on."""

import asyncio
import random
import struct
from collections.abc import Callable

import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.service import Service
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, flight_pb2
from headwater.datasets.catalog import stub
from headwater.errors import Code, HeadwaterError
from headwater.flight import flight_errors
from tests.integration.dataset.raw_flight import Message, messages_of, patched, put_and_vanish, put_raw

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string())])
BATCH = pa.record_batch([pa.array(range(1000)), pa.array([f"row {row}" for row in range(1000)])], schema=SCHEMA)


@pytest.fixture
def put(service: Service, connection: Connection) -> Callable[[list[Message]], HeadwaterError]:
    """Puts messages into a new upload, asserts that they are refused and nothing is listed; returns the error."""

    def refused(messages: list[Message]) -> HeadwaterError:
        upload = stub(connection).CreateUpload(datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d"))
        with pytest.raises(HeadwaterError) as refusal:
            put_raw(f"127.0.0.1:{service.flight_port}", connection.token, upload.name, "train", messages)
        after = stub(connection).GetUpload(datasets_pb2.GetUploadRequest(name=upload.name))
        assert not after.splits
        with pytest.raises(HeadwaterError) as empty:
            stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload.name))
        assert empty.value.reason == "UPLOAD_EMPTY"
        assert list(datasets.list_versions(connection, "d")) == []
        return refusal.value

    return refused


Put = Callable[[list[Message]], HeadwaterError]


async def test_a_raw_stream_that_is_right_is_taken(service: Service, connection: Connection) -> None:
    """The helper of the tests below does put rows when nothing is wrong with them."""

    def story() -> None:
        upload = stub(connection).CreateUpload(datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d"))
        address = f"127.0.0.1:{service.flight_port}"
        put_raw(address, connection.token, upload.name, "train", messages_of(SCHEMA, [BATCH, BATCH]))
        after = stub(connection).GetUpload(datasets_pb2.GetUploadRequest(name=upload.name))
        assert [(split.name, split.row_count) for split in after.splits] == [("train", 2000)]

    await asyncio.to_thread(story)


async def test_a_schema_that_changes_in_mid_stream_is_refused(put: Put) -> None:
    other = BATCH.rename_columns(["id", "other"])
    error = await asyncio.to_thread(put, messages_of(SCHEMA, [BATCH]) + messages_of(other.schema, [other]))
    assert error.code is Code.INVALID_ARGUMENT


async def test_a_batch_with_other_columns_is_refused(put: Put) -> None:
    other = pa.record_batch([pa.array([1.5])], ["x"])
    error = await asyncio.to_thread(put, messages_of(SCHEMA, [BATCH, other]))
    assert error.code is Code.INVALID_ARGUMENT


async def test_a_buffer_that_claims_a_terabyte_is_refused(put: Put) -> None:
    schema, batch = messages_of(SCHEMA, [BATCH])
    size_bytes = len(BATCH.column("id").buffers()[1])
    error = await asyncio.to_thread(put, [schema, patched(batch, size_bytes, 1 << 40)])
    assert error.code is Code.INVALID_ARGUMENT


async def test_a_batch_that_claims_a_trillion_rows_is_refused(put: Put) -> None:
    schema, batch = messages_of(SCHEMA, [BATCH])
    error = await asyncio.to_thread(put, [schema, patched(batch, BATCH.num_rows, 10**12)])
    assert error.code is Code.INVALID_ARGUMENT


async def test_offsets_that_point_outside_their_buffer_are_refused(put: Put) -> None:
    schema, (header, body) = messages_of(SCHEMA, [BATCH])
    offsets = BATCH.column("text").buffers()[1].to_pybytes()
    wild = struct.pack("<i", 2**31 - 1) * (len(offsets) // 4)
    assert offsets in body
    error = await asyncio.to_thread(put, [schema, (header, body.replace(offsets, wild))])
    assert error.code is Code.INVALID_ARGUMENT


async def test_a_body_that_is_cut_is_refused(put: Put) -> None:
    schema, (header, body) = messages_of(SCHEMA, [BATCH])
    error = await asyncio.to_thread(put, [schema, (header, body[: len(body) // 2])])
    assert error.code is Code.INVALID_ARGUMENT


async def test_bytes_that_are_no_ipc_message_are_refused(put: Put) -> None:
    schema, _ = messages_of(SCHEMA, [BATCH])
    for messages in ([(b"garbage" * 10, b"")], [schema, (b"\x00" * 64, b"\xff" * 64)]):
        error = await asyncio.to_thread(put, messages)
        assert error.code in (Code.INVALID_ARGUMENT, Code.INTERNAL)


async def test_random_damage_is_refused_or_is_no_damage(service: Service, connection: Connection) -> None:
    """Each stream is either refused as the client's fault or gives rows that read back: never a crash, never a half."""

    def story() -> None:
        chance = random.Random(7)
        schema, (header, body) = messages_of(SCHEMA, [BATCH])
        refused = 0
        for _ in range(150):
            damaged = bytearray(header)
            for _ in range(chance.randint(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            upload = stub(connection).CreateUpload(
                datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/damaged")
            )
            address = f"127.0.0.1:{service.flight_port}"
            refusals: list[HeadwaterError] = []
            try:
                put_raw(address, connection.token, upload.name, "train", [schema, (bytes(damaged), body)])
            except HeadwaterError as error:
                refusals.append(error)
            if refusals:
                refused += 1
                assert [error.code for error in refusals] == [Code.INVALID_ARGUMENT]
                assert not stub(connection).GetUpload(datasets_pb2.GetUploadRequest(name=upload.name)).splits
                continue
            commit = stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload.name))
            datasets.verify(connection, commit.dataset_version.name)
        assert refused > 50

    await asyncio.to_thread(story)


SCHEMAS = [
    (pa.schema([("a", pa.int64()), ("a", pa.int64())]), "INVALID_SCHEMA"),
    (pa.schema([("a\0b", pa.int64())]), "INVALID_COLUMN_NAME"),
    (pa.schema([("s", pa.struct([("a\0b", pa.int64())]))]), "INVALID_COLUMN_NAME"),
    (pa.schema([("l", pa.list_(pa.struct([("a\nb", pa.int64())])))]), "INVALID_COLUMN_NAME"),
    (pa.schema([("", pa.int64())]), "INVALID_SCHEMA"),
    (pa.schema([]), "INVALID_SCHEMA"),
    (pa.schema([("u", pa.dense_union([pa.field("a", pa.int64())]))]), "UNSUPPORTED_COLUMN_TYPE"),
    (pa.schema([("a", pa.int64())], {"k": "v" * (1 << 20)}), "SCHEMA_TOO_LARGE"),
]


async def test_a_schema_that_no_dataset_can_have_is_refused(connection: Connection) -> None:
    def story() -> None:
        for schema, reason in SCHEMAS:
            request = datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d")
            upload = stub(connection).CreateUpload(request)
            command = flight_pb2.PutCommand(upload=upload.name, split="train").SerializeToString()
            with pytest.raises(HeadwaterError) as refusal:
                _put_nothing(connection, command, schema)
            assert refusal.value.reason == reason
            assert not stub(connection).GetUpload(datasets_pb2.GetUploadRequest(name=upload.name)).splits

    await asyncio.to_thread(story)


async def test_a_stream_whose_client_goes_away_leaves_nothing_listed(service: Service, connection: Connection) -> None:
    """Promise 2."""

    def story() -> None:
        upload = stub(connection).CreateUpload(datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d"))
        for batches in (1, 50, 99) * 10:
            messages = messages_of(SCHEMA, [BATCH] * batches)
            put_and_vanish(f"127.0.0.1:{service.flight_port}", connection.token, upload.name, "train", messages)
        with pytest.raises(HeadwaterError) as empty:
            stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload.name))
        assert empty.value.reason == "UPLOAD_EMPTY"
        assert not stub(connection).GetUpload(datasets_pb2.GetUploadRequest(name=upload.name)).splits

    await asyncio.to_thread(story)


def _put_nothing(connection: Connection, command: bytes, schema: pa.Schema) -> None:
    with flight_errors():
        descriptor = flight.FlightDescriptor.for_command(command)
        writer, answers = connection.flight().do_put(descriptor, schema, connection.flight_options())
        with writer:
            writer.done_writing()
            answers.read()
