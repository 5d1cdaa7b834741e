"""Global batches: which rows each of many readers gets, and reading them from any position on.

A pass over the rows of a split, an epoch, is a fixed sequence of global batches: the same for any number of readers.
Each reader gets a part of every batch. So a position is two numbers, the epoch and the rows of it that all readers
together have consumed, and any number of readers can go on from it (protos/headwater/dataset/v1/flight.proto,
``GetCommand.global_batch_rows``).
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pyarrow as pa

from headwater.dataset.v1 import flight_pb2
from headwater.datasets.orders import shuffle
from headwater.datasets.unbroken import unbroken
from headwater.errors import DataLoss, InvalidArgument

Source = Callable[[flight_pb2.GetCommand], Iterator[pa.RecordBatch]]
"""Answers a command with its rows: ``headwater.datasets.sources``."""


LAST_EPOCH = (1 << 63) - 2
"""One can still be counted on from it, in 64 bits."""


class TooFewRows(InvalidArgument):
    """A global batch has fewer rows than there are readers."""

    reason = "TOO_FEW_ROWS"


class RowsMissing(DataLoss):
    """A stream has ended before the rows that there are had come."""

    reason = "ROWS_MISSING"
    text = "The stream ended before all rows had come."


@dataclasses.dataclass(frozen=True, slots=True)
class Cursor:
    """A position."""

    epoch: int = 0
    row: int = 0
    """Rows of this epoch that all readers together have consumed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """Which part is one reader's own.

    A reader may be several processes side by side, each in a lane: process ``lane`` of ``lane_count`` reads the
    reader's part of every ``lane_count``-th batch. Taken from them in turn, the parts are in their order.
    """

    index: int
    count: int
    lane: int = 0
    lane_count: int = 1

    def of(self, row_count: int) -> range:
        """The reader's part of so many rows."""
        return range(self.index * row_count // self.count, (self.index + 1) * row_count // self.count)


class Part(NamedTuple):
    """One reader's part of one batch."""

    batch: int
    """The number of the batch within the epoch."""
    rows: pa.Table


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """What is read, and in which batches."""

    version: str
    split: str
    global_batch_size: int
    columns: tuple[str, ...] = ()
    filter: str = ""
    view: str = ""
    checkpoint: str = ""
    shuffle_seed: int | None = None
    """None: the rows' own order, in every epoch."""
    drop_last: bool = False
    """Whether the rows that do not fill a last batch are left out."""
    row_count: int = 0
    """Rows that satisfy filter and view."""

    @property
    def full_count(self) -> int:
        """Batches of an epoch that are full."""
        return self.row_count // self.global_batch_size

    @property
    def count(self) -> int:
        """Batches of an epoch."""
        return self.full_count + (self._tail > 0)

    @property
    def _tail(self) -> int:
        return 0 if self.drop_last else self.row_count % self.global_batch_size

    def after(self, epoch: int, batch: int, share: Share) -> Cursor:
        """The position when a batch has been consumed: of a lane, that from which it goes on with its next one."""
        return Cursor(epoch, min((batch + share.lane_count - share.lane) * self.global_batch_size, self.row_count))

    def has(self, cursor: Cursor) -> bool:
        """Whether it is a position between two batches."""
        if type(cursor.epoch) is not int or type(cursor.row) is not int:
            return False
        at_batch = cursor.row % self.global_batch_size == 0 or cursor.row == self.row_count
        return 0 <= cursor.epoch <= LAST_EPOCH and 0 <= cursor.row <= self.row_count and at_batch

    def next_after(self, cursor: Cursor) -> int:
        """The number of the batch that comes next."""
        return -(-cursor.row // self.global_batch_size)

    def command(self, epoch: int, first_row: int = 0) -> flight_pb2.GetCommand:
        """All rows from ``first_row`` on, in the order of an epoch."""
        command = flight_pb2.GetCommand(
            version=self.version,
            split=self.split,
            columns=self.columns,
            filter=self.filter,
            view=self.view,
            checkpoint=self.checkpoint,
            first_row=first_row,
            # Without batches, positions count also the rows that the filter leaves out.
            global_batch_rows=self.global_batch_size if self.filter or self.view else 0,
        )
        if self.shuffle_seed is not None:
            shuffle(command, self.shuffle_seed, epoch)
        return command

    def read(self, source: Source, cursor: Cursor, share: Share, *, patience_s: float) -> Iterator[Part]:
        """The reader's part of each batch from ``cursor`` to the end of its epoch, in order.

        A stream that breaks because the service is away is taken up again where it broke, for ``patience_s`` without
        a row at most. No part comes twice; a part of a last batch with fewer rows than readers may have none.

        Raises:
            TooFewRows: a batch has fewer rows than there are readers.
            HeadwaterError: what the service says.
            RowsMissing: it sent fewer rows than there are.
        """
        if self.global_batch_size < share.count:
            raise TooFewRows(
                f"A global batch of {self.global_batch_size} rows has none for some of {share.count} readers."
            )
        first = self.next_after(cursor) + share.lane
        # A lane is a shard of batches that are as many times as large; those that do not fill such a one come alone.
        end = self.full_count // share.lane_count * share.lane_count
        yield from self._stream(source, cursor.epoch, share, range(first, end, share.lane_count), patience_s)
        for number in range(first, self.count, share.lane_count):
            if number >= end:
                yield Part(number, self._alone(source, cursor.epoch, share, number, patience_s))

    def _stream(self, source: Source, epoch: int, share: Share, numbers: range, patience_s: float) -> Iterator[Part]:
        own, lanes = share.of(self.global_batch_size), share.lane_count

        def open_after(received: int) -> Iterator[pa.RecordBatch]:
            complete, begun = divmod(received, len(own))
            if complete == len(numbers):
                return iter(())
            number = numbers[complete]
            command = self.command(epoch, number * self.global_batch_size + own.start + begun)
            if (shards := share.count * lanes) > 1:
                command.global_batch_rows = self.global_batch_size * lanes
                command.shard_count = shards
                command.shard_index = number % lanes * share.count + share.index
            return source(command)

        complete = 0
        with contextlib.closing(unbroken(open_after, patience_s)) as stream:
            for complete, rows in enumerate(itertools.islice(_cut(stream, len(own)), len(numbers)), 1):
                yield Part(numbers[complete - 1], rows)
        if complete < len(numbers):
            raise RowsMissing(version=self.version, split=self.split)

    def _alone(self, source: Source, epoch: int, share: Share, number: int, patience_s: float) -> pa.Table:
        start = number * self.global_batch_size
        own = share.of(min(self.global_batch_size, self.row_count - start))
        # A reader without a part asks for a row, so that its empty part has the columns.
        limit = max(1, len(own))

        def open_after(received: int) -> Iterator[pa.RecordBatch]:
            if received == limit:
                return iter(())
            command = self.command(epoch, start + own.start + received)
            command.row_limit = limit - received
            return source(command)

        batches = list(unbroken(open_after, patience_s))
        if sum(batch.num_rows for batch in batches) < limit:
            raise RowsMissing(version=self.version, split=self.split)
        return pa.Table.from_batches(batches).slice(0, len(own))


def _cut(stream: Iterator[pa.RecordBatch], row_count: int) -> Iterator[pa.Table]:
    """Tables of ``row_count`` rows each, made of slices of what comes; what does not fill the last one is left out."""
    pieces: list[pa.RecordBatch] = []
    missing = row_count
    for batch in stream:
        start = 0
        while batch.num_rows - start >= missing:
            pieces.append(batch.slice(start, missing))
            yield pa.Table.from_batches(pieces)
            start, pieces, missing = start + missing, [], row_count
        if start < batch.num_rows:
            pieces.append(batch.slice(start))
            missing -= batch.num_rows - start
