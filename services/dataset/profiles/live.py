"""Rows in a place outside, read where they are, as the source of a profile."""

import contextlib
from collections.abc import AsyncIterator, Sequence

import pyarrow as pa

from chassis.filters.filter import Filter
from services.dataset.datastores.live import Located
from services.dataset.datastores.places import OpenPath
from services.dataset.datastores.thread import SourceThread
from services.dataset.profiles.sources import Source, Window


@contextlib.asynccontextmanager
async def live_source(located: Located) -> AsyncIterator[Source]:
    """The rows of the place. Raises what ``Located.open`` does."""
    thread = SourceThread()
    try:
        opened = await thread.open(located.open())
        names = await thread.do(lambda: sorted(opened.splits))
        yield Source([LiveSplit(name, opened, thread) for name in names], opened.fingerprint)
    finally:
        thread.end()


class LiveSplit:
    """See SplitSource."""

    def __init__(self, name: str, opened: OpenPath, thread: SourceThread) -> None:
        self.name = name
        self.schema = opened.schema
        self._opened = opened
        self._thread = thread

    async def windows(self, columns: Sequence[str], condition: Filter | None) -> AsyncIterator[Window]:
        """See SplitSource."""
        batches = await self._thread.open(contextlib.closing(self._opened.batches(self.name)))
        while (batch := await self._thread.do(lambda: next(batches, None))) is not None:
            yield Window(pa.Table.from_batches([batch]).select(list(columns)), batch.num_rows, batch.nbytes)
