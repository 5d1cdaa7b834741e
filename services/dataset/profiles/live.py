"""Rows in a place outside, read where they are, as the source of a profile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from services.dataset.datastores.live import Located
from services.dataset.datastores.places import OpenPath
from services.dataset.filters.filter import Filter
from services.dataset.profiles.sources import Source, Window

T = TypeVar("T")


@contextlib.asynccontextmanager
async def live_source(located: Located) -> AsyncIterator[Source]:
    """The rows of the place. Raises what ``Located.open`` does."""
    thread, stack = _Thread(), contextlib.ExitStack()
    try:
        opened = await thread.do(lambda: stack.enter_context(located.open()))
        names = await thread.do(lambda: sorted(opened.splits))
        yield Source([LiveSplit(name, opened, thread) for name in names], opened.fingerprint)
    finally:
        thread.end(stack.close)


class LiveSplit:
    """See SplitSource."""

    def __init__(self, name: str, opened: OpenPath, thread: "_Thread") -> None:
        self.name = name
        self.schema = opened.schema
        self._opened = opened
        self._thread = thread

    async def windows(self, columns: Sequence[str], condition: Filter | None) -> AsyncIterator[Window]:
        """See SplitSource."""
        batches: Iterator[pa.RecordBatch] = iter(self._opened.batches(self.name))
        while (batch := await self._thread.do(lambda: next(batches, None))) is not None:
            yield Window(pa.Table.from_batches([batch]).select(list(columns)), batch.num_rows, batch.nbytes)


class _Thread:
    """One thread in which a source is read from its opening to its end, as some databases' drivers demand."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="profile-source")

    async def do(self, work: Callable[[], T]) -> T:
        """The result of the work."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def end(self, last: Callable[[], None]) -> None:
        """Do this after what is being done, and no more; does not wait for it."""
        self._executor.submit(last)
        self._executor.shutdown(wait=False)
