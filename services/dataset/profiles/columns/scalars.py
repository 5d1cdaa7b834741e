"""Numbers, times and booleans."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dataset.profiles.columns.summary import Presence, Values, chunks_of, counted
from services.dataset.profiles.limits import Limits
from services.dataset.profiles.model import ColumnProfile
from services.dataset.profiles.numbers import NumberSummary
from services.dataset.profiles.sketches.hashing import hash_rows, mix

_is = pa.types
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_DAY_S = 86_400.0


class NumberColumn:
    """Integers, floats, dates, times, timestamps and durations.

    They are sorted once; distinct values, their counts, quantiles and extremes follow from that.
    """

    def __init__(self, column: str, kind: Any, limits: Limits) -> None:
        self._presence = Presence(column, kind)
        self._kind = kind
        self._stored = _stored(kind)
        self._scale = _seconds(kind)
        self._values = Values(self._stored, limits, _texts_of(kind))
        self._numbers = NumberSummary(limits.sketch_size, limits.bins)
        self._nan_count = 0

    def add(self, values: pa.ChunkedArray) -> None:
        """See Summary."""
        ordered = np.sort(self._as_numpy(self._presence.add(values)))
        if ordered.dtype.kind == "f":
            last = len(ordered) - int(np.isnan(ordered).sum())  # NaNs are sorted to the end
            self._nan_count += len(ordered) - last
            ordered = ordered[:last] + ordered.dtype.type(0)  # -0.0 is 0.0
        if not len(ordered):
            return
        starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
        distinct = ordered[starts]
        counts = np.diff(starts, append=len(ordered))
        wide = distinct.astype(np.float64 if distinct.dtype.kind == "f" else np.int64)
        self._values.add(pa.array(distinct, self._stored), counts, mix(wide.view(np.uint64)))
        numbers = ordered.astype(np.float64)
        self._numbers.add(numbers * self._scale if self._scale >= 1 else numbers / (1 / self._scale))

    def profiles(self) -> Iterator[ColumnProfile]:
        """See Summary."""
        yield self._presence.profile(
            nan_count=self._nan_count,
            distinct_estimate=self._values.distinct_estimate,
            numbers=self._numbers.result(whole=_is.is_integer(self._kind)),
            top_values=self._values.top,
            top_values_are_all=self._values.are_all,
        )

    def _as_numpy(self, values: pa.ChunkedArray) -> npt.NDArray[Any]:
        parts = []
        for chunk in chunks_of(values):
            plain = chunk if _is.is_integer(self._kind) or _is.is_floating(self._kind) else chunk.view(self._stored)
            parts.append(plain.to_numpy(zero_copy_only=False))
        joined = np.concatenate(parts) if parts else np.empty(0, self._stored.to_pandas_dtype())
        return joined.astype(np.float32) if joined.dtype == np.float16 else joined


class DecimalColumn:
    """Decimals: counted exactly, and distributed as the doubles that are next to them."""

    def __init__(self, column: str, kind: Any, limits: Limits) -> None:
        self._presence = Presence(column, kind)
        self._kind = kind if kind.bit_width >= 128 else pa.decimal128(kind.precision, kind.scale)
        self._values = Values(self._kind, limits, _texts)
        self._numbers = NumberSummary(limits.sketch_size, limits.bins)

    def add(self, values: pa.ChunkedArray) -> None:
        """See Summary."""
        present = self._presence.add(values).cast(self._kind)
        distinct, counts = counted(present)
        words = self._kind.bit_width // 64
        raw = np.frombuffer(distinct.buffers()[1], np.uint64, len(distinct) * words, distinct.offset * words * 8)
        self._values.add(distinct, counts, hash_rows(raw.reshape(-1, words)))
        self._numbers.add(np.sort(present.cast(pa.float64()).to_numpy()))

    def profiles(self) -> Iterator[ColumnProfile]:
        """See Summary."""
        yield self._presence.profile(
            distinct_estimate=self._values.distinct_estimate,
            numbers=self._numbers.result(),
            top_values=self._values.top,
            top_values_are_all=self._values.are_all,
        )


class BooleanColumn:
    """Truth values."""

    def __init__(self, column: str, kind: pa.DataType, limits: Limits) -> None:
        self._presence = Presence(column, kind)
        self._values = Values(kind, limits, lambda values: [str(value).lower() for value in values.to_pylist()])

    def add(self, values: pa.ChunkedArray) -> None:
        """See Summary."""
        distinct, counts = counted(self._presence.add(values))
        self._values.add(distinct, counts, mix(distinct.cast(pa.uint64()).to_numpy()))

    def profiles(self) -> Iterator[ColumnProfile]:
        """See Summary."""
        yield self._presence.profile(
            distinct_estimate=self._values.distinct_estimate,
            top_values=self._values.top,
            top_values_are_all=self._values.are_all,
        )


def _stored(kind: Any) -> Any:
    """The numbers that Arrow keeps."""
    if _is.is_float16(kind):
        return pa.float32()
    if _is.is_integer(kind) or _is.is_floating(kind):
        return kind
    return pa.int32() if kind.bit_width == 32 else pa.int64()


def _seconds(kind: Any) -> float:
    """By how much the numbers are multiplied: times become seconds."""
    if _is.is_date32(kind):
        return _DAY_S
    if _is.is_date64(kind):
        return 1e-3
    return 1 / _PER_SECOND[kind.unit] if _is.is_temporal(kind) else 1.0


def _texts(values: pa.Array) -> Iterable[str]:
    return [str(value) for value in values.to_pylist()]


def _texts_of(kind: Any) -> Callable[[pa.Array], Iterable[str]]:
    """How values of a type are written, given as ``_stored`` has them."""
    if _is.is_duration(kind):
        return lambda values: [f"{value} {kind.unit}" for value in values.to_pylist()]
    if _is.is_timestamp(kind):
        return lambda values: _times(values, kind)
    if _is.is_temporal(kind):
        return lambda values: values.view(kind).cast(pa.string()).to_pylist()
    if _is.is_floating(kind):
        return lambda values: [str(value) for value in values.to_numpy()]
    return _texts


def _times(values: pa.Array, kind: Any) -> Iterable[str]:
    """In UTC: a time zone's name may be one that this machine does not know."""
    utc = "Z" if kind.tz else ""
    texts = pc.cast(values.view(pa.timestamp(kind.unit)), pa.string()).to_pylist()
    return [text + utc for text in texts]
