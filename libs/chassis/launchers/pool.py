"""A parallel map over processes of this machine that survives what its items do to them."""

import asyncio
import collections
import concurrent.futures
import multiprocessing
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import Generic

from chassis.launchers.protocol import MAX_KILLS, Item, MapResult, Value, WorkerKilled

# Not fork: a forked copy of a process with threads (gRPC, Arrow) may hang.
_SPAWN = multiprocessing.get_context("spawn")


async def map_in_processes(
    function: Callable[[Item], Value], items: Iterable[Item], workers: int
) -> AsyncIterator[MapResult[Value]]:
    """See Launcher.map. When the consumer stops early, running items are killed."""
    pool = _Pool(function, workers)
    running: collections.deque[asyncio.Task[MapResult[Value]]] = collections.deque()
    numbered = enumerate(items)
    try:
        while True:
            while len(running) < 2 * workers and (item := next(numbered, None)) is not None:
                running.append(asyncio.create_task(pool.run(*item)))
            if not running:
                break
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await pool.close()


class _Pool(Generic[Item, Value]):
    def __init__(self, function: Callable[[Item], Value], workers: int) -> None:
        self._function = function
        self._workers = workers
        self._executor = _executor(workers)
        self._one_at_a_time = asyncio.Lock()

    async def run(self, index: int, item: Item) -> MapResult[Value]:
        executor = self._executor
        try:
            return await self._attempt(executor, index, item)
        except BrokenProcessPool:
            # One item killed its worker, which breaks the executor for all items in it, and nothing tells which item
            # it was. Each of them goes on alone, so that only the guilty one is blamed.
            if self._executor is executor:
                self._executor = _executor(self._workers)
                await _end(executor)
        async with self._one_at_a_time:
            return await self._run_alone(index, item)

    async def close(self) -> None:
        await _end(self._executor)

    async def _run_alone(self, index: int, item: Item) -> MapResult[Value]:
        for _ in range(MAX_KILLS):
            executor = _executor(1)
            try:
                return await self._attempt(executor, index, item)
            except BrokenProcessPool:
                continue
            finally:
                await _end(executor)
        return MapResult(index, error=WorkerKilled(item=index, times=MAX_KILLS))

    async def _attempt(self, executor: concurrent.futures.Executor, index: int, item: Item) -> MapResult[Value]:
        # Shielded: Python 3.11's executor fails when it breaks while it holds a future that was cancelled.
        future = asyncio.shield(asyncio.wrap_future(executor.submit(self._function, item)))
        try:
            return MapResult(index, await future)
        except BrokenProcessPool:
            raise
        except Exception as error:  # whatever the function raised is the item's result
            return MapResult(index, error=error)


def _executor(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    return concurrent.futures.ProcessPoolExecutor(workers, mp_context=_SPAWN)


async def _end(executor: concurrent.futures.ProcessPoolExecutor) -> None:
    """End the executor now, whatever its workers are doing."""
    # Python 3.14 has kill_workers() for this; before, an executor can only be waited for.
    for process in list((executor._processes or {}).values()):
        process.kill()
    await asyncio.to_thread(executor.shutdown, cancel_futures=True)
