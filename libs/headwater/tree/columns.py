"""How each type of column is encoded: one class per kind of type. README.md is the specification.

``canonical`` is the type's own encoding, a part of the schema's. ``width`` is how many bytes of a row's head the
column takes. ``write`` puts the heads of an array's values in place and returns their bodies.
"""

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.tree import arrays
from headwater.tree.errors import MalformedRows
from headwater.tree.heads import Heads, body, ends_of, join, offsets_of


@dataclasses.dataclass(frozen=True, slots=True)
class Column(abc.ABC):
    """One column, or one part of a nested column."""

    canonical: bytes

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """Bytes that each value has in a head."""

    @abc.abstractmethod
    def write(self, array: pa.Array, heads: Heads, at: int) -> list[pa.Array]:
        """Write the heads of a plain array's values and return the bodies that follow, in order."""


@dataclasses.dataclass(frozen=True, slots=True)
class Null(Column):
    """The type that has no values: its head says so."""

    @property
    def width(self) -> int:
        return 1

    def write(self, array: pa.Array, heads: Heads, at: int) -> list[pa.Array]:
        heads.put(at, np.uint8, arrays.validity(array))
        return []


@dataclasses.dataclass(frozen=True, slots=True)
class Fixed(Column):
    """A type whose values all take the same number of bytes; little-endian throughout."""

    dtype: np.dtype[Any]

    @property
    def width(self) -> int:
        return 1 + self.dtype.itemsize

    def write(self, array: pa.Array, heads: Heads, at: int) -> list[pa.Array]:
        heads.put(at, np.uint8, arrays.validity(array))
        heads.put(at + 1, self.dtype, self.payload(array))
        return []

    def payload(self, array: pa.Array) -> npt.NDArray[Any]:
        """The values, contiguous, in their canonical form; zero where there is none."""
        return arrays.numbers_of(array, self.dtype)


@dataclasses.dataclass(frozen=True, slots=True)
class Boolean(Fixed):
    """One byte, 0 or 1."""

    def payload(self, array: pa.Array) -> npt.NDArray[Any]:
        return arrays.numbers_of(array.cast(pa.uint8()), self.dtype)


@dataclasses.dataclass(frozen=True, slots=True)
class Float(Fixed):
    """IEEE 754; every NaN is the one quiet NaN, because text formats keep no payload. -0.0 is not 0.0."""

    def payload(self, array: pa.Array) -> npt.NDArray[Any]:
        values = arrays.numbers_of(array, self.dtype)
        # The maximum is NaN if any value is, and costs less than looking at each.
        has_nan = len(values) > 0 and np.isnan(values.max())
        return np.where(np.isnan(values), np.array(np.nan, self.dtype), values) if has_nan else values


@dataclasses.dataclass(frozen=True, slots=True)
class Instant(Fixed):
    """A timestamp or duration of any unit, as whole seconds (rounded down) and the nanoseconds that remain."""

    per_second: int

    def payload(self, array: pa.Array) -> npt.NDArray[Any]:
        ticks = arrays.numbers_of(array, np.int64)
        values = np.empty(len(ticks), self.dtype)
        values["seconds"], remainder = np.divmod(ticks, self.per_second)
        values["nanos"] = remainder * (10**9 // self.per_second)
        return values


@dataclasses.dataclass(frozen=True, slots=True)
class TimeOfDay(Fixed):
    """Nanoseconds since midnight, whatever the unit."""

    stored: np.dtype[Any]
    nanos: int

    def payload(self, array: pa.Array) -> npt.NDArray[Any]:
        return arrays.numbers_of(array, self.stored).astype(np.int64) * self.nanos


@dataclasses.dataclass(frozen=True, slots=True)
class Date(Fixed):
    """Days since 1970-01-01, of date32 and of date64 (which counts milliseconds but may hold whole days only)."""

    stored: np.dtype[Any]

    def payload(self, array: pa.Array) -> npt.NDArray[Any]:
        values = arrays.numbers_of(array, self.stored).astype(np.int64)
        if self.stored.itemsize == 4:
            return values
        days, rest = np.divmod(values, 86_400_000)
        if rest.any():
            raise MalformedRows("A date64 value is not a whole number of days.")
        return days


@dataclasses.dataclass(frozen=True, slots=True)
class Decimal(Fixed):
    """The unscaled value in two's complement: 16 bytes to precision 38, 32 bytes above, however wide it is stored."""

    stored_bytes: int

    def payload(self, array: pa.Array) -> npt.NDArray[Any]:
        words = self.dtype.itemsize // 8
        if self.stored_bytes < 8:
            given = arrays.numbers_of(array, np.int32).astype(np.int64).reshape(-1, 1)
        else:
            given = arrays.numbers_of(array, f"V{self.stored_bytes}").view(np.int64)
            given = given.reshape(-1, self.stored_bytes // 8)
        values = np.empty((len(array), words), np.int64)
        common = min(words, given.shape[1])
        values[:, :common] = given[:, :common]
        values[:, common:] = given[:, -1:] >> 63
        return values.reshape(-1).view(self.dtype)


@dataclasses.dataclass(frozen=True, slots=True)
class Bytes(Column):
    """A string (as UTF-8) or binary value: the head has its length, the body its bytes."""

    @property
    def width(self) -> int:
        return 5

    def write(self, array: pa.Array, heads: Heads, at: int) -> list[pa.Array]:
        values = arrays.bytes_of(array)
        heads.put(at, np.uint8, arrays.validity(array))
        heads.put(at + 1, "<u4", np.diff(offsets_of(values)))
        return [values]


@dataclasses.dataclass(frozen=True, slots=True)
class List(Column):
    """A list or map of any physical kind: the head has the number of elements, the body the elements."""

    element: Column

    @property
    def width(self) -> int:
        return 5

    def write(self, array: pa.Array, heads: Heads, at: int) -> list[pa.Array]:
        counts, elements = arrays.elements_of(array)
        ends = ends_of(counts)
        arrays.bound(len(elements) * self.element.width)
        heads.put(at + 1, "<u4", counts)
        heads.put(at, np.uint8, arrays.validity(array))
        if not isinstance(self.element, Fixed):
            inner = Heads(len(elements), self.element.width)
            bodies = self.element.write(elements, inner, 0)
            return [inner.as_body(ends), *self._regroup(bodies, ends)]
        payload = self.element.payload(elements)
        packed = body(payload.view(np.uint8), ends * payload.itemsize)
        if elements.null_count == 0:
            return [packed]
        valid = np.asarray(arrays.validity(elements))
        absent = np.diff(ends_of(1 - valid)[ends]) > 0
        heads.put(at, np.uint8, np.asarray(arrays.validity(array)) + absent)
        return [body(valid[np.repeat(absent, counts)], ends_of(counts * absent)), packed]

    @staticmethod
    def _regroup(bodies: Sequence[pa.Array], ends: npt.NDArray[np.int64]) -> list[pa.Array]:
        """The elements' bodies as bodies of the lists that hold the elements."""
        if not bodies:
            return []
        joined = join(bodies)
        return [body(joined.buffers()[2] or b"", offsets_of(joined)[ends])]


@dataclasses.dataclass(frozen=True, slots=True)
class Struct(Column):
    """The fields in their order; all of them null where the struct is."""

    fields: tuple[Column, ...]

    @property
    def width(self) -> int:
        return 1 + sum(field.width for field in self.fields)

    def write(self, array: pa.Array, heads: Heads, at: int) -> list[pa.Array]:
        heads.put(at, np.uint8, arrays.validity(array))
        at += 1
        bodies: list[pa.Array] = []
        for field, values in zip(self.fields, array.flatten(), strict=True):
            bodies += field.write(arrays.plain(values), heads, at)
            at += field.width
        return bodies
