"""Bodies as they come: the room that all of them together take is bounded, and so is the time that each may take."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Receive

from headwater.errors import Cancelled
from services.inference.kserve.http import body
from services.inference.kserve.http.body import Room, read
from services.inference.kserve.http.errors import BodyTimedOut, RequestTooLarge, TooManyRequests


def sending(chunks: Iterable[bytes], *, pause_s: float = 0.0, then: str = "end") -> Receive:
    """A client that sends these, and then ends, goes away, or is silent."""
    left = iter(chunks)

    async def receive() -> Any:
        await asyncio.sleep(pause_s)
        chunk = next(left, None)
        if chunk is not None:
            return {"type": "http.request", "body": chunk, "more_body": True}
        if then == "silence":
            await asyncio.Event().wait()
        return {"type": "http.disconnect"} if then == "gone" else {"type": "http.request", "body": b""}

    return receive


async def test_bodies_together_take_no_more_than_there_is_room() -> None:
    room = Room(100)
    waiting = asyncio.create_task(read(sending([b"x" * 80], then="silence"), {}, 100, room))
    await asyncio.sleep(0.01)
    with pytest.raises(TooManyRequests) as refused:
        await read(sending([b"x" * 30]), {}, 100, room)
    assert refused.value.retry_after_ms == 1000
    assert await read(sending([b"x" * 20]), {}, 100, room) == b"x" * 20
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert room.taken_bytes == 0
    assert await read(sending([b"x" * 60, b"y" * 40]), {}, 100, room) == b"x" * 60 + b"y" * 40


@pytest.mark.parametrize(
    ("receive", "error"),
    [
        (sending([b"x" * 50], then="gone"), Cancelled),
        (sending([b"x" * 101]), RequestTooLarge),
        (sending([b"x" * 50] * 3), RequestTooLarge),
    ],
)
async def test_what_does_not_come_to_its_end_gives_its_room_back(receive: Receive, error: type[Exception]) -> None:
    room = Room(200)
    with pytest.raises(error):
        await read(receive, {}, 100, room)
    assert room.taken_bytes == 0


async def test_who_sends_a_byte_now_and_then_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes long before the silence would be too long."""
    monkeypatch.setattr(body, "SILENCE_S", 0.1)
    with pytest.raises(BodyTimedOut):
        await asyncio.wait_for(read(sending([b"x"] * 10_000, pause_s=0.01), {}, 2**20, Room(2**20)), 5)


async def test_who_sends_much_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "SILENCE_S", 0.1)
    chunk = b"x" * 2**14  # in 10 ms: six times as fast as it must be
    assert len(await read(sending([chunk] * 20, pause_s=0.01), {}, 2**20, Room(2**20))) == 20 * 2**14
