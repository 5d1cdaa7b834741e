"""Puts that send some chunks by name: nobody can make a version whose digest is not that of its rows by it."""

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.auth import Role
from chassis.service import Service
from headwater import datasets, tree
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, flight_pb2
from headwater.datasets.catalog import stub
from headwater.errors import Code, HeadwaterError, NotFound, PermissionDenied
from headwater.flight import flight_errors
from tests.integration.dataset.conftest import ConnectTo

SCHEMA = pa.schema([("id", pa.int64()), ("x", pa.list_(pa.float32(), 512))])
Message = tuple[pa.RecordBatch | None, bytes | None]


def rows(count: int = 4000, seed: int = 0, schema: pa.Schema = SCHEMA) -> pa.Table:
    values = np.random.default_rng(seed).random(count * 512, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values), 512)
    return pa.Table.from_arrays([pa.array(range(count)), vectors], schema=SCHEMA).cast(schema)


def cut(table: pa.Table) -> list[tree.Chunk]:
    builder = tree.ChunkBuilder(table.schema)
    return [chunk for batch in table.to_batches() for chunk in builder.push(batch)] + builder.finish()


def told(stored: Sequence[tree.Chunk] = (), *, ends: bool = False) -> bytes:
    joined = b"".join(chunk.digest for chunk in stored)
    return flight_pb2.PutMessage(stored_chunks=joined, ends_chunk=ends).SerializeToString()


def send(chunk: tree.Chunk, stored: Sequence[tree.Chunk] = ()) -> Message:
    return chunk.to_batch(), told(stored, ends=True)


class Putting:
    """Puts messages into new uploads of one dataset."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._service = stub(connection)

    def upload(self) -> str:
        parent = "projects/default/datasets/d"
        return self._service.CreateUpload(datasets_pb2.CreateUploadRequest(parent=parent)).name

    def put(self, upload: str, messages: Iterable[Message], schema: pa.Schema = SCHEMA) -> flight_pb2.PutResult:
        command = flight_pb2.PutCommand(upload=upload, split="train").SerializeToString()
        descriptor = flight.FlightDescriptor.for_command(command)
        with flight_errors():
            writer, answers = self._connection.flight().do_put(descriptor, schema, self._connection.flight_options())
            with writer:
                for batch, metadata in messages:
                    if batch is None:
                        writer.write_metadata(metadata)
                    elif metadata is None:
                        writer.write_batch(batch)
                    else:
                        writer.write_with_metadata(batch, metadata)
                writer.done_writing()
                return flight_pb2.PutResult.FromString(bytes(answers.read()))

    def refused(self, messages: Iterable[Message], schema: pa.Schema = SCHEMA) -> HeadwaterError:
        """The error; nothing of the upload is listed then, and the service goes on."""
        upload = self.upload()
        with pytest.raises(HeadwaterError) as refusal:
            self.put(upload, messages, schema)
        assert not self._service.GetUpload(datasets_pb2.GetUploadRequest(name=upload)).splits
        with pytest.raises(HeadwaterError) as empty:
            self.commit(upload)
        assert empty.value.reason == "UPLOAD_EMPTY"
        return refusal.value

    def commit(self, upload: str) -> datasets_pb2.DatasetVersion:
        return self._service.CommitUpload(datasets_pb2.CommitUploadRequest(name=upload)).dataset_version

    def missing(self, upload: str, digests: Sequence[bytes], schema: bytes | None = None) -> list[int]:
        serialized = SCHEMA.serialize().to_pybytes() if schema is None else schema
        request = datasets_pb2.FindMissingChunksRequest(name=upload, arrow_schema=serialized, digests=digests)
        return list(self._service.FindMissingChunks(request).missing)


@pytest.fixture
def putting(connection: Connection) -> Putting:
    return Putting(connection)


async def test_what_is_stored_need_not_be_sent(putting: Putting, connection: Connection) -> None:
    """In every place: before what is sent, between and after, and alone."""

    def story() -> None:
        table = rows()
        chunks = cut(table)
        assert len(chunks) > 6
        first = putting.upload()
        assert putting.missing(first, [chunk.digest for chunk in chunks]) == list(range(len(chunks)))
        assert putting.put(first, [send(chunk) for chunk in chunks[1:3]]).new_chunk_count == 2
        assert putting.missing(first, [chunk.digest for chunk in chunks[:4]]) == [0, 3]
        second = putting.upload()
        messages = [send(chunks[0]), send(chunks[3], stored=chunks[1:3])]
        result = putting.put(second, messages + [send(chunk) for chunk in chunks[4:]])
        assert (result.chunk_count, result.new_chunk_count) == (len(chunks), len(chunks) - 2)
        version = putting.commit(second)
        split = tree.digest_split("train", SCHEMA, table.to_batches())
        assert version.digest == tree.digest_text(tree.version_digest(SCHEMA, [split]))
        assert datasets.reader(connection, version.name, "train").read_all().equals(table)
        third = putting.upload()
        again = putting.put(third, [(None, told(chunks[:2])), (None, told(chunks[2:]))])
        assert (again.root, again.new_chunk_count) == (result.root, 0)

    await asyncio.to_thread(story)


async def test_rows_whose_client_does_not_cut_them_may_stand_beside_chunks_by_name(
    putting: Putting, connection: Connection
) -> None:
    """A mixed stream: the server cuts what comes without a word about chunks."""

    def story() -> None:
        table = rows()
        chunks = cut(table)
        putting.put(putting.upload(), [(batch, None) for batch in table.to_batches()])
        whole = pa.concat_batches([chunk.to_batch() for chunk in chunks[2:5]])
        upload = putting.upload()
        plain: list[Message] = [(whole.slice(at, 100), None) for at in range(0, whole.num_rows, 100)]
        putting.put(upload, [(None, told(chunks[:2])), *plain, (None, told(chunks[5:]))])
        assert datasets.reader(connection, putting.commit(upload).name, "train").read_all().equals(table)

    await asyncio.to_thread(story)


async def test_chunks_that_are_cut_elsewhere_than_rows_are_cut_are_refused(putting: Putting) -> None:
    """Else one set of rows would have two digests."""

    def story() -> None:
        chunks = cut(rows())
        putting.put(putting.upload(), [send(chunk) for chunk in chunks])
        part = chunks[1].to_batch().slice(0, chunks[1].row_count // 2)
        rest = chunks[1].to_batch().slice(chunks[1].row_count // 2)
        for messages in (
            [(part, told(ends=True)), (rest, told(ends=True))],  # ended by word
            [(part, None), (rest, told(chunks[:1]))],  # ended by a chunk by name between
            [(part, None), (None, told(chunks[2:3]))],  # ended by a chunk by name after it
            [send(chunks[-1]), send(chunks[0])],  # the end of one split within another
            [(None, told([chunks[-1], chunks[0]]))],  # the same, by name alone
        ):
            error = putting.refused(messages)
            assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "CHUNKS_NOT_CANONICAL")

    await asyncio.to_thread(story)


async def test_a_full_chunk_ends_before_a_row_that_is_too_large_for_it_and_before_no_other(putting: Putting) -> None:
    """Its end depends on what follows: the server looks at that too, when both are known by name only."""
    schema = pa.schema([("b", pa.binary())])

    def story() -> None:
        hasher, random = tree.RowHasher(schema), np.random.default_rng(0)
        large: list[pa.RecordBatch] = []
        while len(large) < 20:
            row = pa.record_batch([pa.array([random.bytes(500_000)])], schema)
            (hashed,) = hasher.hash(row)
            if int.from_bytes(hashed.digests[:8], "big") >> 44 >= 500_005:  # does not end a chunk by itself
                large.append(row)
        full, last = cut(pa.Table.from_batches(large))
        assert not full.ends_naturally
        (small,) = cut(pa.table({"b": [b"small"]}, schema=schema))
        first = putting.upload()
        putting.put(first, [send(full), send(last)], schema)
        putting.put(putting.upload(), [send(small)], schema)
        assert putting.put(putting.upload(), [(None, told([full, last]))], schema).row_count == 20
        for messages in ([(None, told([full, small]))], [(small.to_batch(), told([full]))]):
            assert putting.refused(messages, schema).reason == "CHUNKS_NOT_CANONICAL"

    await asyncio.to_thread(story)


async def test_chunks_that_were_never_stored_or_in_another_layout_are_refused(putting: Putting) -> None:
    def story() -> None:
        table = rows()
        chunks = cut(table)
        putting.put(putting.upload(), [send(chunk) for chunk in chunks])
        other = pa.schema([("id", pa.int64()), ("x", pa.list_(pa.float32()))])
        # The digests of lists are those of fixed-size lists, but what is stored is not the same.
        assert [chunk.digest for chunk in cut(rows(schema=other))] == [chunk.digest for chunk in chunks]
        assert putting.missing(putting.upload(), [chunks[0].digest], other.serialize().to_pybytes()) == [0]
        error = putting.refused([(None, told(chunks))], other)
        assert (error.code, error.reason) == (Code.FAILED_PRECONDITION, "CHUNK_NOT_STORED")
        assert error.metadata == {"chunk": tree.digest_text(chunks[0].digest)}
        never = flight_pb2.PutMessage(stored_chunks=bytes(32)).SerializeToString()
        assert putting.refused([(None, never)]).reason == "CHUNK_NOT_STORED"
        assert putting.refused([send(chunks[0]), (None, never)]).reason == "CHUNK_NOT_STORED"

    await asyncio.to_thread(story)


async def test_metadata_that_is_no_put_message_is_refused(putting: Putting) -> None:
    def story() -> None:
        batch = rows(10).to_batches()[0]
        for metadata in (
            flight_pb2.PutMessage(stored_chunks=bytes(31)).SerializeToString(),
            flight_pb2.PutMessage(stored_chunks=bytes(65)).SerializeToString(),
            b"\xff\xff garbage",
            b"\x0a\xff\xff\xff\xff\x0f",
        ):
            for message in ((None, metadata), (batch, metadata)):
                error = putting.refused([message])
                assert (error.code, error.reason) == (Code.INVALID_ARGUMENT, "MALFORMED_PUT_MESSAGE")
        assert putting.refused([(None, b"\x0a" + b"\0" * (1 << 20))]).reason == "METADATA_TOO_LARGE"

    await asyncio.to_thread(story)


async def test_metadata_without_end_holds_no_memory_without_end(
    putting: Putting, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 8: a split has a largest number of chunks, also when they are named and not sent."""
    monkeypatch.setattr("services.dataset.rows.writer.MAX_CHUNKS", 5_000)

    def story() -> None:
        (chunk,) = cut(pa.table({"id": [1], "x": [[1.0] * 512]}, schema=SCHEMA))
        natural = next(chunk for chunk in cut(rows()) if chunk.ends_naturally)
        putting.put(putting.upload(), [send(natural), send(chunk)])
        assert putting.put(putting.upload(), [(None, told([natural] * 5_000))]).chunk_count == 5_000
        error = putting.refused((None, told([natural] * 1_000)) for _ in range(1_000))
        assert (error.code, error.reason) == (Code.RESOURCE_EXHAUSTED, "SPLIT_TOO_LARGE")

    await asyncio.to_thread(story)


async def test_asking_what_is_missing_is_checked_like_putting(
    putting: Putting, service: Service, connection_to: ConnectTo
) -> None:
    def story() -> None:
        upload = putting.upload()
        digests = [bytes([number]) * 32 for number in range(3)]
        assert putting.missing(upload, [*digests, digests[0]]) == [0, 1, 2, 3]
        assert putting.missing(upload, []) == []
        for wrong, reason in (([bytes(31)], "INVALID_ARGUMENT"), ([bytes(32)] * 10_001, "INVALID_ARGUMENT")):
            with pytest.raises(HeadwaterError) as refusal:
                putting.missing(upload, wrong)
            assert refusal.value.code.name == reason
        for schema, reason in (
            (b"", "MALFORMED_SCHEMA"),
            (b"garbage" * 9, "MALFORMED_SCHEMA"),
            (pa.schema([]).serialize().to_pybytes(), "INVALID_SCHEMA"),
            (pa.schema([("headwater.row_digest", pa.int8())]).serialize().to_pybytes(), "INVALID_COLUMN_NAME"),
        ):
            with pytest.raises(HeadwaterError) as refusal:
                putting.missing(upload, digests, schema)
            assert (refusal.value.code, refusal.value.reason) == (Code.INVALID_ARGUMENT, reason)
        with pytest.raises(NotFound):
            putting.missing(upload[:-4] + "0000", digests)
        reader = Putting(connection_to(service, Role.READER))
        with pytest.raises(PermissionDenied):
            reader.missing(upload, digests)
        putting.put(upload, [send(chunk) for chunk in cut(rows(10))])
        putting.commit(upload)
        with pytest.raises(HeadwaterError) as closed:
            putting.missing(upload, digests)
        assert closed.value.reason == "UPLOAD_NOT_OPEN"

    await asyncio.to_thread(story)
