"""What is tried again, and for how long."""

import time
from collections.abc import Callable

import pytest

from headwater.errors import DeadlineExceeded, HeadwaterError, InvalidArgument, ResourceExhausted, Unavailable
from headwater.patience import patiently


def failing(times: int, error: HeadwaterError) -> tuple[Callable[[], int], list[int]]:
    """A call that fails so often before it answers, and its attempts."""
    attempts: list[int] = []

    def call() -> int:
        attempts.append(len(attempts))
        if len(attempts) <= times:
            raise error
        return 7

    return call, attempts


@pytest.mark.parametrize("error", [Unavailable(), DeadlineExceeded(), ResourceExhausted(retry_after_ms=20)])
def test_a_call_is_made_again_while_the_service_is_away(error: HeadwaterError) -> None:
    call, attempts = failing(2, error)
    assert patiently(call) == 7
    assert len(attempts) == 3


@pytest.mark.parametrize("error", [InvalidArgument(), ResourceExhausted()])
def test_a_refusal_is_told_at_once(error: HeadwaterError) -> None:
    call, attempts = failing(9, error)
    with pytest.raises(type(error)):
        patiently(call)
    assert len(attempts) == 1


def test_patience_ends() -> None:
    call, attempts = failing(999, Unavailable())
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        patiently(call, 0.3)
    assert time.monotonic() - begun < 1.0
    assert len(attempts) > 1
