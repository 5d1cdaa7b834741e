"""Streams: work at once, answers in order, nothing left behind."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from services.inference.kserve.stream import in_order


async def numbers(count: int, error: Exception | None = None) -> AsyncIterator[int]:
    for number in range(count):
        yield number
    if error is not None:
        raise error


async def test_what_is_ready_first_waits_for_its_turn() -> None:
    working: list[int] = []
    most = 0

    async def answer(number: int) -> int:
        nonlocal most
        working.append(number)
        most = max(most, len(working))
        for _ in range(50 - number):
            await asyncio.sleep(0)
        working.remove(number)
        return number

    assert [each async for each in in_order(numbers(50), answer)] == list(range(50))
    assert most == 32


@pytest.mark.parametrize("place", ["requests", "answer"])
async def test_an_error_comes_after_the_answers_before_it(place: str) -> None:
    async def answer(number: int) -> int:
        if place == "answer" and number == 3:
            raise ValueError("broken")
        return number

    requests = numbers(3, ValueError("broken")) if place == "requests" else numbers(9)
    answers = in_order(requests, answer)
    assert [await anext(answers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="broken"):
        await anext(answers)


async def test_who_stops_listening_cancels_what_is_worked_on() -> None:
    cancelled: list[int] = []

    async def answer(number: int) -> Sequence[int]:
        if number == 0:
            return [0]
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise
        return []

    answers = in_order(numbers(5), answer)
    assert await anext(answers) == [0]
    await asyncio.sleep(0)
    await answers.aclose()  # type: ignore[attr-defined]
    assert sorted(cancelled) == [1, 2, 3, 4]
