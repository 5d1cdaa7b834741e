"""DoPut as bytes, for streams that no Arrow library would send.

FlightData (Flight.proto of Apache Arrow): flight_descriptor = 1, data_header = 2, data_body = 1000. The header is an
Arrow IPC message's flatbuffer, the body its buffers.
"""

import contextlib
import struct
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import pyarrow as pa

from headwater.dataset.v1 import flight_pb2
from headwater.errors import HeadwaterError
from headwater.status import DETAILS_KEY, from_bytes, from_code

Message = tuple[bytes, bytes]
"""Header and body of an IPC message."""


def messages_of(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> list[Message]:
    """The IPC messages of a stream, the schema's first."""
    return [_parts(schema.serialize()), *(_parts(batch.serialize()) for batch in batches)]


def put_raw(address: str, token: str, upload: str, split: str, messages: Iterable[Message]) -> bytes:
    """Send the messages as one DoPut, and return the metadata that is answered.

    Raises:
        HeadwaterError: what the server says.
    """
    with grpc.insecure_channel(address) as channel:
        try:
            return b"".join(_call(channel, token, _requests(upload, split, messages)))
        except grpc.RpcError as error:
            raise _told(error) from error


def put_and_vanish(
    address: str, token: str, upload: str, split: str, messages: Iterable[Message], command: bytes = b""
) -> None:
    """Send the messages as one DoPut, of another command if given, and go away instead of saying that this was all."""
    sent, gone = threading.Event(), threading.Event()

    def endless() -> Iterator[bytes]:
        yield from _requests(upload, split, messages, command)
        sent.set()
        gone.wait(30)

    with grpc.insecure_channel(address) as channel:
        call = _call(channel, token, endless())
        assert sent.wait(30)
        call.cancel()
        gone.set()


def _requests(upload: str, split: str, messages: Iterable[Message], command: bytes = b"") -> Iterator[bytes]:
    command = command or flight_pb2.PutCommand(upload=upload, split=split).SerializeToString()
    first = _field(1, _varint(1 << 3) + _varint(2) + _field(2, command))  # type = CMD, cmd
    for header, body in messages:
        yield first + _field(2, header) + _field(1000, body)
        first = b""


def _call(channel: grpc.Channel, token: str, requests: Iterator[bytes]) -> Any:
    method: Any = channel.stream_stream("/arrow.flight.protocol.FlightService/DoPut")
    return method(requests, timeout=30, metadata=[("authorization", f"Bearer {token}")])


def patched(message: Message, old: int, new: int) -> Message:
    """The message with each 64-bit number ``old`` of its header replaced."""
    header, body = message
    assert struct.pack("<q", old) in header
    return header.replace(struct.pack("<q", old), struct.pack("<q", new)), body


def _told(error: Any) -> HeadwaterError:
    for key, value in error.trailing_metadata() or ():
        if key in (DETAILS_KEY, "x-arrow-status-detail-bin"):
            with contextlib.suppress(Exception):
                if told := from_bytes(bytes(value)):
                    return told
    return from_code(error.code().name, error.details())


def _parts(buffer: pa.Buffer) -> Message:
    data = buffer.to_pybytes()
    assert data[:4] == b"\xff\xff\xff\xff"
    (size,) = struct.unpack_from("<i", data, 4)
    return data[8 : 8 + size], data[8 + size :]


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
