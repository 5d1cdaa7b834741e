"""Sends records on, at least once and in their order, from a position that is kept in the database.

A batch that is not taken is sent again, after pauses that grow to a minute; meanwhile the records wait where they are,
in the database or in files, so nothing fills up. What is lost is only what is older than the retention of records.
Several processes may send: each batch comes from whoever is first, and a batch may come twice.
"""

import asyncio

import structlog

from headwater.errors import HeadwaterError
from services.inference.records.archive import Archive
from services.inference.records.events.sinks import Sink
from services.inference.records.store import HotRecords

CURSOR = "cloudevents"
_BATCH_RECORDS = 500
_LONGEST_PAUSE_S = 60.0

_log = structlog.get_logger("inference.events")


class Exporter:
    """Reads on from the position, sends, and moves the position."""

    def __init__(self, hot: HotRecords, archive: Archive, sink: Sink, interval_s: float) -> None:
        self._hot = hot
        self._archive = archive
        self._sink = sink
        self._interval_s = interval_s

    async def run(self) -> None:
        """Send what comes, for ever."""
        pause_s = self._interval_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                while await self.export():
                    pass
            except HeadwaterError as error:
                pause_s = min(max(pause_s * 2, 1.0), _LONGEST_PAUSE_S)
                _log.warning("events wait", reason=error.reason, why=error.message, again_in_s=pause_s)
            else:
                pause_s = self._interval_s

    async def export(self) -> int:
        """Send what has come since the position, some thousands at most; returns how many.

        Raises:
            EventsNotTaken, HostNotAllowed, HostUnreachable: the position is after the last batch that was taken.
            Unavailable: the records cannot be read.
        """
        position, count = await self._hot.cursor(CURSOR), 0
        records = await self._archive.following(position)
        while count < len(records):
            chosen = records[count : count + _BATCH_RECORDS]
            await asyncio.to_thread(self._sink.send, chosen)
            count += len(chosen)
            if not await self._hot.advance(CURSOR, position, chosen[-1].sequence):
                break  # another process has sent them too; go on from where it is
            position = chosen[-1].sequence
        return count
