"""Broken, hostile and slow HTTP/2: what was wrong ends, by the name that RFC 9113 has for it, and the rest goes on.

After every attack a new connection is answered, no task and no call is left in memory, and nothing was logged as an
error that nobody has handled.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
import pytest_asyncio
import uvloop

from chassis.rpc.http2 import frames
from chassis.rpc.http2.frames import ErrorCode, Setting
from chassis.testing.waiting import eventually
from tests.integration.chassis.http2_peer import LIMITS, Frame, Peer, Served, data, prefixed, streams_in_memory

# What it names instead would give every test of the folder two loops.
pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")

WIDE = {Setting.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW}
ALL_OF_IT = frames.window_update(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW)


@pytest.fixture(
    scope="module", params=[asyncio.DefaultEventLoopPolicy(), uvloop.EventLoopPolicy()], ids=["asyncio", "uvloop"]
)
def event_loop_policy(request: pytest.FixtureRequest) -> Any:
    """Tests run on asyncio's own loop, services on uvloop's: their transports differ."""
    return request.param


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    """A server that has to be as good after the test as it was before."""
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
    tasks, streams = asyncio.all_tasks(), streams_in_memory()
    serving = Served()
    await serving.start()
    try:
        yield serving
        async with serving.peer() as peer:
            await peer.still_answers(1)
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        await eventually(lambda: not asyncio.all_tasks() - tasks, timeout_s=5)
        assert streams_in_memory() <= streams
    finally:
        await asyncio.wait_for(serving.server.stop(0.1), 5)
    assert not unhandled


async def test_a_connection_that_does_not_speak_http2_ends(served: Served) -> None:
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01", bytes(1000), frames.PREFACE.lower()):
        async with served.peer(greet=False) as peer:
            peer.send(garbage)
            assert await peer.last_words() == ErrorCode.PROTOCOL_ERROR


BROKEN = {
    "no settings first": (frames.ping(0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "settings of a stream": (frames.frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "half a setting": (frames.frame(frames.SETTINGS, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "an acknowledgement with settings": (frames.frame(frames.SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
    "small frames": (frames.settings({Setting.MAX_FRAME_SIZE: 2**14 - 1}), ErrorCode.PROTOCOL_ERROR),
    "large frames": (frames.settings({Setting.MAX_FRAME_SIZE: 2**24}), ErrorCode.PROTOCOL_ERROR),
    "a large window": (frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
    "half a push": (frames.settings({Setting.ENABLE_PUSH: 2}), ErrorCode.PROTOCOL_ERROR),
    "a large frame": (frames.HEADER.pack(0xFFFF, 0xFF, frames.DATA, 0, 1), ErrorCode.FRAME_SIZE_ERROR),
    "data of no stream": (data(0), ErrorCode.PROTOCOL_ERROR),
    "data of an idle stream": (data(5), ErrorCode.PROTOCOL_ERROR),
    "data of a server's stream": (data(2), ErrorCode.PROTOCOL_ERROR),
    "headers of no stream": (frames.frame(frames.HEADERS, 5, 0, b"\x82"), ErrorCode.PROTOCOL_ERROR),
    "headers of a server's stream": (frames.frame(frames.HEADERS, 5, 2, b"\x82"), ErrorCode.PROTOCOL_ERROR),
    "headers that cannot be read": (frames.frame(frames.HEADERS, 5, 1, b"\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
    "an index of nothing": (frames.frame(frames.HEADERS, 5, 1, b"\xbf"), ErrorCode.COMPRESSION_ERROR),
    "a bomb of headers": (
        frames.frame(frames.HEADERS, 5, 1, b"\x40\x01a\x7f\xa1\x1e" + bytes(4000) + b"\xbe" * 12_000),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "a flood of resizes": (frames.frame(frames.HEADERS, 5, 1, b"\x20" * 60_000), ErrorCode.COMPRESSION_ERROR),
    "headers interrupted": (
        frames.frame(frames.HEADERS, 0, 1, b"\x82") + frames.ping(0, bytes(8)),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers that another stream goes on with": (
        frames.frame(frames.HEADERS, 0, 1, b"\x82") + frames.frame(frames.CONTINUATION, 4, 3, b"\x87"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "going on with no headers": (frames.frame(frames.CONTINUATION, 4, 1, b"\x82"), ErrorCode.PROTOCOL_ERROR),
    "a flood of empty continuations": (  # CVE-2024-27316
        frames.frame(frames.HEADERS, 0, 1) + frames.frame(frames.CONTINUATION, 0, 1) * 20_000,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "headers without end": (
        frames.frame(frames.HEADERS, 0, 1) + frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000)) * 10,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a priority of no stream": (frames.frame(frames.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
    "a short priority": (frames.frame(frames.PRIORITY, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR),
    "a push": (frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "a ping of a stream": (frames.frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "a short ping": (frames.frame(frames.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "a short goodbye": (frames.frame(frames.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
    "a goodbye of a stream": (frames.frame(frames.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
    "a reset of an idle stream": (frames.rst_stream(7, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR),
    "a reset of no stream": (frames.rst_stream(0, ErrorCode.CANCEL), ErrorCode.PROTOCOL_ERROR),
    "a short reset": (frames.frame(frames.RST_STREAM, 0, 1, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
    "no more window": (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "too much window": (frames.window_update(0, frames.MAX_WINDOW), ErrorCode.FLOW_CONTROL_ERROR),
    "the window of an idle stream": (frames.window_update(3, 1), ErrorCode.PROTOCOL_ERROR),
    "a short window": (frames.frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_the_connection_ends_it_by_its_name_and_cancels_its_calls(
    served: Served, sent: bytes, code: ErrorCode
) -> None:
    first = b"" if sent == frames.ping(0, bytes(8)) else frames.settings({})
    async with served.peer(greet=False) as peer, served.peer() as other:
        peer.send(frames.PREFACE, first, sent)
        assert await peer.last_words() == code
        await other.still_answers(1)


async def test_what_breaks_one_stream_leaves_the_others(served: Served) -> None:
    async with served.peer() as peer:
        peer.send(peer.headers(1), frames.window_update(1, 0))
        assert (await peer.answer(1)).reset == ErrorCode.PROTOCOL_ERROR
        peer.send(peer.headers(3), frames.window_update(3, frames.MAX_WINDOW))
        assert (await peer.answer(3)).reset == ErrorCode.FLOW_CONTROL_ERROR
        peer.send(peer.call(5, "/tests.Echo/Slow"), data(5))
        assert (await peer.answer(5)).reset == ErrorCode.STREAM_CLOSED
        await eventually(lambda: served.cancelled == served.slow)
        await peer.still_answers(7)
        for late in (data(5), frames.rst_stream(5, ErrorCode.CANCEL), frames.window_update(5, 1)):
            peer.send(late)  # on its way when the stream ended: nothing is wrong with it
        peer.send(frames.frame(99, 255, 12345, b"what nobody knows"), frames.frame(frames.PRIORITY, 0, 99, bytes(5)))
        await peer.still_answers(9)


async def test_headers_that_are_no_call_are_answered_as_http_does(served: Served) -> None:
    async with served.peer() as peer:
        for number, more, status in ((1, ("x", "grün"), "400"), (3, ("grpc-timeout", "soon"), "400")):
            peer.send(peer.call(number, "/tests.Echo/Echo", b"x", more))
            assert (await peer.answer(number)).headers == {":status": status}
        peer.send(peer.call(5, "/tests.Echo/Echo", b"x", ("connection", "close")))
        assert (await peer.answer(5)).reset == ErrorCode.PROTOCOL_ERROR
        peer.send(peer.call(7, "/tests.Echo/Echo", b"x", ("large", "x" * 20_000)))
        assert (await peer.answer(7)).status == "8"
        peer.send(peer.call(9, "/tests.Echo/Echo", b"x", ("grpc-encoding", "br")))
        answered = await peer.answer(9)
        assert (answered.status, answered.headers["grpc-accept-encoding"]) == ("12", "identity,deflate,gzip")
        await peer.still_answers(11)
        peer.send(peer.headers(13, "/tests.Echo/Echo", *((f"a{number}", "x" * 900) for number in range(70)), last=True))
        assert await peer.last_words() == ErrorCode.COMPRESSION_ERROR


async def test_a_method_of_one_message_takes_one_that_is_complete(served: Served) -> None:
    async with served.peer() as peer:
        peer.send(peer.headers(1, last=True))
        assert (await peer.answer(1)).status == "12"
        peer.send(peer.headers(3), data(3, last=False), data(3))
        assert (await peer.answer(3)).status == "12"
        peer.send(peer.headers(5), frames.frame(frames.DATA, 1, 5, prefixed(b"whole")[:-1]))
        assert (await peer.answer(5)).status == "13"
        peer.send(peer.headers(7), frames.frame(frames.DATA, 0, 7, b"\0" + (2**20 + 1).to_bytes(4, "big")))
        assert (await peer.answer(7)).status == "8"
        peer.send(peer.headers(9), data(9, last=False), peer.headers(9, last=True))  # trailers, as good as any end
        assert (await peer.answer(9)).data == prefixed(b"x")
        await peer.still_answers(11)


async def test_a_client_may_send_its_data_byte_by_byte_and_with_padding(served: Served) -> None:
    async with served.peer() as peer:
        peer.send(peer.headers(1))
        for byte in prefixed(b"piece by piece"):
            padded = bytes([3, byte, 0, 0, 0])
            peer.send(frames.frame(frames.DATA, frames.PADDED, 1, padded), frames.frame(frames.DATA, 0, 1))
        peer.send(frames.frame(frames.DATA, frames.END_STREAM, 1))
        assert (await peer.answer(1)).data == prefixed(b"piece by piece")


async def test_more_than_the_window_resets_the_stream(served: Served) -> None:
    async with served.peer() as peer:
        peer.send(peer.headers(1, "/tests.Echo/Hold"))
        for _ in range(5):  # a window has room for four
            peer.send(data(1, bytes(2**20 - 5), last=False))
        assert (await peer.answer(1)).reset == ErrorCode.FLOW_CONTROL_ERROR
        await peer.still_answers(3)
    assert served.cancelled == 1


async def test_ten_thousand_calls_that_are_given_up_at_once_leave_nothing(served: Served) -> None:
    """CVE-2023-44487: the work that a client can cause is bounded by the calls at once, given up or not."""
    streams = streams_in_memory()
    async with served.peer() as peer:
        for first in range(1, 20_000, 200):
            for number in range(first, first + 200, 2):
                peer.send(peer.call(number, "/tests.Echo/Slow"), frames.rst_stream(number, ErrorCode.CANCEL))
            await peer.writer.drain()
        peer.send(frames.ping(0, b"all read"))
        await peer.until(lambda frame: frame.kind == frames.PING)
        await eventually(lambda: streams_in_memory() <= streams, timeout_s=5)
        await peer.still_answers(20_001)
        assert served.slow == served.cancelled < 10_000


async def test_more_calls_at_once_than_are_possible_are_refused_so_that_they_can_be_tried_again(served: Served) -> None:
    async with served.peer() as peer:
        for number in range(1, 400, 2):
            peer.send(peer.call(number, "/tests.Echo/Slow"))
        assert (await peer.answer(399)).reset == ErrorCode.REFUSED_STREAM
        assert LIMITS.max_streams <= served.slow <= 2 * LIMITS.max_streams
        served.go_on.set()
        assert (await peer.answer(1)).status == "0"
        await peer.still_answers(401)


FLOODS = {
    "pings": frames.ping(0, bytes(8)) * 1000,
    "settings": frames.settings({}) * 1000,
    "calls refused": b"",
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_who_asks_and_asks_and_reads_no_answer_is_given_up(served: Served, flood: bytes) -> None:
    before = psutil.Process().memory_info().rss
    async with served.peer() as peer:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionError):
            await _send_without_end(peer, flood)
        # Refusals have 13 bytes each, and in memory some ten times as many.
        assert psutil.Process().memory_info().rss - before < 128 * 2**20


async def _send_without_end(peer: Peer, flood: bytes) -> None:
    number = 1
    while True:
        if not flood:
            block = peer.block()  # the same from the second on
            calls = [frames.frame(frames.HEADERS, 5, each, block) for each in range(number, number + 2000, 2)]
            number += 2000
            peer.send(*(calls if number > 2001 else calls[:1]))
        peer.send(flood)
        await peer.writer.drain()


async def test_answers_wait_while_the_client_does_not_read_whatever_windows_it_claims(served: Served) -> None:
    async with served.peer(WIDE) as peer, served.peer() as other:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(ALL_OF_IT, peer.call(1, "/tests.Echo/Give", b"100000"))
        before = psutil.Process().memory_info().rss
        for number in range(3, 300, 2):  # 150 MB, were they all answered
            peer.send(peer.call(number, message=bytes(2**20 - 5)))
            await peer.writer.drain()
        await other.still_answers(1)
        assert served.given < 200
        assert psutil.Process().memory_info().rss - before < 128 * 2**20
    await eventually(lambda: len(served.ended) == 1)


async def test_windows_that_shrink_below_zero_hold_back_what_was_not_sent_and_open_again(served: Served) -> None:
    async with served.peer({Setting.INITIAL_WINDOW_SIZE: 1000}) as peer:
        peer.send(peer.call(1, message=bytes(5000)))
        await peer.until(lambda frame: frame.kind == frames.DATA and len(frame.payload) == 1000)
        peer.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 0}))  # -1000 now
        peer.send(frames.window_update(1, 1000), frames.ping(0, b"no room."))
        acknowledged = await peer.until(lambda frame: frame.kind != frames.SETTINGS)
        assert acknowledged.kind == frames.PING, "nothing was sent into a window of nothing"
        peer.send(frames.settings({Setting.INITIAL_WINDOW_SIZE: 7}))
        assert len((await peer.until(lambda frame: frame.kind == frames.DATA)).payload) == 7
        peer.send(frames.window_update(1, 10_000))
        answered = await peer.answer(1)
        assert (len(answered.data), answered.status) == (5005 - 1007, "0")


async def test_no_frame_is_larger_than_the_client_takes(served: Served) -> None:
    async with served.peer(WIDE) as peer:
        peer.send(ALL_OF_IT, peer.call(1, message=bytes(500_000)))
        largest = await _largest_until_the_end(peer)
        assert largest == frames.MIN_FRAME_BYTES
        peer.send(frames.settings({Setting.MAX_FRAME_SIZE: 2**24 - 1}), peer.call(3, message=bytes(500_000)))
        assert await _largest_until_the_end(peer) == 500_000


async def _largest_until_the_end(peer: Peer) -> int:
    largest = 0

    def ends(frame: Frame) -> bool:
        nonlocal largest
        largest = max(largest, len(frame.payload))
        return bool(frame.ends)

    await peer.until(ends)
    return largest


async def test_streams_take_turns_in_the_window_of_the_connection(served: Served) -> None:
    async with served.peer(WIDE) as peer:
        peer.send(peer.call(1, "/tests.Echo/Give", b"1000"), peer.call(3, message=bytes(1000)))
        await peer.until(lambda frame: frame.kind == frames.DATA)
        for _ in range(20):
            peer.send(frames.window_update(0, 16_000))
        assert (await peer.answer(3)).status == "0", "the stream that always has more does not keep all others waiting"
    await eventually(lambda: len(served.ended) == 1)


async def test_an_upload_that_breaks_off_never_ends_as_if_it_were_complete(served: Served) -> None:
    async with served.peer() as peer:
        peer.send(peer.headers(1, "/tests.Echo/Count"), data(1, last=False), frames.rst_stream(1, ErrorCode.CANCEL))
        peer.send(peer.headers(3, "/tests.Echo/Count"), data(3, last=False))
        peer.send(frames.frame(frames.DATA, frames.END_STREAM, 3, b"\0\0\0"))
        assert (await peer.answer(3)).status == "13"
        peer.send(peer.headers(5, "/tests.Echo/Count"), data(5, last=False))
        await peer.still_answers(7)
    async with served.peer() as peer:
        peer.send(peer.headers(1, "/tests.Echo/Count"), data(1, b"all", last=False), data(1, b"of it"))
        assert (await peer.answer(1)).data == prefixed(b"8")
    assert served.ended == [8]
