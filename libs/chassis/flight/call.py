"""One Flight call, as a hook of ``FlightEdge`` sees it."""

import asyncio
import concurrent.futures
import contextvars
import dataclasses
import functools
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import flight

from chassis.auth import Principal
from chassis.flight.errors import of_reading, to_flight_error
from chassis.flight.tickets import Tickets
from headwater.errors import Cancelled, Internal, ResourceExhausted

T = TypeVar("T")

_POLL_S = 0.2
"""How soon a client that has gone away is noticed while the event loop works for it."""


class BatchTooLarge(ResourceExhausted):
    """One record batch holds more bytes than the service takes at once."""

    reason = "BATCH_TOO_LARGE"
    text = "Send smaller record batches."


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
        try:
            future = asyncio.run_coroutine_threadsafe(work, self.loop)
        except RuntimeError:  # the loop has ended, and with it the service
            work.close()
            raise Cancelled() from None
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

    def ticket(self, payload: bytes, ttl_s: float = 3600) -> flight.Ticket:
        """A signed ticket for this caller; ``FlightEdge.get`` will be given ``payload`` when it is redeemed."""
        return flight.Ticket(self.tickets.sign(payload, self.principal.subject, ttl_s))

    def stream(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> flight.FlightDataStream:
        """A stream whose batches Python makes one by one; what they raise reaches the client as an error of ours.

        For a table, or batches that exist already, use ``flight.RecordBatchStream``, which never comes back to Python.
        """
        return GuardedStream(schema, self._guarded(iter(batches), contextvars.copy_context()))

    def _guarded(self, batches: Iterator[pa.RecordBatch], context: contextvars.Context) -> Iterator[pa.RecordBatch]:
        # Arrow asks for the batches when the method has returned: each is made in the caller's name again.
        while True:
            try:
                yield context.run(next, batches)
            except StopIteration:
                return
            except Exception as error:
                raise context.run(to_flight_error, error, self.method) from None


class GuardedStream(flight.GeneratorStream):  # type: ignore[misc]
    """A generator stream made by ``FlightCall.stream``; any other would leak what its generator raises."""


def received(
    reader: flight.MetadataRecordBatchReader, context: flight.ServerCallContext, max_batch_bytes: int
) -> Iterator[pa.RecordBatch]:
    """The batches that a client sends, each fully validated before anybody looks into its buffers.

    Raises:
        MalformedStream: not Arrow IPC, or buffers that contradict the schema.
        BatchTooLarge: more than ``max_batch_bytes``.
        Cancelled: the client went away.
    """
    while True:
        batch = reading(lambda: _next(reader))
        if batch is None:
            # A client that goes away ends the stream as one that has sent everything does; only this tells them apart.
            if context.is_cancelled():
                raise Cancelled()
            return
        # First of all: even nbytes follows offsets, and crashes where they point outside their buffer.
        reading(functools.partial(batch.validate, full=True))
        if batch.nbytes > max_batch_bytes:
            raise BatchTooLarge(limit_bytes=max_batch_bytes)
        yield batch


def reading(step: Callable[[], T]) -> T:
    """Take one step in a client's stream; what pyarrow raises there is the client's fault, not ours."""
    try:
        return step()
    except Exception as error:
        raise of_reading(error) or Internal() from error


def _next(reader: flight.MetadataRecordBatchReader) -> pa.RecordBatch | None:
    while True:
        try:
            batch = reader.read_chunk().data
        except StopIteration:
            return None
        if batch is not None:  # a message may carry metadata alone
            return batch
