"""One Flight call, as a hook of ``FlightEdge`` sees it."""

import asyncio
import concurrent.futures
import contextvars
import dataclasses
import functools
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import flight

from chassis.auth import Principal
from chassis.flight.errors import of_reading, to_flight_error
from chassis.flight.tickets import Tickets
from headwater.errors import Cancelled, Internal, ResourceExhausted

T = TypeVar("T")

_POLL_S = 0.2
"""How soon a client that has gone away is noticed while the event loop works for it."""

METADATA_MAX_BYTES = 1 << 20


class BatchTooLarge(ResourceExhausted):
    """One record batch holds more bytes than the service takes at once."""

    reason = "BATCH_TOO_LARGE"
    text = "Send smaller record batches."


class MetadataTooLarge(ResourceExhausted):
    """One message's metadata holds more bytes than the service takes at once."""

    reason = "METADATA_TOO_LARGE"
    text = "Send less metadata with each message."


@dataclasses.dataclass(frozen=True, slots=True)
class FlightCall:
    """Who calls what, and the way back to the service's event loop. Flight methods run in threads of their own."""

    method: str
    principal: Principal
    context: flight.ServerCallContext
    loop: asyncio.AbstractEventLoop
    tickets: Tickets

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the event loop, in the caller's name, and wait for it.

        Raises:
            Cancelled: the client went away; ``work`` is cancelled too, or was not begun.
        """
        if self.context.is_cancelled():
            work.close()
            raise Cancelled()
        future = self._begin(work)
        while True:
            try:
                return future.result(_POLL_S)
            except concurrent.futures.CancelledError:
                raise Cancelled() from None
            except TimeoutError:
                if future.done():  # it is the work's own timeout
                    raise
                if self.context.is_cancelled():
                    future.cancel()
                    raise Cancelled() from None

    def run_through(self, work: Coroutine[Any, Any, T]) -> T:
        """As ``run``, also when the client goes away: for work that is of use without it."""
        return self._begin(work).result()

    @property
    def is_local(self) -> bool:
        """Whether the caller is on this host, as far as the connection tells: on a Unix socket or on loopback."""
        peer = unquote(self.context.peer())
        return peer.startswith(("unix:", "ipv4:127.", "ipv6:[::1]", "ipv6:[::ffff:127."))

    def ticket(self, payload: bytes, ttl_s: float = 3600) -> flight.Ticket:
        """A signed ticket for this caller; ``FlightEdge.get`` will be given ``payload`` when it is redeemed."""
        return flight.Ticket(self.tickets.sign(payload, self.principal.subject, ttl_s))

    def open_ticket(self, ticket: bytes) -> bytes:
        """The payload of a ticket that came otherwise than by DoGet, checked as there.

        Raises:
            InvalidTicket, ExpiredTicket, ForeignTicket
        """
        return self.tickets.open(ticket, self.principal.subject)

    def stream(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> flight.FlightDataStream:
        """A stream whose batches Python makes one by one; what they raise reaches the client as an error of ours.

        For a table, or batches that exist already, use ``flight.RecordBatchStream``, which never comes back to Python.
        """
        return GuardedStream(schema, self.guarded(iter(batches)))

    def guarded(self, items: Iterator[T]) -> Iterator[T]:
        """The items, each made in this call's context when Arrow asks for it, after the method has returned; what that
        raises reaches the client as an error of ours."""
        return self._guarded(items, contextvars.copy_context())

    def _begin(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:  # the loop has ended, and with it the service
            work.close()
            raise Cancelled() from None

    def _guarded(self, items: Iterator[T], context: contextvars.Context) -> Iterator[T]:
        while True:
            try:
                yield context.run(next, items)
            except StopIteration:
                return
            except Exception as error:
                raise context.run(to_flight_error, error, self.method) from None


class GuardedStream(flight.GeneratorStream):  # type: ignore[misc]
    """A generator stream made by ``FlightCall.stream``; any other would leak what its generator raises."""


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """One message of a client's stream: rows, or metadata, or both."""

    batch: pa.RecordBatch | None
    metadata: bytes
    """Empty when there is none."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back while a client's stream is read."""

    schema: pa.Schema
    messages: Iterable[Message]
    """Made one by one, each sent before the next is asked for."""

    def send(self, writer: flight.MetadataRecordBatchWriter, context: flight.ServerCallContext) -> None:
        """Send everything. What the messages raise is passed on.

        Raises:
            Cancelled: the client went away.
        """
        writing(lambda: writer.begin(self.schema), context)
        for message in self.messages:
            writing(functools.partial(_send, writer, message), context)


def _send(writer: flight.MetadataRecordBatchWriter, message: Message) -> None:
    if message.batch is None:
        writer.write_metadata(pa.py_buffer(message.metadata))
    elif message.metadata:
        writer.write_with_metadata(message.batch, pa.py_buffer(message.metadata))
    else:
        writer.write_batch(message.batch)


def writing(step: Callable[[], None], context: flight.ServerCallContext) -> None:
    """Send something; what pyarrow raises there when the client has gone is no fault of ours."""
    try:
        step()
    except (flight.FlightError, pa.ArrowException, OSError):
        if context.is_cancelled():
            raise Cancelled() from None
        raise


class Received(Iterator[pa.RecordBatch]):
    """What a client sends. An iterator of its batches; ``messages`` has what they carry beside rows too."""

    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages = messages

    def __next__(self) -> pa.RecordBatch:
        while True:
            batch = next(self._messages).batch
            if batch is not None:
                return batch

    def messages(self) -> Iterator[Message]:
        """The messages that have not been read yet, in order."""
        return self._messages


def received(
    reader: flight.MetadataRecordBatchReader, context: flight.ServerCallContext, max_batch_bytes: int
) -> Received:
    """The client's stream, whose batches are fully validated before anybody looks into their buffers.

    Reading it raises:
        MalformedStream: not Arrow IPC, or buffers that contradict the schema.
        BatchTooLarge: more than ``max_batch_bytes``.
        MetadataTooLarge: more than ``METADATA_MAX_BYTES`` in one message.
        Cancelled: the client went away.
    """
    return Received(_messages(reader, context, max_batch_bytes))


def _messages(
    reader: flight.MetadataRecordBatchReader, context: flight.ServerCallContext, max_batch_bytes: int
) -> Iterator[Message]:
    while True:
        chunk = reading(lambda: _next(reader))
        if chunk is None:
            # A client that goes away ends the stream as one that has sent everything does; only this tells them apart.
            if context.is_cancelled():
                raise Cancelled()
            return
        batch, metadata = chunk.data, chunk.app_metadata
        if batch is not None:
            # First of all: even nbytes follows offsets, and crashes where they point outside their buffer.
            reading(functools.partial(batch.validate, full=True))
            if batch.nbytes > max_batch_bytes:
                raise BatchTooLarge(limit_bytes=max_batch_bytes)
        if metadata is not None and metadata.size > METADATA_MAX_BYTES:
            raise MetadataTooLarge(limit_bytes=METADATA_MAX_BYTES)
        yield Message(batch, b"" if metadata is None else metadata.to_pybytes())


def reading(step: Callable[[], T]) -> T:
    """Take one step in a client's stream; what pyarrow raises there is the client's fault, not ours."""
    try:
        return step()
    except Exception as error:
        raise of_reading(error) or Internal() from error


def _next(reader: flight.MetadataRecordBatchReader) -> flight.FlightStreamChunk | None:
    try:
        return reader.read_chunk()
    except StopIteration:
        return None
