"""Metric points as values."""

import array
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from services.registry.values import Json


class MetricPoint(NamedTuple):
    """One measured value; ``time_us`` is microseconds since 1970 in UTC."""

    key: str
    step: int
    time_us: int
    value: float


class ObjectPoint(NamedTuple):
    """One measured array or object; ``time_us`` is microseconds since 1970 in UTC."""

    key: str
    step: int
    time_us: int
    value: Json


@dataclasses.dataclass(frozen=True, slots=True)
class MetricSummary:
    """What is known of one metric without its history.

    Attributes:
        last: the value with the highest step, of those the latest in time.
        minimum, maximum: over the values that are numbers; NaN where none is.
    """

    last: float
    last_step: int
    last_time_us: int
    minimum: float
    maximum: float
    point_count: int


@dataclasses.dataclass(frozen=True, slots=True)
class MetricBatch:
    """Points by column, all of the same length: what the driver takes as it is, without a loop over points. Arrays and
    objects, of which there are few, come one by one."""

    keys: Sequence[str]
    steps: Sequence[int]
    times_us: Sequence[int]
    values: Sequence[float]
    objects: Sequence[ObjectPoint] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def digest(self) -> str:
        """The SHA-256 of the columns (keys as NUL-terminated text, then the numbers as 64-bit little-endian) and of the
        objects as JSON."""
        keys = set(self.keys)
        told = f"{self.keys[0]}\0" * len(self.keys) if len(keys) == 1 else "".join(f"{key}\0" for key in self.keys)
        content = hashlib.sha256(told.encode())
        for code, column in (("q", self.steps), ("q", self.times_us), ("d", self.values)):
            content.update(array.array(code, column).tobytes())
        if self.objects:
            content.update(json.dumps(self.objects, sort_keys=True, separators=(",", ":")).encode())
        return f"sha256:{content.hexdigest()}"


@dataclasses.dataclass(frozen=True, slots=True)
class Log:
    """Everything that one call logs."""

    batch: MetricBatch
    parameters: Mapping[str, Json] = dataclasses.field(default_factory=dict)
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of it all."""
        told = json.dumps([self.parameters, self.tags], sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(self.batch.digest.encode() + told.encode()).hexdigest()}"


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """Which points of a metric a plot needs: of those between two steps some, evenly, with the first and the last.

    ``max_points`` is 2 at least. Of ``count`` points by step and time those are picked whose numbers, from 0,
    :meth:`picks` tells.
    """

    max_points: int
    first_step: int = -(2**63)
    last_step: int = 2**63 - 1

    def picks(self, n: int, count: int) -> bool:
        """Whether the point is picked: the first one of each of ``max_points - 1`` equal parts, and the last."""
        if count <= self.max_points:
            return True
        parts = self.max_points - 1
        return n == 0 or n * parts // (count - 1) > (n - 1) * parts // (count - 1)

    def picked(self, begin: int, end: int, count: int) -> Iterator[int]:
        """The numbers from ``begin`` to before ``end`` whose points are picked."""
        if count <= self.max_points:
            yield from range(begin, end)
            return
        parts, most = self.max_points - 1, count - 1
        for part in range(-(-(begin - 1) * parts // most) if begin else 0, parts + 1):
            n = -(-part * most // parts)
            if n >= end:
                return
            if n >= begin:
                yield n
