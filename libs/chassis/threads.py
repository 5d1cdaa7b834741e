"""Threads for blocking work that asks the event loop for something while it runs, or opens something.

``asyncio.to_thread`` has a few threads for everybody. Work that holds one of them until the loop has run a coroutine
that needs another one waits for ever as soon as there is enough such work. So it gets a thread of its own.
"""

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def opened_in_thread(opening: Callable[[], T], close: Callable[[T], object]) -> T:
    """What ``opening`` opens, in one of asyncio's threads. A thread cannot be cancelled: when this is, what comes of it
    afterwards goes to ``close``, because nobody else has it."""
    work = asyncio.create_task(asyncio.to_thread(opening))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        work.add_done_callback(functools.partial(_close, close))
        raise


async def in_own_thread(name: str, work: Callable[[], T]) -> T:
    """The result of the work, which runs in a new thread and in the caller's context.

    How many there are is the caller's to bound. The process does not wait for the thread when it ends, and when this is
    cancelled the thread works on.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def tell(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = context.run(work)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop may have ended before
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


def _close(close: Callable[[T], object], work: "asyncio.Task[T]") -> None:
    if not work.cancelled() and work.exception() is None:
        close(work.result())
