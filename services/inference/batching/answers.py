"""Hands results to those who wait for them."""

from collections.abc import Sequence

from services.inference.batching.waiting import Waiting
from services.inference.batching.worker import Result
from services.inference.errors import own_error


def hand_out(answers: Sequence[tuple[Waiting, Result]]) -> None:
    """Let those who wait have their results. In the event loop."""
    for waiting, result in answers:
        future = waiting.answer
        if future.done():  # cancelled
            continue
        if isinstance(result, Exception):
            future.set_exception(own_error(result))
        else:
            future.set_result(result)
