"""ModelInfer's messages with large tensors, of which protobuf would make three copies in each direction.

The tensors of a message are fields of bytes at its end, so it is cut there: protobuf has what is before them, and they
stay where they came, or are sent from where they are.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from tritonclient.grpc import service_pb2

from chassis.rpc.codec import Codec, Pieces
from chassis.rpc.validation import parse
from services.inference.errors import InvalidRequest

_LARGE = 2**14
"""In bytes, of an answer; below it protobuf's copies cost less than what is sent in pieces."""
_MAX_FIELDS = 4096
"""Inputs, their contents, outputs and parameters of one request."""
_MAX_BESIDE = 2**16
"""What a message may have beside its raw tensors, in bytes, for these to share its memory."""
_RAW_INPUT = 7 << 3 | 2
_RAW_OUTPUT = bytes([6 << 3 | 2])
"""Tags of ``raw_input_contents`` and ``raw_output_contents``."""
_LENGTH_DELIMITED = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A request: the message without its raw tensors, and those in their order."""

    message: Any
    raw: Sequence[bytes | memoryview]


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """An answer: the message without its raw tensors, and those in their order."""

    message: Any
    raw: Sequence[bytes | memoryview]

    def whole(self) -> Any:
        """One message with everything."""
        self.message.raw_output_contents.extend(map(bytes, self.raw))
        return self.message


def asked_from_wire(raw: bytes | memoryview) -> Asked:
    """The request in ``raw``, whose memory its raw tensors share.

    Small ones are cut, too: what is left has mostly no zero byte, so that no text has to be looked at for NUL.

    Raises:
        MalformedMessage, InvalidFields: see chassis.rpc.validation.
        InvalidRequest: it has more fields than any request needs.
    """
    if (cut := _cut(raw)) is not None:
        head, tensors = cut
        return Asked(parse(service_pb2.ModelInferRequest.FromString, head), tensors)
    message: Any = parse(service_pb2.ModelInferRequest.FromString, raw)
    return Asked(message, message.raw_input_contents)


def told_to_wire(told: Told) -> bytes | Pieces:
    """The answer as it is sent."""
    if sum(map(len, told.raw)) < _LARGE:
        whole: bytes = told.whole().SerializeToString()
        return whole
    parts: list[bytes | memoryview] = [told.message.SerializeToString()]
    for tensor in told.raw:
        parts += (_RAW_OUTPUT + _varint(len(tensor)), tensor)
    return Pieces(parts)


CODEC = Codec(asked_from_wire, told_to_wire)


def _cut(raw: bytes | memoryview) -> tuple[bytes, Sequence[memoryview]] | None:
    """The message without its raw tensors, and those; None if this is not such a message: then protobuf says why."""
    view = memoryview(raw).toreadonly()
    rest: list[memoryview] = []
    tensors: list[memoryview] = []
    position, end = 0, len(raw)
    while position < end:
        tag = raw[position]
        if tag & 7 != _LENGTH_DELIMITED or tag >= 0x80:
            return None
        length = shift = 0
        begin = position + 1
        while True:
            if begin == end or shift > 28:
                return None
            octet = raw[begin]
            length |= (octet & 0x7F) << shift
            begin, shift = begin + 1, shift + 7
            if octet < 0x80:
                break
        until = begin + length
        if until > end:
            return None
        if tag == _RAW_INPUT:
            tensors.append(view[begin:until])
        else:
            rest.append(view[position:until])
        position = until
        if len(rest) + len(tensors) > _MAX_FIELDS:
            raise InvalidRequest(f"A request may have {_MAX_FIELDS} inputs, contents, outputs and parameters together.")
    head = b"".join(rest)
    # Who keeps a tensor keeps the message, and what is beside it; that is counted nowhere.
    return head, tensors if len(head) <= _MAX_BESIDE else [memoryview(bytes(tensor)) for tensor in tensors]


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number >= 0x80:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)
