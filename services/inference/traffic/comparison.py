"""How far two answers to one question differ."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from services.inference.tensors.model import Array, Tensor

_FLOATS = frozenset({"FP16", "BF16", "FP32", "FP64"})


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """What comparing found.

    Attributes:
        identical: whether the two are the same to the bit, and so have the same digest.
        agrees: whether they say the same (see :func:`compare`).
        largest: the largest absolute difference of two numbers; infinite where one of them is not finite and the other
            is another, or where the outputs have other names, types or shapes.
    """

    identical: bool
    agrees: bool
    largest: float


@dataclasses.dataclass(slots=True)
class Comparisons:
    """What was found for one version since it was loaded, as plain numbers. Changed in the event loop only."""

    compared: int = 0
    identical: int = 0
    agreed: int = 0
    largest: float = 0.0
    failed: int = 0
    """Copies to which it gave no answer."""
    dropped: int = 0
    """Copies that it did not get, because it was behind."""

    def add(self, difference: Difference) -> None:
        """Count one comparison."""
        self.compared += 1
        self.identical += difference.identical
        self.agreed += difference.agrees
        self.largest = max(self.largest, difference.largest)

    @property
    def asked(self) -> int:
        """The copies that it got; one without an answer does not agree."""
        return self.compared + self.failed


def compare(given: Sequence[Tensor], other: Sequence[Tensor], tolerance: float) -> Difference:
    """How far ``other`` is from the answer that was given.

    Two answers agree when all their outputs do. Texts, booleans and whole numbers agree when they are equal.
    Floating-point numbers agree when none differs by more than ``tolerance``; where that is 0, they also agree when the
    largest along the last dimension is everywhere at the same place: two classifiers that choose the same classes.
    """
    if [(each.name, each.datatype, each.array.shape) for each in given] != [
        (each.name, each.datatype, each.array.shape) for each in other
    ]:
        return Difference(identical=False, agrees=False, largest=math.inf)
    found = [_compare(mine, theirs, tolerance) for mine, theirs in zip(given, other, strict=True)]
    return Difference(
        identical=all(each.identical for each in found),
        agrees=all(each.agrees for each in found),
        largest=max((each.largest for each in found), default=0.0),
    )


def _compare(given: Tensor, other: Tensor, tolerance: float) -> Difference:
    mine, theirs = given.array, other.array
    if mine.dtype.hasobject:
        equal = mine.tolist() == theirs.tolist()
        return Difference(equal, equal, 0.0 if equal else math.inf)
    identical = mine.tobytes() == theirs.tobytes()
    if identical:
        return Difference(identical=True, agrees=True, largest=0.0)
    largest = _largest(mine.astype(np.float64), theirs.astype(np.float64))
    if given.datatype not in _FLOATS:
        return Difference(identical=False, agrees=False, largest=largest)
    agrees = largest <= tolerance or (tolerance == 0 and _same_choice(mine, theirs))
    return Difference(identical=False, agrees=agrees, largest=largest)


def _largest(mine: Array, theirs: Array) -> float:
    # The same not-a-number or the same infinity on both sides is no difference, and inf - inf would be one.
    same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(same, 0.0, np.abs(mine - theirs))
    return float(np.where(np.isnan(differences), math.inf, differences).max(initial=0.0))


def _same_choice(mine: Array, theirs: Array) -> bool:
    if mine.ndim == 0 or mine.shape[-1] < 2:
        return False
    return bool(np.array_equal(mine.argmax(axis=-1), theirs.argmax(axis=-1)))
