"""What is opened in a thread is closed by somebody, also when who asked for it has gone."""

import asyncio
import io
import threading

import pytest

from chassis.threads import opened_in_thread


async def test_what_is_opened_is_given_to_who_asked_for_it() -> None:
    file = io.BytesIO(b"x")
    assert await opened_in_thread(lambda: file, io.BytesIO.close) is file
    assert not file.closed


async def test_what_is_opened_for_who_has_gone_is_closed() -> None:
    file, gate = io.BytesIO(b"x"), threading.Event()

    def slowly() -> io.BytesIO:
        gate.wait()
        return file

    asked = asyncio.create_task(opened_in_thread(slowly, io.BytesIO.close))
    await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not file.closed
    gate.set()
    async with asyncio.timeout(5):
        while not file.closed:
            await asyncio.sleep(0.005)


async def test_a_failure_is_told_and_one_that_nobody_waits_for_is_not() -> None:
    gate = threading.Event()

    def fail() -> io.BytesIO:
        gate.wait()
        raise FileNotFoundError

    asked = asyncio.create_task(opened_in_thread(fail, io.BytesIO.close))
    await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    gate.set()
    with pytest.raises(FileNotFoundError):
        await opened_in_thread(fail, io.BytesIO.close)
