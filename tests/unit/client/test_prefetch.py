"""Work ahead of its consumer: bounded, in order, and over when it is closed."""

import threading
import time
from collections.abc import Generator

import pytest

from headwater.datasets.prefetch import Prefetched


def test_items_come_in_order_and_the_error_after_them() -> None:
    def work() -> Generator[int, None, None]:
        yield from range(100)
        raise RuntimeError("the wire was cut")

    prefetched = Prefetched(work(), lambda _: 1, 10)
    assert [next(prefetched) for _ in range(100)] == list(range(100))
    with pytest.raises(RuntimeError, match="the wire was cut"):
        next(prefetched)
    with pytest.raises(StopIteration):
        next(prefetched)


def test_no_more_waits_than_is_granted() -> None:
    """Promise 8: however slow the consumer is."""
    made: list[int] = []
    taken = 0

    def work() -> Generator[int, None, None]:
        for number in range(50):
            made.append(number)
            yield number

    prefetched = Prefetched(work(), lambda _: 100, 450)
    for _ in prefetched:
        taken += 1
        time.sleep(0.002)
        # Four that wait and the one that finds no room.
        assert len(made) <= taken + 5
    assert taken == 50


def test_one_item_may_be_larger_than_what_is_granted() -> None:
    assert list(Prefetched(iter_of(3), lambda _: 10**9, 1)) == [0, 1, 2]


def test_when_it_is_closed_the_work_ends() -> None:
    ended = threading.Event()

    def work() -> Generator[int, None, None]:
        try:
            while True:
                yield 0
        finally:
            ended.set()

    prefetched = Prefetched(work(), lambda _: 1, 10)
    next(prefetched)
    prefetched.close()
    assert ended.wait(10)
    assert list(prefetched) == []


def iter_of(count: int) -> Generator[int, None, None]:
    yield from range(count)
