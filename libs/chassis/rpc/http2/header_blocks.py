"""Header blocks (HPACK, RFC 7541): those of requests read, those of answers written.

The library hpack reads them. One request's headers are nearly always those of the one before, in the same bytes, and a
block that leaves the table of the connection as it is says the same until the table changes: then it is looked up
instead of read.
"""

import base64
import binascii
import dataclasses
import re
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import hpack
from hpack.exceptions import HPACKError
from hpack.table import HeaderTable

from chassis.rpc.http2.frames import Broken, ErrorCode

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]

_MAX_DECODED_BYTES = 64 * 1024  # more than this ends the connection; more than the server's own limit, the call
_ENTRY_BYTES = 32  # what a header counts beside its name and value (RFC 9113, 6.5.2)
_MAX_KNOWN, _MAX_KNOWN_BYTES = 64, 2048
_UNITS_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_MAX_TIMEOUT_DIGITS = 8
_GRPC = "application/grpc"
_RESERVED = frozenset(("content-type", "te"))
_OF_CONNECTIONS = frozenset(("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"))
_NEEDED = frozenset((":method", ":scheme", ":path"))
_PSEUDO = _NEEDED | {":authority"}
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_FORBIDDEN = re.compile(r"[\0\r\n]")  # in the value of a header (RFC 9113, 8.2.1)
_PRINTABLE = re.compile(rb"(?:[!-~](?:[ -~]*[!-~])?)?")
_RESIZES = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){17}")


class BadRequest(Exception):
    """A stream's headers are none of a call of gRPC. ``status`` is HTTP's; None where they are not even HTTP's."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What the headers of a call say. ``metadata`` are all but HTTP's and gRPC's own; bytes where a name ends in -bin.

    ``size_bytes`` counts as RFC 9113 does (6.5.2).
    """

    path: str
    timeout_s: float | None
    encoding: str
    metadata: tuple[tuple[str, str | bytes], ...]
    size_bytes: int


class _Table(HeaderTable):
    """Counts what is added to it."""

    def __init__(self) -> None:
        super().__init__()
        self.added = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.added += 1
        super().add(name, value)

    @property
    def state(self) -> tuple[int, int, int]:
        """Equal as long as nothing changed."""
        return self.added, self.maxsize, len(self.dynamic_entries)


class HeaderReader:
    """Reads the blocks of one connection, which must come in their order."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=_MAX_DECODED_BYTES)
        self._decoder.header_table = self._table = _Table()
        self._known: dict[bytes, Request] = {}

    def read(self, block: bytes) -> Request:
        """What the headers of a request say.

        Raises:
            Broken: the block cannot be read, so that none after it can.
            BadRequest: it is no call of gRPC.
        """
        known = self._known.get(block)
        if known is not None:
            return known
        before = self._table.state
        headers = self._decode(block)
        if self._table.state != before:
            self._known.clear()
            return _request(headers)
        request = _request(headers)
        if len(block) <= _MAX_KNOWN_BYTES:
            if len(self._known) == _MAX_KNOWN:
                self._known.clear()
            self._known[block] = request
        return request

    def skip(self, block: bytes) -> None:
        """Keep the table up to date with a block that is not of a request.

        Raises:
            Broken: it cannot be read.
        """
        self._known.clear()  # it may change the table
        self._decode(block)

    def _decode(self, block: bytes) -> Iterable[tuple[bytes, bytes]]:
        if _RESIZES.match(block):  # two say all there is to say (RFC 7541, 4.2); thousands only take time
            raise Broken(ErrorCode.COMPRESSION_ERROR, "a header block resizes the table again and again")
        try:
            return self._decoder.decode(block, raw=True)
        except HPACKError as error:
            raise Broken(ErrorCode.COMPRESSION_ERROR, "a header block cannot be read") from error


def _request(headers: Iterable[tuple[bytes, bytes]]) -> Request:
    said: dict[str, str] = {}
    metadata: list[tuple[str, str | bytes]] = []
    size, fields = 0, False
    for raw_name, raw_value in headers:
        size += len(raw_name) + len(raw_value) + _ENTRY_BYTES
        try:
            name, value = raw_name.decode("ascii"), raw_value.decode("ascii")
        except UnicodeDecodeError as error:
            raise BadRequest("A header is not ASCII.", 400) from error
        if name.startswith(":"):
            if fields or name in said or name not in _PSEUDO:
                raise BadRequest("Pseudo-headers are wrong.")
            said[name] = value
            continue
        fields = True
        if not _NAME.fullmatch(name) or name in _OF_CONNECTIONS or _FORBIDDEN.search(value):
            raise BadRequest("A header does not belong in HTTP/2.")
        if name in _RESERVED or name.startswith("grpc-"):
            said[name] = value
        elif name.endswith("-bin"):
            metadata.extend((name, _from_base64(each)) for each in value.split(","))
        else:
            metadata.append((name, value.strip(" \t")))  # which gRPC's clients need not have done
    _check(said)
    timeout = said.get("grpc-timeout")
    return Request(
        said[":path"],
        None if timeout is None else _seconds(timeout),
        said.get("grpc-encoding", "identity"),
        tuple(metadata),
        size,
    )


def _check(said: Mapping[str, str]) -> None:
    if (
        ":method" not in said
        or ":path" not in said
        or ":scheme" not in said
        or said.get("te", "trailers") != "trailers"
    ):
        raise BadRequest("Headers are missing, or are none of HTTP/2.")
    if said[":method"] != "POST":
        raise BadRequest("gRPC is POST.", 405)
    kind = said.get("content-type", "")
    if not (kind == _GRPC or kind.startswith((_GRPC + "+", _GRPC + ";"))):
        raise BadRequest("gRPC is application/grpc.", 415)


def _seconds(text: str) -> float:
    digits, unit = text[:-1], _UNITS_S.get(text[-1:])
    if unit is None or not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_TIMEOUT_DIGITS:
        raise BadRequest("grpc-timeout is none.", 400)
    return int(digits) * unit


def _from_base64(text: str) -> bytes:
    text = text.strip()
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("A binary header is not base64.", 400) from error


def _number(value: int, bits: int, first: int) -> bytes:
    """An integer as HPACK has them (RFC 7541, 5.1), the bits before it from ``first``."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    encoded = bytearray((first | most,))
    value -= most
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def literal(name: bytes, value: bytes) -> bytes:
    """A header as it is, for no table: what a table would save is less than keeping one on both sides costs."""
    return b"\x00" + _number(len(name), 7, 0) + name + _number(len(value), 7, 0) + value


def literals(metadata: Metadata) -> bytes:
    """Metadata of an answer. Bytes that are not text belong to names that end in -bin.

    Raises:
        ValueError: it cannot be sent.
    """
    encoded = []
    for name, value in metadata:
        raw = value if isinstance(value, bytes) else value.encode()
        if name.endswith("-bin"):
            raw = base64.b64encode(raw).rstrip(b"=")
        elif not _PRINTABLE.fullmatch(raw):
            raise ValueError(f"the metadata {name} have a value that is not printable ASCII")
        if not _NAME.fullmatch(name):
            raise ValueError(f"no metadata can have the name {name!r}")
        encoded.append(literal(name.encode(), raw))
    return b"".join(encoded)


NO_TABLE = b"\x20"
"""Says, before the headers of a block, that the table has no room from here on."""
OK = b"\x88" + literal(b"content-type", _GRPC.encode())
"""``:status: 200`` and the type: how every answer begins."""


def trailers(code: int, text: str, metadata: bytes) -> bytes:
    """How every answer ends: ``text`` goes percent-encoded, ``metadata`` as :func:`literals` has them."""
    encoded = literal(b"grpc-status", b"%d" % code)
    if text:
        # Spaces at the ends would belong to no value (RFC 9113, 8.2.1).
        message = urllib.parse.quote(text.strip(" "), safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}", errors="replace")
        encoded += literal(b"grpc-message", message.encode("ascii"))
    return encoded + metadata


def http_status(status: int) -> bytes:
    """The headers of an answer to what was no call of gRPC."""
    return literal(b":status", b"%d" % status)
