"""The thread in which a place is opened, read and closed."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

import pytest

from services.dataset.datastores.errors import ReadStalled
from services.dataset.datastores.thread import SourceThread


class Place:
    """Which thread has opened and closed it."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.closed = threading.Event()

    @contextlib.contextmanager
    def open(self) -> Iterator["Place"]:
        self.threads.append(threading.get_ident())
        try:
            yield self
        finally:
            self.threads.append(threading.get_ident())
            self.closed.set()


async def test_all_is_done_in_one_thread_that_is_not_the_callers() -> None:
    place, thread = Place(), SourceThread()
    assert await thread.open(place.open()) is place
    reader = await thread.do(threading.get_ident)
    with pytest.raises(ZeroDivisionError):
        await thread.do(lambda: 1 // 0)
    assert await thread.do(lambda: 7) == 7
    thread.end()
    assert await asyncio.to_thread(place.closed.wait, 10)
    assert place.threads == [reader, reader]
    assert reader != threading.get_ident()
    with pytest.raises(ReadStalled):
        await thread.do(lambda: 7)


async def test_what_nobody_asks_of_is_closed() -> None:
    place, thread = Place(), SourceThread(idle_s=0.2)
    await thread.open(place.open())
    assert await asyncio.to_thread(place.closed.wait, 10)
    with pytest.raises(ReadStalled):
        await thread.do(lambda: 7)


async def test_what_a_reader_no_longer_waits_for_is_closed_when_it_is_done() -> None:
    place, thread = Place(), SourceThread()
    await thread.open(place.open())
    going_on, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        going_on.wait(10)

    waiting = asyncio.ensure_future(thread.do(work))
    assert await asyncio.to_thread(begun.wait, 10)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    thread.end()
    assert not place.closed.is_set()
    going_on.set()
    assert await asyncio.to_thread(place.closed.wait, 10)
