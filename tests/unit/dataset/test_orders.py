"""Orders, against a second implementation that is written from services/dataset/orders/README.md."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.orders.order import Shuffle, order_of, places_in, rows_in, shard_count_of

MIX = 0xFFFFFFFFFFFFFFFF
Chunks = list[tuple[int, int]]


def mix(x: int) -> int:
    x ^= x >> 30
    x = x * 0xBF58476D1CE4E5B9 & MIX
    x ^= x >> 27
    x = x * 0x94D049BB133111EB & MIX
    return x ^ x >> 31


def hashed(key: int, number: int) -> int:
    return mix(key + (number + 1) * 0x9E3779B97F4A7C15 & MIX)


def key(name: bytes, seed: int, epoch: int) -> int:
    parts = b"headwater.order/1 " + name + seed.to_bytes(8, "little") + epoch.to_bytes(8, "little")
    return int.from_bytes(hashlib.sha256(parts).digest()[:8], "little")


def by_hash(key_: int, count: int) -> list[int]:
    return sorted(range(count), key=lambda number: (hashed(key_, number), number))


def written_out(chunks: Chunks, seed: int, epoch: int) -> list[tuple[int, int]]:
    """All rows as (chunk, row within it)."""
    order: list[tuple[int, int]] = []
    window: list[int] = []
    number = rows = size = 0
    for place, chunk in enumerate(by_hash(key(b"chunks", seed, epoch), len(chunks))):
        window.append(chunk)
        rows, size = rows + chunks[chunk][0], size + chunks[chunk][1]
        if size >= 48 << 20 or rows >= 1 << 20 or place == len(chunks) - 1:
            held = [(chunk, row) for chunk in window for row in range(chunks[chunk][0])]
            order += [held[row] for row in by_hash(hashed(key(b"rows", seed, epoch), number), len(held))]
            window, number, rows, size = [], number + 1, 0, 0
    return order


def computed(chunks: Chunks, shuffle: Shuffle | None, masks: list[np.ndarray] | None = None) -> list[tuple[int, int]]:
    row_counts, sizes = [rows for rows, _ in chunks], [size for _, size in chunks]
    matching = row_counts if masks is None else [int(mask.sum()) for mask in masks]
    order = order_of(row_counts, sizes, matching, shuffle)
    found: list[tuple[int, int]] = []
    for window in order.windows:
        held = [(chunk, row) for chunk in window.chunks for row in range(row_counts[chunk])]
        rows = [held[row] for row in rows_in(window, row_counts, masks, shuffle).tolist()]
        assert (window.first, window.count) == (len(found), len(rows))
        found += rows
    assert order.count == len(found)
    return found


chunks = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([1 << 20, 8 << 20, 40 << 20])), max_size=30)
numbers = st.integers(0, 2**64 - 1)


@given(chunks=chunks, seed=numbers, epoch=st.integers(0, 5))
def test_an_order_is_what_its_specification_says(chunks: Chunks, seed: int, epoch: int) -> None:
    assert computed(chunks, Shuffle(seed, epoch)) == written_out(chunks, seed, epoch)


@given(chunks=chunks)
def test_without_a_shuffle_rows_are_in_their_own_order(chunks: Chunks) -> None:
    own = [(chunk, row) for chunk, (rows, _) in enumerate(chunks) for row in range(rows)]
    assert computed(chunks, None) == own


@given(chunks=chunks, seed=numbers, data=st.data())
def test_a_filter_leaves_rows_out_and_moves_none(chunks: Chunks, seed: int, data: st.DataObject) -> None:
    masks = [np.array(data.draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), np.bool_) for rows, _ in chunks]
    whole = written_out(chunks, seed, 1)
    assert computed(chunks, Shuffle(seed, 1), masks) == [(chunk, row) for chunk, row in whole if masks[chunk][row]]


@given(
    total=st.integers(1, 300),
    batch=st.integers(1, 70),
    count=st.integers(1, 9),
    first=st.integers(0, 300),
    limit=st.integers(0, 300),
)
def test_the_shards_of_batches_are_all_rows_once(total: int, batch: int, count: int, first: int, limit: int) -> None:
    """N-09: however many readers there are, together they read each batch."""
    order = order_of([total], [1], [total], None)
    end = min(total, first + limit)
    read = []
    for index in range(count):
        places = places_in(order.windows[0], first, end, (index, count), batch, total).tolist()
        assert shard_count_of(first, end, (index, count), batch, total) == len(places)
        read += places
        for place in places:
            length = min(batch, total - place // batch * batch)
            assert index * length // count <= place % batch < (index + 1) * length // count
    assert sorted(read) == list(range(min(first, end), end))


def test_epochs_and_seeds_give_other_orders() -> None:
    chunks = [(100, 1 << 20)] * 10
    orders = {str(computed(chunks, Shuffle(seed, epoch))) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


@pytest.mark.parametrize("epoch", range(3))
def test_a_shuffle_leaves_no_trace_of_the_rows_own_order(epoch: int) -> None:
    rows = [chunk * 100 + row for chunk, row in computed([(100, 1 << 20)] * 40, Shuffle(7, epoch))]
    correlation = np.corrcoef(np.arange(len(rows)), rows)[0, 1]
    assert abs(correlation) < 0.05
