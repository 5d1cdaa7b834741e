"""What was used lately, within bounds."""

import collections
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The most recently used values whose weights together are at most ``max_weight``. For one thread at a time."""

    def __init__(self, max_weight: int, weigh: Callable[[Value], int]) -> None:
        self._max_weight = max_weight
        self._weigh = weigh
        self._weight = 0
        self._values: collections.OrderedDict[Any, Value] = collections.OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, or None."""
        if key in self._values:
            self._values.move_to_end(key)
        return self._values.get(key)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._weight = 0

    def put(self, key: Key, value: Value) -> None:
        """Remember the value, and forget what was not used for longest."""
        if key in self._values:
            self._weight -= self._weigh(self._values.pop(key))
        self._values[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._max_weight:
            _, oldest = self._values.popitem(last=False)
            self._weight -= self._weigh(oldest)
