"""How connections and calls end: by a drain, by the client's silence, by a deadline that nobody else keeps."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from chassis.rpc.http2 import frames
from chassis.rpc.http2.connection import Connection
from chassis.rpc.http2.frames import ErrorCode
from chassis.rpc.http2.inbox import PREFIX
from chassis.testing.waiting import eventually
from tests.integration.chassis.http2_peer import LIMITS, Peer, Served, data, prefixed, streams_in_memory


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    """A server that soon asks clients that say nothing."""
    streams = streams_in_memory()
    serving = Served(dataclasses.replace(LIMITS, keepalive_s=0.2))
    await serving.start()
    try:
        yield serving
    finally:
        await asyncio.wait_for(serving.server.stop(0), 5)
    assert streams_in_memory() <= streams


async def test_a_drain_lets_calls_in_flight_finish_and_refuses_new_ones_so_that_they_can_be_tried_elsewhere(
    served: Served,
) -> None:
    async with served.peer() as peer:
        peer.send(peer.call(1, "/tests.Echo/Slow"))
        await eventually(lambda: served.slow == 1)
        stopping = asyncio.create_task(served.server.stop(5))
        goodbye = await peer.until(lambda frame: frame.kind == frames.GOAWAY)
        assert int.from_bytes(goodbye.payload[:4], "big") == frames.MAX_STREAM
        await peer.still_answers(3)  # it was on its way when the client was told
        peer.send(frames.ping(frames.ACK, b"goodbye!"))
        goodbye = await peer.until(lambda frame: frame.kind == frames.GOAWAY)
        assert (int.from_bytes(goodbye.payload[:4], "big"), goodbye.code) == (3, ErrorCode.NO_ERROR)
        peer.send(peer.call(5))
        assert (await peer.answer(5)).reset == ErrorCode.REFUSED_STREAM
        assert not stopping.done()
        served.go_on.set()
        assert (await peer.answer(1)).status == "0"
        assert await peer.frame() is None
        await asyncio.wait_for(stopping, 2)


async def test_a_grace_that_is_over_cancels_what_is_left(served: Served) -> None:
    async with served.peer() as peer:
        peer.send(peer.call(1, "/tests.Echo/Slow"))
        await eventually(lambda: served.slow == 1)
        begun = time.monotonic()
        await served.server.stop(0.2)
        assert time.monotonic() - begun < 1
        assert (await peer.answer(1)).status == "1"
        assert served.cancelled == 1


async def test_a_client_that_does_not_read_does_not_hold_up_the_end() -> None:
    served = Served()
    await served.start()
    async with served.peer() as peer:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        window = frames.window_update(0, 2**30) + frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: 2**30})
        peer.send(window, *(peer.call(number, message=bytes(2**20 - 5)) for number in range(1, 41, 2)))
        await peer.writer.drain()
        begun = time.monotonic()
        await served.server.stop(0.2)
        assert time.monotonic() - begun < 3


async def test_grpc_loses_no_call_to_a_drain(served: Served) -> None:
    codes: list[grpc.StatusCode] = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
        echo: Any = channel.unary_unary("/tests.Echo/Echo")

        async def call() -> None:
            for _ in range(100):
                codes.append(await echo(b"x").code())

        calling = [asyncio.create_task(call()) for _ in range(8)]
        drained: set[Connection] = set()
        while not all(each.done() for each in calling):
            for connection in served.server._connections - drained:
                connection.drain()  # the listener stays: later calls take a new connection
                drained.add(connection)
            await asyncio.sleep(0.005)
    assert len(drained) > 3
    assert set(codes) == {grpc.StatusCode.OK}


async def test_who_does_not_answer_a_ping_is_given_up_and_its_work_cancelled(served: Served) -> None:
    async with served.peer() as silent, served.peer() as lively:
        for peer in (silent, lively):
            peer.send(peer.call(1, "/tests.Echo/Slow"))
        begun = time.monotonic()
        while time.monotonic() - begun < 1.2:
            ping = await lively.until(lambda frame: frame.kind == frames.PING)
            lively.send(frames.ping(frames.ACK, ping.payload))
        assert served.cancelled == 1
        with pytest.raises(EOFError):
            await silent.answer(1)
        served.go_on.set()
        assert (await lively.answer(1)).status == "0"


async def test_a_deadline_ends_a_call_whose_message_never_comes(served: Served) -> None:
    async with served.peer() as peer:
        peer.send(peer.headers(1, "/tests.Echo/Echo", ("grpc-timeout", "100m")))
        peer.send(frames.frame(frames.DATA, 0, 1, prefixed(b"never whole")[:-1]))
        peer.send(peer.headers(3, "/tests.Echo/Echo", ("grpc-timeout", "9H")))
        pinged = asyncio.create_task(peer.answer(1))
        assert (await pinged).status == "4"
        peer.send(data(3))
        assert (await peer.answer(3)).status == "0"


async def test_a_deadline_ends_an_answer_that_is_not_taken(served: Served) -> None:
    async with served.peer() as peer:
        peer.send(peer.call(1, "/tests.Echo/Echo", bytes(100_000), ("grpc-timeout", "100m")))
        assert (await peer.answer(1)).reset == ErrorCode.CANCEL


async def test_grpc_and_this_server_agree_on_compression_and_metadata(served: Served) -> None:
    seen: dict[str, Any] = {}

    async def look(message: bytes, context: Any) -> bytes:
        seen.update(context.invocation_metadata())
        await context.send_initial_metadata((("first", "1"), ("first-bin", b"\0\xff")))
        context.set_trailing_metadata((("last-bin", bytes(30_000)), ("last", "x" * 3000)))
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_details("100 % lost\nin Köln ")
        return message

    served.server.add("tests.Look", {"Look": grpc.unary_unary_rpc_method_handler(look)})
    options = [("grpc.max_metadata_size", 2**20), ("grpc.absolute_max_metadata_size", 2**20)]
    for compression in (None, grpc.Compression.Gzip, grpc.Compression.Deflate):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}", options, compression=compression) as channel:
            method: Any = channel.unary_unary("/tests.Look/Look")
            call = method(bytes(5000), metadata=(("a-bin", b"\0\1"), ("b", "text")))
            assert dict(await call.initial_metadata() or ()) == {"first": "1", "first-bin": b"\0\xff"}
            assert await call.code() is grpc.StatusCode.DATA_LOSS
            assert await call.details() == "100 % lost\nin Köln"
            assert dict(await call.trailing_metadata() or ()) == {"last-bin": bytes(30_000), "last": "x" * 3000}
            assert (seen["a-bin"], seen["b"]) == (b"\0\1", "text")


async def test_a_connection_that_is_accepted_while_the_server_stops_ends() -> None:
    for _ in range(20):
        served = Served()
        await served.start()
        opening = [asyncio.create_task(asyncio.open_connection("127.0.0.1", served.port)) for _ in range(5)]
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.wait_for(served.server.stop(0), 2)
        for opened in await asyncio.gather(*opening, return_exceptions=True):
            if not isinstance(opened, BaseException):
                reader, writer = opened
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(), 2)
                writer.transport.abort()


async def test_a_new_connection_is_answered_at_once(served: Served) -> None:
    """Not after the forty milliseconds for which TCP holds back what is small."""
    begun = time.monotonic()
    for _ in range(30):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}") as channel:
            echo: Any = channel.unary_unary("/tests.Echo/Echo")
            assert await echo(b"x") == b"x"
    assert (time.monotonic() - begun) / 30 < 0.02


async def test_messages_that_never_end_take_no_more_memory_than_all_clients_may_and_others_go_on(
    served: Served,
) -> None:
    """Promises 8 and 14: nobody has looked at anybody's credentials by then. Eight of the largest fit."""

    def unfinished(peer: Peer, number: int) -> bytes:
        pieces = [PREFIX.pack(0, LIMITS.max_message_bytes), *[bytes(2**14)] * 60]
        return peer.headers(number) + b"".join(frames.frame(frames.DATA, 0, number, each) for each in pieces)

    async with served.peer() as peer, served.peer() as other:
        for number in range(1, 19, 2):  # nine calls of 960 KiB
            peer.send(unfinished(peer, number))
        refused = await peer.answer(17)
        assert (refused.status, refused.headers["grpc-retry-pushback-ms"]) == ("8", "1000")
        await other.still_answers(1)  # what comes at once needs no room
        taken = served.server.unfinished_bytes
        assert 7 * 2**20 < taken <= 8 * 2**20
        peer.send(frames.rst_stream(1, ErrorCode.CANCEL))
        await eventually(lambda: served.server.unfinished_bytes < taken)
    await eventually(lambda: served.server.unfinished_bytes == 0)
