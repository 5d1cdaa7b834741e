"""Points of one metric as the bytes of a row: all steps, then all times in microseconds, then all values, each as 64
bits in network order, as PostgreSQL sends numbers."""

import array
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from services.registry.metrics.model import MetricPoint

LEAST, MOST = 16, 320
"""Points of a chunk. So many still fit into a page of the database beside all that a row has; fewer are no dearer as
rows of their own."""


def in_chunks(count: int) -> Iterator[tuple[int, int]]:
    """Where each of the chunks of so many points, :data:`LEAST` at least, begins and ends: they are of one size."""
    chunks = -(-count // MOST)
    for number in range(chunks):
        yield count * number // chunks, count * (number + 1) // chunks


def to_bytes(steps: Sequence[int], times_us: Sequence[int], values: Sequence[float]) -> bytes:
    """Points by step, then time."""
    return _column("q", steps) + _column("q", times_us) + _column("d", values)


def points_of(key: str, points: bytes, places: Iterable[int] | None = None) -> Iterator[MetricPoint]:
    """The points of the metric that are in these bytes, or those at ``places`` of them."""
    third = len(points) // 3
    steps, times_us, values = array.array("q"), array.array("q"), array.array("d")
    columns: Sequence[array.array[Any]] = (steps, times_us, values)
    for number, column in enumerate(columns):
        column.frombytes(points[number * third : (number + 1) * third])
        _swap(column)
    for n in range(len(steps)) if places is None else places:
        yield MetricPoint(key, steps[n], times_us[n], values[n])


def _column(code: str, numbers: Sequence[float]) -> bytes:
    column: array.array[Any] = array.array(code, numbers)
    _swap(column)
    return column.tobytes()


def _swap(column: "array.array[Any]") -> None:
    """From the machine's order of bytes to the network's, or back."""
    if sys.byteorder == "little":
        column.byteswap()
