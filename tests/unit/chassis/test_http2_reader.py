"""Frames are taken apart the same way, however the network cuts them, and nothing else is taken for a frame."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.rpc.http2 import frames
from chassis.rpc.http2.frames import Broken, ErrorCode, Setting
from chassis.rpc.http2.reader import MAX_FRAME_BYTES, FrameReader

GREETING = frames.PREFACE + frames.settings({})


class Told:
    """Keeps what the reader tells; the pieces of one frame of data as one."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self._data: dict[int, bytearray] = {}
        self.counted = 0

    def on_data(self, number: int, data: bytes, begin: int, end: int, padding: int, last: bool) -> None:
        self._data.setdefault(number, bytearray()).extend(data[begin:end])
        self.counted += end - begin + padding
        if last:
            self.events.append(("data", number, bytes(self._data.pop(number))))

    def on_headers(self, number: int, block: bytes, last: bool) -> None:
        self.events.append(("headers", number, block, last))

    def on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        self.events.append((kind, flags, number, payload))


def read(pieces: list[bytes]) -> tuple[Told, ErrorCode | None]:
    """What a reader tells of such pieces, and how they break the protocol."""
    told = Told()
    reader = FrameReader(told)
    try:
        for piece in pieces:
            reader.read(piece)
    except Broken as error:
        return told, error.code
    return told, None


def padded(kind: int, flags: int, number: int, payload: bytes, padding: int) -> bytes:
    return frames.frame(kind, flags | frames.PADDED, number, bytes([padding]) + payload + bytes(padding))


NUMBERS = st.integers(1, 9).map(lambda each: 2 * each - 1)
PAYLOADS = st.binary(max_size=300)
DATA = st.builds(
    lambda number, payload: frames.frame(frames.DATA, frames.END_STREAM, number, payload), NUMBERS, PAYLOADS
)
PADDED_DATA = st.builds(
    lambda number, payload, padding: padded(frames.DATA, frames.END_STREAM, number, payload, padding),
    NUMBERS,
    PAYLOADS,
    st.integers(0, 255),
)
OTHERS = st.builds(frames.frame, st.sampled_from([2, 3, 4, 6, 7, 8, 10, 200]), st.integers(0, 255), NUMBERS, PAYLOADS)


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """HEADERS in one to four frames, perhaps with padding and a priority."""
    number, parts = draw(NUMBERS), draw(st.lists(PAYLOADS, min_size=1, max_size=4))
    flags = frames.END_HEADERS if len(parts) == 1 else 0
    flags |= draw(st.sampled_from([0, frames.END_STREAM]))
    first = parts[0]
    if draw(st.booleans()):
        first, flags = bytes(5) + first, flags | frames.WITH_PRIORITY
    padding = draw(st.none() | st.integers(0, 255))
    if padding is None:
        sent = frames.frame(frames.HEADERS, flags, number, first)
    else:
        sent = padded(frames.HEADERS, flags, number, first, padding)
    for index, part in enumerate(parts[1:], 2):
        sent += frames.frame(frames.CONTINUATION, frames.END_HEADERS if index == len(parts) else 0, number, part)
    return sent


CONVERSATIONS = st.lists(DATA | PADDED_DATA | headers() | OTHERS, max_size=12).map(
    lambda each: GREETING + b"".join(each)
)


@given(CONVERSATIONS | st.binary(max_size=200).map(lambda each: GREETING + each), st.data())
@settings(max_examples=100, deadline=None)
def test_any_cutting_of_a_conversation_tells_the_same(conversation: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(conversation)), max_size=20)))
    edges = [0, *cuts, len(conversation)]
    pieces = [conversation[begin:end] for begin, end in itertools.pairwise(edges)]
    whole, broken = read([conversation])
    for others in (pieces, [conversation[index : index + 1] for index in range(len(conversation))]):
        told, also_broken = read(others)
        assert (told.events, told.counted, also_broken) == (whole.events, whole.counted, broken)


@given(st.binary(min_size=1, max_size=40).filter(lambda each: not frames.PREFACE.startswith(each[:24])))
def test_what_does_not_begin_as_http2_is_refused_at_its_first_wrong_byte(garbage: bytes) -> None:
    wrong = next(index for index, byte in enumerate(garbage) if not frames.PREFACE.startswith(garbage[: index + 1]))
    assert read([garbage[: wrong + 1]])[1] is ErrorCode.PROTOCOL_ERROR


def test_a_frame_that_comes_in_a_hundred_thousand_pieces_is_not_read_again_with_each_of_them() -> None:
    payload = bytes(200_000)
    told = Told()
    reader = FrameReader(told)
    reader.read(GREETING)
    for index in range(0, len(sent := frames.frame(99, 0, 1, payload)), 2):
        reader.read(sent[index : index + 2])  # less than a second where it is linear, minutes where it is not
    assert told.events[-1] == (99, 0, 1, payload)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frames.ping(0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frames.settings({}) + frames.HEADER.pack(MAX_FRAME_BYTES + 1 >> 8, 1, 0, 0, 1), ErrorCode.FRAME_SIZE_ERROR),
        (frames.settings({}) + frames.frame(frames.CONTINUATION, 4, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.settings({}) + frames.frame(frames.DATA, frames.PADDED, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.settings({}) + frames.frame(frames.DATA, frames.PADDED, 1, b"\x02\0"), ErrorCode.PROTOCOL_ERROR),
        (
            frames.settings({}) + frames.frame(frames.HEADERS, frames.WITH_PRIORITY, 1, b"123"),
            ErrorCode.FRAME_SIZE_ERROR,
        ),
        (frames.settings({}) + frames.frame(frames.HEADERS, 0, 1) * 2, ErrorCode.PROTOCOL_ERROR),
        (frames.settings({}) + frames.frame(frames.HEADERS, 0, 1) + frames.ping(0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (
            frames.settings({}) + frames.frame(frames.HEADERS, 0, 1) + frames.frame(frames.CONTINUATION, 4, 3),
            ErrorCode.PROTOCOL_ERROR,
        ),
        (
            frames.settings({}) + frames.frame(frames.HEADERS, 0, 1) + 8000 * frames.frame(frames.CONTINUATION, 0, 1),
            ErrorCode.ENHANCE_YOUR_CALM,
        ),
        (
            frames.settings({})
            + frames.frame(frames.HEADERS, 0, 1, bytes(60_000))
            + frames.frame(frames.CONTINUATION, 0, 1, bytes(60_000)),
            ErrorCode.ENHANCE_YOUR_CALM,
        ),
    ],
    ids=[
        "no settings first",
        "too large",
        "goes on without a beginning",
        "no length of the padding",
        "more padding than payload",
        "no room for the priority",
        "two beginnings",
        "interrupted",
        "of another stream",
        "a flood of nothing",
        "headers without end",
    ],
)
def test_what_breaks_the_protocol_is_told_by_its_name(sent: bytes, code: ErrorCode) -> None:
    assert read([frames.PREFACE + sent])[1] is code


def test_settings_have_six_bytes_each() -> None:
    sent = frames.settings({Setting.MAX_FRAME_SIZE: 2**15, Setting.INITIAL_WINDOW_SIZE: 7})
    assert frames.read_settings(sent[frames.HEADER_BYTES :]) == [(5, 2**15), (4, 7)]
    with pytest.raises(Broken):
        frames.read_settings(bytes(7))
