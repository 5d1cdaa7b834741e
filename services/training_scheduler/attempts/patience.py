"""What is worth trying again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from headwater.errors import (
    Aborted,
    DeadlineExceeded,
    HeadwaterError,
    Internal,
    ResourceExhausted,
    Unavailable,
)

_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 15.0
_MAX_FAULTS = 10
_log = structlog.get_logger()

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """``call``, tried again for as long as it fails for a reason that passes.

    Raises:
        HeadwaterError: a refusal, which would only be repeated, or a fault (INTERNAL) that came ten times.
    """
    delay_s, faults = _FIRST_DELAY_S, 0
    while True:
        try:
            return await call()
        except HeadwaterError as error:
            faults += isinstance(error, Internal)
            if not _passes(error) or faults >= _MAX_FAULTS:
                raise
            _log.warning("will try again", error=str(error), reason=error.reason, delay_s=delay_s)
        await asyncio.sleep(delay_s)
        delay_s = min(2 * delay_s, _MAX_DELAY_S)


def _passes(error: HeadwaterError) -> bool:
    # Aborted is an answer about somebody who went first; only without a reason of its own is it worth repeating.
    if isinstance(error, Aborted):
        return error.reason == Aborted.reason
    return isinstance(error, Unavailable | DeadlineExceeded | ResourceExhausted | Internal)
