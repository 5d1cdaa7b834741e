"""Between what a put's messages say and its steps; pure."""

from collections.abc import Iterable, Iterator

from google.protobuf.message import DecodeError

from chassis.flight import Message
from headwater.dataset.v1 import flight_pb2
from headwater.tree import DIGEST_BYTES
from services.dataset.rows.errors import MalformedPutMessage
from services.dataset.rows.put import ChunkEnd, Step, StoredChunks


def steps_of(messages: Iterable[Message]) -> Iterator[Step]:
    """The steps of a DoPut, as flight.proto says.

    Raises:
        MalformedPutMessage
    """
    for message in messages:
        told = _parse(message.metadata)
        if told.stored_chunks:
            yield StoredChunks(_digests(told.stored_chunks))
        if message.batch is not None:
            yield message.batch
        if told.ends_chunk:
            yield ChunkEnd()


def _parse(metadata: bytes) -> flight_pb2.PutMessage:
    try:
        return flight_pb2.PutMessage.FromString(metadata)
    except DecodeError as error:
        raise MalformedPutMessage from error


def _digests(joined: bytes) -> tuple[bytes, ...]:
    if len(joined) % DIGEST_BYTES:
        raise MalformedPutMessage
    return tuple(joined[at : at + DIGEST_BYTES] for at in range(0, len(joined), DIGEST_BYTES))
