"""Metric points as values."""

import array
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
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
        content = hashlib.sha256(b"".join(key.encode() + b"\0" for key in self.keys))
        for code, column in (("q", self.steps), ("q", self.times_us), ("d", self.values)):
            content.update(array.array(code, column).tobytes())
        if self.objects:
            content.update(json.dumps(self.objects, sort_keys=True, separators=(",", ":")).encode())
        return f"sha256:{content.hexdigest()}"


def log_digest(batch: MetricBatch, parameters: Mapping[str, Json]) -> str:
    """The digest of everything that one call logs."""
    told = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(batch.digest.encode() + told.encode()).hexdigest()}"
