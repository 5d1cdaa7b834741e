"""What was used lately, within bounds."""

import collections
import math
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The most recently used values whose weights together are at most ``max_weight``. For one thread at a time.

    Args:
        max_weight: of all values together.
        weigh: what a value weighs.
        max_age_s: a value is forgotten so long after it was put here, however often it is used.
        monotonic: the time in seconds.
    """

    def __init__(
        self,
        max_weight: int,
        weigh: Callable[[Value], int],
        *,
        max_age_s: float = math.inf,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_weight = max_weight
        self._weigh = weigh
        self._max_age_s = max_age_s
        self._monotonic = monotonic
        self._weight = 0
        self._values: collections.OrderedDict[Any, tuple[Value, float]] = collections.OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, or None."""
        if key not in self._values:
            return None
        value, put_at = self._values[key]
        if self._monotonic() - put_at >= self._max_age_s:
            self._drop(key)
            return None
        self._values.move_to_end(key)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._weight = 0

    def put(self, key: Key, value: Value) -> None:
        """Remember the value, and forget what was not used for longest."""
        if key in self._values:
            self._drop(key)
        self._values[key] = (value, self._monotonic())
        self._weight += self._weigh(value)
        while self._weight > self._max_weight:
            self._drop(next(iter(self._values)))

    def _drop(self, key: Any) -> None:
        value, _ = self._values.pop(key)
        self._weight -= self._weigh(value)
