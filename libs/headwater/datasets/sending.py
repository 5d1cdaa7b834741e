"""Putting rows into an upload: they are digested and cut into chunks here, and only chunks that are missing are sent.

A thread of its own reads, digests and cuts, while this one asks and sends. What the server stores does not depend on
any of it: it digests again what it gets.
"""

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import flight

from headwater import tree
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, flight_pb2
from headwater.datasets.catalog import stub
from headwater.datasets.prefetch import Prefetched
from headwater.datasets.progress import Meter, Progress
from headwater.datasets.row_source import RowSource
from headwater.flight import flight_errors

_AHEAD_BYTES = 32 << 20
_ASK_BYTES = 16 << 20
_ASK_CHUNKS = 2_000
_MESSAGE_BYTES = 4 << 20
_STORED_PER_MESSAGE = 10_000


class DigestedSource(RowSource, Protocol):
    """A source that knows the digests of its rows, or of some of them, without reading them."""

    def digested(self, split: str) -> Iterator[tree.RowDigests]:
        """The rows of one split, in order. ``RowDigests.rows`` need only have ``num_rows``, ``slice`` and ``load``."""
        ...


class Begun:
    """The chunks of one split, of which the first has been made: the split can be read, as far as that tells.

    Close it when done.
    """

    def __init__(self, source: RowSource, split: str) -> None:
        """Read until the first chunk is there.

        Raises:
            HeadwaterError: what reading the rows raises.
        """
        self.split = split
        self._rest = Prefetched(_chunks(source, split), lambda chunk: chunk.size_bytes, _AHEAD_BYTES)
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            self._first = list(itertools.islice(self._rest, 1))
            stack.pop_all()

    def __iter__(self) -> Iterator[tree.Chunk]:
        while self._first:
            yield self._first.pop()
        yield from self._rest

    def close(self) -> None:
        """Read no further."""
        self._rest.close()


def put(
    connection: Connection,
    upload: str,
    source: RowSource,
    *,
    begun: Begun | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[flight_pb2.PutResult]:
    """Put all splits of ``source`` into an open upload; what is returned is durable. A split put again is replaced.

    Args:
        begun: a split of the source that has been begun, which is closed then.

    Raises:
        HeadwaterError: what the server says, or what reading the rows raises. What was stored until then need not be
            sent again, as long as the upload is open.
    """
    meter = Meter(on_progress, getattr(source, "size_bytes", None))
    with contextlib.ExitStack() as stack:
        if begun is not None:
            stack.enter_context(contextlib.closing(begun))
        return [_put_split(connection, upload, source, split, begun, meter) for split in source.splits]


def _put_split(
    connection: Connection, upload: str, source: RowSource, split: str, begun: Begun | None, meter: Meter
) -> flight_pb2.PutResult:
    command = flight_pb2.PutCommand(upload=upload, split=split).SerializeToString()
    descriptor, schema = flight.FlightDescriptor.for_command(command), source.schema
    chunks = begun if begun is not None and begun.split == split else Begun(source, split)
    with flight_errors(), contextlib.closing(chunks):
        writer, answers = connection.flight().do_put(descriptor, schema, connection.flight_options())
        with writer:
            sender = _Sender(connection, upload, split, schema, writer, meter)
            for chunk in chunks:
                sender.add(chunk)
            sender.finish()
            writer.done_writing()
            return flight_pb2.PutResult.FromString(bytes(answers.read()))


def _chunks(source: RowSource, split: str) -> Generator[tree.Chunk, None, None]:
    builder = tree.ChunkBuilder(source.schema)
    if hasattr(source, "digested"):
        for piece in source.digested(split):
            yield from builder.push_digested(piece)
    else:
        for batch in source.batches(split):
            yield from builder.push(batch)
    yield from builder.finish()


class _Sender:
    """Sends those chunks of a split that are missing; the others it names."""

    def __init__(
        self, connection: Connection, upload: str, split: str, schema: pa.Schema, writer: Any, meter: Meter
    ) -> None:
        self._service = stub(connection)
        self._upload = upload
        self._split = split
        self._schema = schema.serialize().to_pybytes()
        self._writer = writer
        self._meter = meter
        self._waiting: list[tree.Chunk] = []
        self._waiting_bytes = 0
        self._stored: list[bytes] = []
        self._sent: set[bytes] = set()

    def add(self, chunk: tree.Chunk) -> None:
        """The next chunk."""
        self._waiting.append(chunk)
        self._waiting_bytes += chunk.size_bytes
        if self._waiting_bytes >= _ASK_BYTES or len(self._waiting) == _ASK_CHUNKS:
            self._ask()

    def finish(self) -> None:
        """Send what waits."""
        self._ask()
        if self._stored:
            self._writer.write_metadata(self._message())

    def _ask(self) -> None:
        unknown = {chunk.digest for chunk in self._waiting} - self._sent
        missing = self._missing(sorted(unknown)) if unknown else set()
        for chunk in self._waiting:
            if chunk.digest in missing:
                # One that comes again is named then: it is stored as soon as it was sent.
                missing.discard(chunk.digest)
                self._send(chunk)
            else:
                self._name(chunk)
        self._waiting, self._waiting_bytes = [], 0

    def _missing(self, digests: list[bytes]) -> set[bytes]:
        answer = self._service.FindMissingChunks(
            datasets_pb2.FindMissingChunksRequest(name=self._upload, arrow_schema=self._schema, digests=digests)
        )
        return {digests[position] for position in answer.missing}

    def _send(self, chunk: tree.Chunk) -> None:
        pieces = list(_pieces(chunk))
        for number, piece in enumerate(pieces, 1):
            self._writer.write_with_metadata(piece, self._message(ends_chunk=number == len(pieces)))
            self._meter.done(self._split, piece.num_rows, piece.nbytes, piece.nbytes)
        self._sent.add(chunk.digest)

    def _name(self, chunk: tree.Chunk) -> None:
        self._stored.append(chunk.digest)
        if len(self._stored) == _STORED_PER_MESSAGE:
            self._writer.write_metadata(self._message())
        self._meter.done(self._split, chunk.row_count, chunk.size_bytes, 0)

    def _message(self, *, ends_chunk: bool = False) -> bytes:
        stored, self._stored = b"".join(self._stored), []
        return flight_pb2.PutMessage(stored_chunks=stored, ends_chunk=ends_chunk).SerializeToString()


def _pieces(chunk: tree.Chunk) -> Iterator[pa.RecordBatch]:
    """The chunk's rows in batches of a few MiB, so that progress is smooth and neither side holds much at once."""
    for rows in chunk.batches:
        batches: Iterable[pa.RecordBatch] = rows.load() if hasattr(rows, "load") else (rows,)
        for batch in batches:
            step = max(1, batch.num_rows * _MESSAGE_BYTES // max(1, batch.nbytes))
            yield from (batch.slice(start, step) for start in range(0, batch.num_rows, step))
