"""The queue by itself: threads that take, and wait for more where that pays."""

import asyncio
import queue
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from services.inference.batching.options import Limits
from services.inference.batching.queue import RequestQueue
from services.inference.batching.waiting import NEVER, Waiting

SHAPE, OTHER = ((2,),), ((3,),)
BATCH_S = 100.0
SOON_S = 5.0  # less than anybody would wait who was not woken


def waiting(shape: tuple[tuple[int, ...], ...] = SHAPE, deadline: float = NEVER, ago_s: float = 0.0) -> Waiting:
    loop = asyncio.get_running_loop()
    inputs = [np.zeros((1, *shape[0]), np.float32)]
    return Waiting(inputs, 1, shape, 8, loop.create_future(), time.monotonic() - ago_s, deadline=deadline)


def never(gone: object) -> None:
    raise AssertionError(gone)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def taking(threads: ThreadPoolExecutor, requests: RequestQueue) -> "Future[list[Waiting]]":
    return threads.submit(lambda: requests.take(queue.SimpleQueue(), together=True))


def patient_queue(max_delay_s: float = 10.0, **limits: float) -> RequestQueue:
    """A queue whose batches take very long whatever is in them, and to which a request comes every 10 ms."""
    requests = RequestQueue(Limits(max_delay_s=max_delay_s, **limits), expired=never, shed=never)  # type: ignore[arg-type]
    for rows in (1, 2, 64):
        requests.computed(SHAPE, rows, BATCH_S)
        requests.computed(OTHER, rows, BATCH_S)
    for shape in (SHAPE, OTHER):
        for ago_s in (0.03, 0.02, 0.01):
            early = waiting(shape, ago_s=ago_s)
            assert requests.put(early)
            assert requests.remove(early)
    return requests


async def test_who_waits_for_more_takes_them_when_they_have_come(threads: ThreadPoolExecutor) -> None:
    requests = patient_queue(max_batch_rows=2)
    first, second = waiting(), waiting()
    requests.put(first)
    taken = taking(threads, requests)
    await asyncio.sleep(0.05)
    assert not taken.done()

    requests.put(second)

    assert await asyncio.wrap_future(taken) == [first, second]
    assert len(requests) == 0


async def test_who_waits_for_more_gives_up_when_the_longest_delay_is_over(threads: ThreadPoolExecutor) -> None:
    requests = patient_queue(max_delay_s=0.1)
    began, only = time.monotonic(), waiting()
    requests.put(only)

    assert await asyncio.wrap_future(taking(threads, requests)) == [only]
    assert 0.02 < time.monotonic() - began < SOON_S


async def test_who_waits_for_more_stops_for_an_urgent_one(threads: ThreadPoolExecutor) -> None:
    """Its deadline would be missed otherwise."""
    requests = patient_queue()
    first, urgent = waiting(), waiting(deadline=time.monotonic() + BATCH_S)
    requests.put(first)
    taken = taking(threads, requests)
    await asyncio.sleep(0.01)
    requests.put(urgent)

    assert await asyncio.wait_for(asyncio.wrap_future(taken), SOON_S) == [first, urgent]


async def test_who_waits_for_more_is_ended_by_closing(threads: ThreadPoolExecutor) -> None:
    requests = patient_queue()
    only = waiting()
    requests.put(only)
    taken = taking(threads, requests)
    await asyncio.sleep(0.01)
    requests.close()

    assert await asyncio.wait_for(asyncio.wrap_future(taken), SOON_S) == [only]
    assert await asyncio.wrap_future(taking(threads, requests)) == []


async def test_who_waits_for_more_stops_when_there_is_other_work(threads: ThreadPoolExecutor) -> None:
    requests = patient_queue()
    first, other = waiting(), waiting(OTHER)
    requests.put(first)
    taken = taking(threads, requests)
    await asyncio.sleep(0.01)
    requests.put(other)

    assert await asyncio.wait_for(asyncio.wrap_future(taken), SOON_S) == [first]
    requests.close()
    assert await asyncio.wrap_future(taking(threads, requests)) == [other]


async def test_nobody_waits_for_more_while_another_engine_is_idle(threads: ThreadPoolExecutor) -> None:
    requests = patient_queue()
    takers = [taking(threads, requests) for _ in range(2)]
    await asyncio.sleep(0.02)
    requests.put(only := waiting())

    done, _ = await asyncio.wait(
        [asyncio.wrap_future(each) for each in takers], timeout=SOON_S, return_when="FIRST_COMPLETED"
    )
    assert [each.result() for each in done] == [[only]]
    requests.close()


async def test_requests_of_two_shapes_take_turns(threads: ThreadPoolExecutor) -> None:
    requests = RequestQueue(Limits(2), expired=never, shed=never)
    narrow: list[Waiting] = []
    wide: list[Waiting] = []
    for _ in range(4):
        for shape, line in ((SHAPE, narrow), (OTHER, wide)):
            line.append(waiting(shape))
            requests.put(line[-1])

    taken = [await asyncio.wrap_future(taking(threads, requests)) for _ in range(4)]

    assert taken == [narrow[:2], wide[:2], narrow[2:], wide[2:]]


async def test_a_request_that_is_removed_is_not_taken(threads: ThreadPoolExecutor) -> None:
    requests = RequestQueue(Limits(), expired=never, shed=never)
    three = [waiting() for _ in range(3)]
    for each in three:
        requests.put(each)

    assert requests.remove(three[1])
    assert not requests.remove(three[1])
    assert await asyncio.wrap_future(taking(threads, requests)) == [three[0], three[2]]
    assert not requests.remove(three[0])
    assert (len(requests), requests.rows) == (0, 0)
