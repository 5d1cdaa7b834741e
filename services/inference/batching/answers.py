"""Hands results to those who wait for them."""

import copy
from collections.abc import Sequence

from headwater.errors import HeadwaterError
from services.inference.batching.waiting import Waiting
from services.inference.batching.worker import Result


def hand_out(answers: Sequence[tuple[Waiting, Result]]) -> None:
    """Let those who wait have their results. In the event loop."""
    for waiting, result in answers:
        future = waiting.answer
        if future.done():  # cancelled
            continue
        if isinstance(result, Exception):
            future.set_exception(_own(result))
        else:
            future.set_result(result)


def _own(error: Exception) -> Exception:
    """The error for one of those who get it: whoever adds to it what is theirs alone, as an id, tells no other."""
    if not isinstance(error, HeadwaterError):
        return error
    own = copy.copy(error).with_traceback(error.__traceback__)
    own.metadata = dict(error.metadata)
    own.__cause__ = error.__cause__
    return own
