"""HTTP/2's frames (RFC 9113) as far as a server needs them: their header, and the small ones that it sends."""

import enum
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER = struct.Struct(">HBBBI")
"""Of each frame: its length (in three bytes), kind, flags and stream."""
HEADER_BYTES = HEADER.size
MIN_FRAME_BYTES = 2**14
MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 2**16 - 1
MAX_STREAM = 2**31 - 1

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
PRIORITY_BYTES, PING_BYTES, GOAWAY_BYTES = 5, 8, 8

_SETTING = struct.Struct(">HI")
_WORD = struct.Struct(">I")


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends (RFC 9113, 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Setting(enum.IntEnum):
    """What each side tells the other of itself (RFC 9113, 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Broken(Exception):
    """The peer breaks the protocol: the connection ends, with this code."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(text)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame."""
    size = len(payload)
    return HEADER.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: dict[Setting, int]) -> bytes:
    """SETTINGS."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in values.items()))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """What SETTINGS says.

    Raises:
        Broken: it ends in the middle of a setting.
    """
    if len(payload) % _SETTING.size:
        raise Broken(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of another length")
    return list(_SETTING.iter_unpack(payload))


def ping(flags: int, payload: bytes) -> bytes:
    """PING, or with ``ACK`` the answer to one."""
    return frame(PING, flags, 0, payload)


def window_update(stream: int, increment: int) -> bytes:
    """WINDOW_UPDATE: so many bytes more may be sent."""
    return frame(WINDOW_UPDATE, 0, stream, _WORD.pack(increment))


def rst_stream(stream: int, code: ErrorCode) -> bytes:
    """RST_STREAM: the stream has ended, whatever was still to come."""
    return frame(RST_STREAM, 0, stream, _WORD.pack(code))


def goaway(last_stream: int, code: ErrorCode, text: str = "") -> bytes:
    """GOAWAY: no streams after ``last_stream`` are answered."""
    return frame(GOAWAY, 0, 0, _WORD.pack(last_stream) + _WORD.pack(code) + text.encode())


def word(payload: bytes) -> int:
    """The number that is all of a RST_STREAM or WINDOW_UPDATE.

    Raises:
        Broken: it has not four bytes.
    """
    if len(payload) != _WORD.size:
        raise Broken(ErrorCode.FRAME_SIZE_ERROR, "a frame of another length than its kind has")
    return int(_WORD.unpack(payload)[0])
