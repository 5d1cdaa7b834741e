"""How many values are distinct: HyperLogLog (Flajolet et al. 2007), with Ertl's estimator (2017, arXiv:1702.01284).

The order of the values does not matter.
"""

import math

import numpy as np

from services.dataset.profiles.sketches.hashing import Words

_BITS = 14
_REGISTERS = 1 << _BITS
_REST = 64 - _BITS

STANDARD_ERROR = 1.04 / math.sqrt(_REGISTERS)
"""0.8 %: two of three estimates are nearer than this, 98 of 100 within 2 %."""


class DistinctSketch:
    """16 KiB, however many values are added."""

    def __init__(self) -> None:
        self._registers = np.zeros(_REGISTERS, np.uint8)

    def add(self, hashes: Words) -> None:
        """Take values by their 64-bit hashes (``hashing``)."""
        indices = hashes >> np.uint64(_REST)
        rest = hashes & np.uint64((1 << _REST) - 1)
        # The place of the lowest bit that is set; of no bit, the place after the last.
        lowest = np.bitwise_count((rest & (~rest + np.uint64(1))) - np.uint64(1)) + np.uint8(1)
        ranks = np.minimum(lowest, np.uint8(_REST + 1))
        larger = ranks > self._registers[indices]
        np.maximum.at(self._registers, indices[larger], ranks[larger])

    def estimate(self) -> int:
        """How many distinct values there were."""
        counts = np.bincount(self._registers, minlength=_REST + 2).tolist()
        sum_ = _REGISTERS * _tau(1 - counts[_REST + 1] / _REGISTERS)
        for count in counts[_REST:0:-1]:
            sum_ = 0.5 * (sum_ + count)
        sum_ += _REGISTERS * _sigma(counts[0] / _REGISTERS)
        return round(_REGISTERS**2 / (2 * math.log(2) * sum_))


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x = math.sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) ** 2 * y
    return z / 3
