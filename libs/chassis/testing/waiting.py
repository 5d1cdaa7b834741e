"""Waiting for what happens elsewhere (another process, a server), in tests."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Value = TypeVar("Value")


@overload
async def eventually(
    look: Callable[[], Awaitable[Value]], *, timeout_s: float = 30.0, every_s: float = 0.05
) -> Value: ...
@overload
async def eventually(look: Callable[[], Value], *, timeout_s: float = 30.0, every_s: float = 0.05) -> Value: ...
async def eventually(look: Callable[[], Any], *, timeout_s: float = 30.0, every_s: float = 0.05) -> Any:
    """Call ``look`` until it gives something true, and return that; TimeoutError after ``timeout_s``.

    For what no event of ours announces. Where the code under test has a clock, advance that instead.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            found = look()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(every_s)
