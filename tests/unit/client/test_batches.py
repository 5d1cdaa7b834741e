"""Global batches and their parts, against what flight.proto says that commands mean."""

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.dataset.v1 import flight_pb2
from headwater.datasets.batches import Batches, Cursor, RowsMissing, Share, TooFewRows
from headwater.errors import NotFound, Unavailable


def rows_of(command: flight_pb2.GetCommand, row_count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The numbers of the rows that a command means, of ``row_count``: GetCommand's comments, word for word."""
    order = np.arange(row_count)
    if command.HasField("shuffle"):
        order = np.random.default_rng([command.shuffle.seed, command.shuffle.epoch]).permutation(row_count)
    size, count, index = command.global_batch_rows, max(1, command.shard_count), command.shard_index
    if command.filter:
        assert command.filter == "row % 3 = 0"
        assert size or command.HasField("shuffle"), "without batches, positions are those before the filter"
        order = order[order % 3 == 0]
    places = np.arange(len(order))
    selected = places >= command.first_row
    if size:
        batch, within = np.divmod(places, size)
        length = np.minimum(size, len(order) - batch * size)
        selected &= (within >= index * length // count) & (within < (index + 1) * length // count)
    else:
        assert count == 1, "contiguous shards are not asked for"
    chosen = order[selected]
    return chosen[: command.row_limit] if command.row_limit else chosen


class Service:
    """Rows as a source: one column with each row's number, in batches of any size, in streams that may break."""

    def __init__(self, row_count: int, *, seed: int = 0, breaks: float = 0.0) -> None:
        self.row_count = row_count
        self._random = random.Random(seed)
        self._breaks = breaks

    def __call__(self, command: flight_pb2.GetCommand) -> Iterator[pa.RecordBatch]:
        rows = rows_of(command, self.row_count)
        while len(rows):
            if self._random.random() < self._breaks:
                raise Unavailable(retry_after_ms=1)
            size = self._random.randint(1, 7)
            yield pa.record_batch({"row": rows[:size]})
            rows = rows[size:]


def read(service: Service, batches: Batches, cursor: Cursor, readers: int, lanes: int = 1) -> list[list[int]]:
    """The global batches that so many readers see, each made of their parts in the order of the readers."""
    parts: dict[tuple[int, int], list[int]] = {}
    for reader in range(readers):
        for lane in range(lanes):
            share = Share(reader, readers, lane, lanes)
            for number, (batch, rows) in enumerate(batches.read(service, cursor, share, patience_s=5)):
                # Taken from the lanes in turn, they are in order.
                assert batch == batches.next_after(cursor) + lane + number * lanes
                assert (batch, reader) not in parts
                parts[batch, reader] = rows["row"].to_pylist()
    numbers = sorted({batch for batch, _ in parts})
    assert numbers == list(range(batches.next_after(cursor), batches.count))
    return [[row for reader in range(readers) for row in parts[number, reader]] for number in numbers]


def batches_of(row_count: int, size: int, *, drop_last: bool = False, shuffle_seed: int | None = None) -> Batches:
    return Batches(
        version="v",
        split="train",
        global_batch_size=size,
        drop_last=drop_last,
        shuffle_seed=shuffle_seed,
        row_count=row_count,
    )


@settings(deadline=None)
@given(
    row_count=st.integers(0, 90),
    size=st.integers(1, 20),
    readers=st.integers(1, 6),
    lanes=st.integers(1, 4),
    drop_last=st.booleans(),
    filtered=st.booleans(),
    shuffle_seed=st.none() | st.integers(0, 9),
    epoch=st.integers(0, 3),
    begin=st.integers(0, 100),
    seed=st.integers(0, 99),
)
def test_any_readers_from_any_position_see_the_rest_of_the_one_sequence(
    row_count: int, size: int, readers: int, lanes: int, drop_last: bool, filtered: bool, shuffle_seed: int | None,
    epoch: int, begin: int, seed: int,
) -> None:  # fmt: skip
    """N-09: whatever the number of readers, of processes of each, and of streams that broke."""
    batches = batches_of(row_count, max(size, readers), drop_last=drop_last, shuffle_seed=shuffle_seed)
    if filtered:
        batches = dataclasses.replace(batches, filter="row % 3 = 0", row_count=len(range(0, row_count, 3)))
    order = rows_of(batches.command(epoch), row_count).tolist()
    assert len(order) == batches.row_count
    end = batches.full_count * batches.global_batch_size if drop_last else batches.row_count
    whole = [
        order[start : min(start + batches.global_batch_size, end)] for start in range(0, end, batches.global_batch_size)
    ]
    first = min(begin, batches.count)
    cursor = Cursor(epoch, min(first * batches.global_batch_size, batches.row_count))
    seen = read(Service(row_count, seed=seed, breaks=0.1), batches, cursor, readers, lanes)
    assert seen == whole[first:]


@given(size=st.integers(1, 500), readers=st.integers(1, 40))
def test_the_parts_of_a_batch_differ_by_one_row_at_most(size: int, readers: int) -> None:
    parts = [Share(reader, readers).of(size) for reader in range(readers)]
    assert [row for part in parts for row in part] == list(range(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_every_reader_gets_its_part_of_the_rows_that_are_left_over() -> None:
    parts = [
        [
            rows["row"].to_pylist()
            for _, rows in batches_of(11, 8).read(Service(11), Cursor(), Share(reader, 4), patience_s=0)
        ]
        for reader in range(4)
    ]
    assert [part[-1] for part in parts] == [[], [8], [9], [10]]
    assert {len(part) for part in parts} == {2}, "and all make the same number of steps"


def test_a_batch_with_fewer_rows_than_readers_is_refused() -> None:
    with pytest.raises(TooFewRows, match="4 readers"):
        next(batches_of(10, 3).read(Service(10), Cursor(), Share(0, 4), patience_s=0))


def test_a_service_that_says_no_is_not_asked_again() -> None:
    asked = []

    def refuse(command: flight_pb2.GetCommand) -> Iterator[pa.RecordBatch]:
        asked.append(command)
        raise NotFound

    with pytest.raises(NotFound):
        next(batches_of(10, 2).read(refuse, Cursor(), Share(0, 1), patience_s=60))
    assert len(asked) == 1


def test_a_service_that_stays_away_is_given_up() -> None:
    with pytest.raises(Unavailable):
        next(batches_of(10, 2).read(Service(10, breaks=1.0), Cursor(), Share(0, 1), patience_s=0.2))


@pytest.mark.parametrize("row_count", [0, 9, 10])
def test_a_stream_that_ends_too_early_is_an_error(row_count: int) -> None:
    """Promise 5: rows that are missing are never passed over."""
    with pytest.raises(RowsMissing):
        list(batches_of(11, 4).read(Service(row_count), Cursor(), Share(0, 1), patience_s=0))
