"""The sketches of profiles: within the errors that they promise, whatever comes, and the same each time."""

import collections
import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataset.profiles.sketches.distinct import STANDARD_ERROR, DistinctSketch
from services.dataset.profiles.sketches.frequent import FrequentValues
from services.dataset.profiles.sketches.hashing import hash_long, hash_rows, hash_short, mix
from services.dataset.profiles.sketches.quantiles import Numbers, QuantileSketch

RANKS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
NUMBERS = st.lists(st.floats(allow_nan=False, width=32) | st.integers(-5, 5).map(float), max_size=400)


def sketch_of(size: int, batches: Sequence[Numbers]) -> QuantileSketch:
    sketch = QuantileSketch(size)
    for batch in batches:
        sketch.add(np.sort(batch))
    return sketch


def rank_error(sketch: QuantileSketch, numbers: Numbers) -> int:
    """By how many numbers the rank of any number is off."""
    kept, weights = sketch.weighted()
    ordered = np.sort(numbers)
    places = np.unique(ordered)
    true = np.searchsorted(ordered, places, side="right")
    reached = np.concatenate([[0], np.cumsum(weights)])
    return int(np.abs(reached[np.searchsorted(kept, places, side="right")] - true).max())


@given(st.lists(NUMBERS, max_size=8), st.integers(4, 64))
def test_no_rank_is_further_off_than_the_sketch_says(batches: list[list[float]], size: int) -> None:
    numbers = np.array([number for batch in batches for number in batch])
    sketch = sketch_of(size, [np.array(batch) for batch in batches])
    _, weights = sketch.weighted()
    assert sketch.count == len(numbers) == weights.sum()
    if len(numbers):
        assert rank_error(sketch, numbers) <= sketch.max_rank_error
        assert sketch.quantiles(RANKS) == sorted(sketch.quantiles(RANKS))
    if len(numbers) <= size:
        assert sketch.max_rank_error == 0


@given(NUMBERS.filter(bool))
def test_quantiles_of_few_numbers_are_exact(numbers: list[float]) -> None:
    sketch = sketch_of(512, [np.array(numbers)])
    expected = np.quantile(np.array(numbers), RANKS, method="inverted_cdf")
    assert sketch.quantiles(RANKS) == expected.tolist()


def orders(count: int) -> dict[str, Numbers]:
    numbers = np.random.default_rng(0)
    ascending = np.arange(count, dtype=np.float64)
    return {
        "ascending": ascending,
        "descending": ascending[::-1],
        "random": numbers.permutation(ascending),
        "zoomed in": np.stack([ascending, ascending[::-1]], axis=1).reshape(-1)[:count],
        "skewed": numbers.lognormal(sigma=4, size=count),
        "few values": numbers.integers(0, 7, count).astype(np.float64),
    }


@pytest.mark.parametrize("order", orders(1))
@pytest.mark.parametrize("size", [256, 2048])
@pytest.mark.parametrize("batch", [97, 50_000])
def test_quantiles_are_within_one_percent_of_rank_in_bounded_memory(order: str, size: int, batch: int) -> None:
    count = 400_000
    numbers = orders(count)[order]
    sketch = sketch_of(size, [numbers[first : first + batch] for first in range(0, count, batch)])
    assert rank_error(sketch, numbers) <= 0.01 * count
    kept, _ = sketch.weighted()
    assert len(kept) <= size * (2 + math.log2(count / size))


def test_the_same_numbers_make_the_same_sketch() -> None:
    numbers = np.random.default_rng(1).normal(size=100_000)
    one, other = (sketch_of(256, np.split(numbers, 10)).weighted() for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


@pytest.mark.parametrize("count", [0, 1, 2, 100, 5_000, 100_000, 2_000_000])
def test_distinct_values_are_estimated_within_two_percent(count: int) -> None:
    sketch = DistinctSketch()
    for _ in range(2):  # those that come again change nothing
        sketch.add(mix(np.arange(count, dtype=np.uint64)))
    assert sketch.estimate() == pytest.approx(count, rel=0.02, abs=1)


def test_estimates_are_off_by_less_than_one_percent_on_average() -> None:
    errors = []
    for run in range(40):
        sketch = DistinctSketch()
        sketch.add(mix(np.arange(run * 10**6, run * 10**6 + 30_000, dtype=np.uint64)))
        errors.append(sketch.estimate() / 30_000 - 1)
    assert np.sqrt(np.mean(np.square(errors))) < 1.5 * STANDARD_ERROR
    assert abs(np.mean(errors)) < STANDARD_ERROR


@given(st.lists(st.lists(st.integers(0, 40), max_size=60), max_size=8), st.integers(1, 20))
def test_no_count_is_too_high_nor_lower_than_the_error_allows(batches: list[list[int]], capacity: int) -> None:
    frequent = FrequentValues(pa.int64(), capacity)
    true: collections.Counter[int] = collections.Counter()
    for batch in batches:
        true.update(batch)
        counts = collections.Counter(batch)
        frequent.add(pa.array(list(counts), pa.int64()), np.array(list(counts.values()), np.int64))
    found = dict(zip(frequent.values.to_pylist(), frequent.counts.tolist(), strict=True))
    assert len(found) <= capacity
    assert frequent.error <= true.total() / (capacity + 1)
    for value, count in true.items():
        assert count - frequent.error <= found.get(value, 0) <= count
    if len(true) <= capacity:
        assert found == dict(true)


def short(values: Sequence[bytes]) -> list[int]:
    offsets = np.cumsum([0, *(len(value) for value in values)]).astype(np.int32)
    hashes = hash_short(offsets, np.frombuffer(b"".join(values), np.uint8))
    return [int(word) for word in hashes]


@given(st.lists(st.binary(max_size=256), max_size=50))
def test_a_value_has_the_same_hash_wherever_it_stands(values: list[bytes]) -> None:
    assert short(values) == [hash_ for value in values for hash_ in short([value])]
    assert len(set(short(values))) == len(set(values))


def test_values_that_are_alike_have_different_hashes() -> None:
    values = [b"", b"\0", b"\0\0", b"ab", b"ba", b"a\0", b"\0a", *(b"%d" % number for number in range(100_000))]
    assert len(set(short(values))) == len(values)
    assert len(set(hash_long([memoryview(value) for value in values]).tolist())) == len(values)
    pairs = np.array([(one, other) for one in range(100) for other in range(100)], np.uint64)
    assert len(set(hash_rows(pairs).tolist())) == len(pairs)


def test_hashes_of_many_megabytes_need_little_memory_at_once() -> None:
    values = [b"%08d" % number * 32 for number in range(20_000)]  # 5 MB in several blocks
    assert short(values)[::5000] == [hash_ for value in values[::5000] for hash_ in short([value])]
