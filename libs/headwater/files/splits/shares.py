"""How large splits are to be."""

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from headwater.files.errors import InvalidSplitBy
from headwater.names import check_segment

DEFAULT: Mapping[str, Fraction] = {"train": Fraction(8, 10), "validation": Fraction(1, 10), "test": Fraction(1, 10)}


def check_shares(shares: Mapping[str, Fraction], seed: int) -> None:
    """Raise InvalidName or InvalidSplitBy unless these are shares of a whole, and a seed."""
    if not shares:
        raise InvalidSplitBy("There must be at least one split.")
    for name, share in shares.items():
        check_segment(name, "split")
        if share <= 0:
            raise InvalidSplitBy(f"The share of {name} must be above 0, not {share}.", split=name)
    if sum(shares.values()) != 1:
        raise InvalidSplitBy(f"The shares of the splits must add up to 1, not {sum(shares.values())}.")
    if not 0 <= seed < 2**64:
        raise InvalidSplitBy("A seed is a number from 0 to 2^64 - 1.")


def ends(shares: Mapping[str, Fraction]) -> list[Fraction]:
    """Where each split but the last ends, as a part of the whole."""
    parts = list(shares.values())
    return [sum(parts[:count], Fraction(0)) for count in range(1, len(parts))]


def largest_remainder(counts: npt.NDArray[np.int64], shares: Mapping[str, Fraction]) -> npt.NDArray[np.int64]:
    """How many of each count are for each split: what is exact, rounded down, and one more for those that lose most.

    Of equal losses the earlier split gets it. Returns one row for each count, one column for each split, in Python's
    exact integers as far as it matters: no rounding of floating point moves a row.
    """
    common = math.lcm(*(share.denominator for share in shares.values()))
    parts = np.array([int(share * common) for share in shares.values()], object)
    exact = counts.astype(object)[:, None] * parts[None, :]
    whole = (exact // common).astype(np.int64)
    lost = exact % common
    missing = counts - whole.sum(axis=1)
    order = np.argsort(-lost, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
    result: npt.NDArray[np.int64] = whole + (rank < missing[:, None])
    return result
