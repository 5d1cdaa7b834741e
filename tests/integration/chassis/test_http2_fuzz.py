"""Conversations with bytes flipped, cut, repeated: the connection may end, and nothing else may happen."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.rpc.http2 import frames
from chassis.rpc.http2.frames import ErrorCode, Setting
from tests.integration.chassis.http2_peer import Peer, Served, data, streams_in_memory


def conversation() -> list[bytes]:
    """One in which everything occurs that a client of gRPC says, frame by frame."""
    peer: Any = Peer(None, None)  # type: ignore[arg-type]  # only what it would send is of interest
    large = peer.block("/tests.Echo/Echo", ("a-bin", "AAEC"), ("b", "x" * 300), ("grpc-timeout", "1S"))
    return [
        frames.PREFACE,
        frames.settings({Setting.ENABLE_PUSH: 0, Setting.INITIAL_WINDOW_SIZE: 100_000, Setting.MAX_FRAME_SIZE: 2**15}),
        frames.window_update(0, 2**20),
        peer.call(1),
        peer.headers(3, "/tests.Echo/Count"),
        data(3, b"a" * 200, last=False),
        frames.frame(frames.DATA, frames.PADDED, 3, b"\x03\0\0\0\0\x01z\0\0\0"),
        frames.ping(0, b"12345678"),
        data(3, b"b"),
        frames.frame(frames.HEADERS, 0, 5, large[:40]),
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, 5, large[40:]),
        data(5),
        peer.call(7, "/tests.Echo/Give", b"3"),
        frames.window_update(7, 1000),
        peer.call(9, "/tests.Echo/Slow"),
        frames.rst_stream(9, ErrorCode.CANCEL),
        frames.frame(frames.PRIORITY, 0, 11, bytes(5)),
        frames.settings({Setting.HEADER_TABLE_SIZE: 0, Setting.INITIAL_WINDOW_SIZE: 10}),
        frames.frame(frames.SETTINGS, frames.ACK, 0),
        peer.call(11, "/tests.Echo/Nothing"),
        peer.headers(13, "/tests.Echo/Count"),
        peer.headers(13, "/", last=True),
        frames.goaway(0, ErrorCode.NO_ERROR),
    ]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """The conversation with a few things wrong."""
    sent = conversation()
    for _ in range(draw(st.integers(0, 3))):
        at, other = draw(st.integers(0, len(sent) - 1)), draw(st.integers(0, len(sent) - 1))
        what = draw(st.sampled_from(["repeat", "drop", "swap"]))
        if what == "repeat":
            sent[at:at] = [sent[other]] * draw(st.integers(1, 20))
        elif what == "drop" and len(sent) > 1:
            del sent[at]
        else:
            sent[at], sent[other] = sent[other], sent[at]
    raw = bytearray(b"".join(sent))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(raw) - 1))
        what = draw(st.sampled_from(["flip", "set", "cut", "insert"]))
        if what == "flip":
            raw[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "set":
            raw[at] = draw(st.integers(0, 255))
        elif what == "cut":
            del raw[at : at + draw(st.integers(1, 12))]
        else:
            raw[at:at] = draw(st.binary(max_size=12))
        raw = raw or bytearray(1)
    return bytes(raw)


async def survives(sent: bytes) -> None:
    """Send it, beside a connection that goes on working and one that comes afterwards."""
    unhandled: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    served = Served()
    await served.start()
    async with served.peer() as lively:
        await lively.still_answers(1)
        async with served.peer(greet=False) as broken:
            broken.send(sent)
            await lively.still_answers(3)
            broken.writer.write_eof()
            await broken.last_words()
        await lively.still_answers(5)
    async with served.peer() as fresh:
        await fresh.still_answers(1)
    await asyncio.wait_for(served.server.stop(0), 5)
    async with asyncio.timeout(5):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
    assert not unhandled, sent


def test_the_conversation_itself_is_answered() -> None:
    asyncio.run(survives(b"".join(conversation())))


@given(mutated())
@settings(max_examples=60, deadline=None)
def test_no_mutation_of_a_conversation_does_more_than_end_its_connection(sent: bytes) -> None:
    asyncio.run(survives(sent))


def test_nothing_of_it_stays_in_memory() -> None:
    streams = streams_in_memory()
    asyncio.run(survives(b"".join(conversation())[:-40]))
    assert streams_in_memory() <= streams
