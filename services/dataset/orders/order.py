"""Computing orders, as README.md says; pure."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FORMAT = b"headwater.order/1 "
WINDOW_BYTES = 48 << 20
WINDOW_ROWS = 1 << 20

Numbers: TypeAlias = npt.NDArray[np.int64]
Masks: TypeAlias = Sequence[npt.NDArray[np.bool_]]
"""Of each chunk, which of its rows are meant."""

_U64 = (1 << 64) - 1


@dataclasses.dataclass(frozen=True, slots=True)
class Shuffle:
    """What chooses an order."""

    seed: int
    epoch: int


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Chunks whose rows are shuffled among each other."""

    number: int
    chunks: tuple[int, ...]
    """Their numbers within the split, in the window's order."""
    first: int
    """The place of its first row in the order."""
    count: int
    """Its rows that are meant."""


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """All rows of a split that are meant, window by window."""

    shuffle: Shuffle | None
    windows: tuple[Window, ...]
    count: int
    """Rows in it."""

    def overlapping(self, first: int, end: int) -> Iterator[Window]:
        """The windows that hold places from ``first`` up to but not including ``end``."""
        for window in self.windows:
            if window.first < end and first < window.first + window.count:
                yield window


def order_of(
    row_counts: Sequence[int], sizes: Sequence[int], matching: Sequence[int], shuffle: Shuffle | None
) -> Order:
    """The order of a split.

    Args:
        row_counts: rows of each chunk.
        sizes: canonical bytes of each chunk.
        matching: rows of each chunk that are meant.
    """
    chunks = np.arange(len(row_counts), dtype=np.int64)
    if shuffle is not None:
        chunks = _sorted_by_hash(_key(b"chunks", shuffle), len(row_counts))
    windows: list[Window] = []
    waiting: list[int] = []
    place = rows = size = 0

    def close() -> None:
        nonlocal place, rows, size
        count = sum(matching[chunk] for chunk in waiting)
        windows.append(Window(len(windows), tuple(waiting), place, count))
        waiting.clear()
        place, rows, size = place + count, 0, 0

    for chunk in chunks.tolist():
        waiting.append(chunk)
        rows, size = rows + row_counts[chunk], size + sizes[chunk]
        if size >= WINDOW_BYTES or rows >= WINDOW_ROWS:
            close()
    if waiting:
        close()
    return Order(shuffle, tuple(windows), place)


def rows_in(window: Window, row_counts: Sequence[int], masks: Masks | None, shuffle: Shuffle | None) -> Numbers:
    """The window's rows in order, each as its number among all rows of the window's chunks."""
    total = sum(row_counts[chunk] for chunk in window.chunks)
    rows: Numbers = np.arange(total, dtype=np.int64)
    if shuffle is not None:
        rows = _shuffled(int(_hashes(_key(b"rows", shuffle), window.number, 1)[0]), total)
    if masks is not None:
        meant = np.concatenate([masks[chunk] for chunk in window.chunks])
        rows = rows[meant[rows]]
    return rows


def places_in(window: Window, first: int, end: int, shard: tuple[int, int], batch_rows: int, total: int) -> Numbers:
    """The places, from the window's own first one, that a reader gets of a window.

    Args:
        first: the first place in the order that is wanted; places from ``end`` on are not.
        shard: ``(index, count)``: of each batch the index-th of ``count`` parts.
        batch_rows: rows of a global batch; 0: all places.
        total: rows of the whole order, for the last batch.
    """
    begin, stop = max(first, window.first), min(end, window.first + window.count)
    places: Numbers = np.arange(begin, stop, dtype=np.int64)
    if batch_rows:
        index, count = shard
        batch, within = np.divmod(places, batch_rows)
        length = np.minimum(total - batch * batch_rows, batch_rows)
        places = places[(within >= index * length // count) & (within < (index + 1) * length // count)]
    return places - window.first


def shard_count_of(first: int, end: int, shard: tuple[int, int], batch_rows: int, total: int) -> int:
    """How many places ``places_in`` gives in all windows together."""
    index, count = shard

    def before(place: int) -> int:
        batches, rest = divmod(place, batch_rows)
        part = (index + 1) * batch_rows // count - index * batch_rows // count
        length = min(total - batches * batch_rows, batch_rows)
        begin, stop = index * length // count, (index + 1) * length // count
        return batches * part + min(max(rest - begin, 0), stop - begin)

    return before(end) - before(first) if first < end else 0


def _key(name: bytes, shuffle: Shuffle) -> int:
    parts = FORMAT + name + (shuffle.seed & _U64).to_bytes(8, "little") + (shuffle.epoch & _U64).to_bytes(8, "little")
    return int.from_bytes(hashlib.sha256(parts).digest()[:8], "little")


@functools.lru_cache(maxsize=4)  # the readers of a group come to the same window at about the same time
def _shuffled(key: int, count: int) -> Numbers:
    rows = _sorted_by_hash(key, count)
    rows.setflags(write=False)
    return rows


def _sorted_by_hash(key: Any, count: int) -> Numbers:
    return np.argsort(_hashes(key, 0, count), kind="stable").astype(np.int64, copy=False)


def _hashes(key: Any, first: int, count: int) -> npt.NDArray[np.uint64]:
    """SplitMix64's numbers: hash(key, first) and those that follow."""
    with np.errstate(over="ignore"):
        steps = np.arange(first + 1, first + count + 1, dtype=np.uint64)
        mixed = np.uint64(key) + steps * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
