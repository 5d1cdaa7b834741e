"""Work on the messages of a stream while more of them come, with the answers in their order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, TypeVar

Request = TypeVar("Request")
Answer = TypeVar("Answer")
_End: TypeAlias = "Exception | None"

_AT_ONCE = 32  # so that one stream can fill a batch, and cannot fill the memory


async def in_order(
    requests: AsyncIterator[Request], answer: Callable[[Request], Awaitable[Answer]]
) -> AsyncIterator[Answer]:
    """``answer`` of each request, in the order of the requests; up to 32 of them are worked on at a time.

    An exception of ``answer`` or of ``requests`` ends it, after the answers to what came before. Whoever stops
    listening cancels what is being worked on.
    """
    working: asyncio.Queue[asyncio.Task[Answer] | _End] = asyncio.Queue()
    room = asyncio.Semaphore(_AT_ONCE)
    tasks: set[asyncio.Task[Answer]] = set()

    async def take() -> None:
        try:
            async for request in requests:
                await room.acquire()
                task = asyncio.ensure_future(_run(answer, request))
                tasks.add(task)
                working.put_nowait(task)
        except Exception as error:
            working.put_nowait(error)
        else:
            working.put_nowait(None)

    taking = asyncio.create_task(take())
    try:
        while isinstance(task := await working.get(), asyncio.Task):
            given = await task
            tasks.discard(task)
            room.release()
            yield given
        if task is not None:
            raise task
    finally:
        for each in (taking, *tasks):
            each.cancel()
        await asyncio.gather(taking, *tasks, return_exceptions=True)


async def _run(answer: Callable[[Request], Awaitable[Answer]], request: Request) -> Answer:
    return await answer(request)
