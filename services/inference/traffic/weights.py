"""Shares out requests by weight: by chance, or by a key that always gets the same answerer.

By key it is weighted rendezvous hashing: every answerer draws a time from the exponential distribution of its weight,
by a hash of the key and its own name, and the earliest wins. So a key's answerer depends on nothing but the key, the
names and the weights; a weight that grows only pulls keys to its answerer, one that shrinks only lets keys go. Between
two answerers a change of the weights moves exactly the share by which they change. Among more, a change that moves the
share d moves at most 2d/(1+d) of the keys, which nobody can better who looks at one key and the present weights only
(Bavarian, Ghazi, Haramaty, Kamath, Rivest, Sudan: Optimality of Correlated Sampling Strategies, 2020).
"""

import bisect
import hashlib
import itertools
import math
import random
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")

_BITS = 52  # so that a hash and a half of its last bit is exactly a float below 1


class Weights(Generic[T]):
    """Answerers by name, each with its weight. Those of weight 0 are never chosen.

    ``salt`` tells one sharing-out from another: a key that gets the small share in one need not get it in the next.
    """

    def __init__(
        self, shares: Mapping[str, tuple[T, float]], salt: str, chance: Callable[[], float] = random.random
    ) -> None:
        drawn = {name: (each, weight) for name, (each, weight) in shares.items() if weight > 0}
        self._answerers = [each for each, _ in drawn.values()]
        self._weights = [weight for _, weight in drawn.values()]
        self._salts = [hashlib.blake2b(f"{salt}\0{name}".encode(), digest_size=32).digest() for name in drawn]
        self._bounds = list(itertools.accumulate(self._weights))
        self._chance = chance

    def any(self) -> T:
        """One by chance, each as often as its weight says."""
        drawn = bisect.bisect_right(self._bounds, self._chance() * self._bounds[-1])
        return self._answerers[min(drawn, len(self._answerers) - 1)]  # rounding may reach the last bound itself

    def of(self, key: str) -> T:
        """The one of this key."""
        content = key.encode("utf-8", "surrogatepass")
        times = [_uniform(content, salt) for salt in self._salts]
        races = [-math.log(time) / weight for time, weight in zip(times, self._weights, strict=True)]
        return self._answerers[races.index(min(races))]


def _uniform(content: bytes, salt: bytes) -> float:
    hashed = int.from_bytes(hashlib.blake2b(content, digest_size=8, key=salt).digest(), "big")
    return math.ldexp((hashed >> (64 - _BITS)) + 0.5, -_BITS)
