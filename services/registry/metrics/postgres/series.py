"""The points of a call, metric by metric."""

import dataclasses
import operator
from collections.abc import Iterator, Sequence
from typing import Any

from services.registry.metrics.model import MetricBatch


@dataclasses.dataclass(frozen=True, slots=True)
class Points:
    """Points by column in the order of key, step and time, each once: of those that are the same the first counts."""

    keys: Sequence[str]
    steps: Sequence[int]
    times_us: Sequence[int]
    values: Sequence[float]

    @classmethod
    def of(cls, batch: MetricBatch) -> "Points":
        """The points of a call."""
        keys, steps, times_us, values = batch.keys, batch.steps, batch.times_us, batch.values
        different = set(keys)
        if len(different) == 1 and _increases(steps):
            return cls(keys, steps, times_us, values)
        if len(different) == len(keys):
            order = sorted(range(len(keys)), key=keys.__getitem__)
        else:
            places = list(zip(keys, steps, times_us, strict=True))
            order = sorted(range(len(places)), key=places.__getitem__)
            order = [n for last, n in zip([-1, *order], order, strict=False) if last < 0 or places[last] != places[n]]
        return cls(
            [keys[n] for n in order],
            [steps[n] for n in order],
            [times_us[n] for n in order],
            [values[n] for n in order],
        )

    def __len__(self) -> int:
        return len(self.keys)

    def metrics(self) -> Iterator[tuple[int, int]]:
        """Where the points of each metric begin and end."""
        begin = 0
        if len(self) and self.keys[0] == self.keys[-1]:
            yield 0, len(self)
            return
        for end in range(1, len(self) + 1):
            if end == len(self) or self.keys[end] != self.keys[begin]:
                yield begin, end
                begin = end

    def part(self, begin: int, end: int) -> "Points":
        """Some of the points."""
        return Points(self.keys[begin:end], self.steps[begin:end], self.times_us[begin:end], self.values[begin:end])

    @property
    def columns(self) -> tuple[Any, ...]:
        """The columns, for the driver."""
        return self.keys, self.steps, self.times_us, self.values

    @property
    def ends(self) -> tuple[Any, ...]:
        """Of points of one metric: key, step and time of the first and of the last."""
        return self.keys[0], self.steps[0], self.times_us[0], self.steps[-1], self.times_us[-1]

    @property
    def summary(self) -> tuple[Any, ...]:
        """Of points of one metric: their ends, the last value, the least and the greatest number if there is one, and
        how many they are."""
        numbers = self.values if _all_numbers(self.values) else [value for value in self.values if value == value]
        return *self.ends, self.values[-1], min(numbers, default=None), max(numbers, default=None), len(self)


def _increases(numbers: Sequence[int]) -> bool:
    plain = list(numbers)
    return all(map(operator.lt, plain, plain[1:]))


def _all_numbers(values: Sequence[float]) -> bool:
    """Whether none is NaN; sometimes False where none is (of infinities the sum may be NaN)."""
    total = sum(values)
    return total == total
