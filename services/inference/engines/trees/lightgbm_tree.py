"""Checks a tree of LightGBM's text: children, features, categories, and how many numbers tell of each."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from services.inference.engines.trees.lightgbm_lines import count, integers, lines_of, numbers, wrong
from services.inference.tensors.model import Array

_MAX_LEAVES = 2**28
_CATEGORICAL, _MISSING_SHIFT, _MISSING_KINDS = 1, 2, 3
_OF_EACH_NODE = ("left_child", "right_child", "split_feature", "decision_type")
_TOLD = frozenset(
    {"split_gain", "internal_value", "internal_weight", "internal_count", "leaf_count", "leaf_weight", "shrinkage"}
)
_LINEAR = frozenset({"is_linear", "leaf_const", "num_features", "leaf_features", "leaf_coeff"})
_CATEGORIES = frozenset({"num_cat", "cat_boundaries", "cat_threshold"})
_KNOWN = frozenset({*_OF_EACH_NODE, *_TOLD, *_LINEAR, *_CATEGORIES, "num_leaves", "threshold", "leaf_value"})


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """A tree whose numbers point nowhere outside; a child below zero is a leaf."""

    lines: Mapping[str, str]
    left: Array
    right: Array


def check_tree(number: int, text: str, features: int) -> Tree:
    """The tree in ``text``, which begins with its number; lines that LightGBM does not read are left out.

    Raises:
        ModelRefused: saying what is wrong with it.
    """
    first, _, rest = text.partition("\n")
    if first != str(number):
        raise wrong(f"tree {number} is missing")
    lines = {key: value for key, value in lines_of(rest).items() if key in _KNOWN}
    leaves = count(lines, "num_leaves", _MAX_LEAVES)
    if leaves < 1:
        raise wrong(f"tree {number} has no leaf")
    numbers(lines, "leaf_value", leaves)
    _check_linear(lines, leaves, features)
    if leaves == 1:
        return Tree(lines, np.zeros(0, np.int64), np.zeros(0, np.int64))
    for name in _TOLD.intersection(lines):
        numbers(lines, name, 1 if name == "shrinkage" else leaves if name.startswith("leaf") else leaves - 1)
    left, right, splits, kinds = (integers(lines, name, leaves - 1) for name in _OF_EACH_NODE)
    thresholds = numbers(lines, "threshold", leaves - 1)
    if splits.min() < 0 or splits.max() >= features:
        raise wrong(f"tree {number} asks for a feature that is not there; there are {features}")
    if min(left.min(), right.min()) < -leaves:
        raise wrong(f"tree {number} has a leaf that is not there; there are {leaves}")
    if kinds.min() < 0 or (kinds >> _MISSING_SHIFT).max() >= _MISSING_KINDS:
        raise wrong(f"tree {number} has a kind of decision that is not known")
    _check_categories(number, lines, thresholds[kinds & _CATEGORICAL != 0])
    return Tree(lines, np.maximum(left, -1), np.maximum(right, -1))


def _check_categories(number: int, lines: Mapping[str, str], chosen: Array) -> None:
    """``chosen`` are the sets of categories that decisions use, by their numbers."""
    sets = count(lines, "num_cat", _MAX_LEAVES)
    if not sets:
        if len(chosen):
            raise wrong(f"tree {number} has no categories and decides by them")
        return
    bounds = integers(lines, "cat_boundaries", sets + 1)
    words = integers(lines, "cat_threshold", None)
    if bounds[0] != 0 or bounds[-1] != len(words) or np.any(np.diff(bounds) < 0):
        raise wrong(f"tree {number} has categories that are not there")
    if len(words) and not 0 <= words.min() <= words.max() < 2**32:
        raise wrong(f"tree {number} has a set of categories that is none")
    if not np.all((chosen >= 0) & (chosen < sets) & (np.trunc(chosen) == chosen)):
        raise wrong(f"tree {number} decides by categories that are not there")


def _check_linear(lines: Mapping[str, str], leaves: int, features: int) -> None:
    """Of trees with a linear function in each leaf."""
    if lines.get("is_linear", "0") == "0":
        return
    if lines["is_linear"] != "1":
        raise wrong("is_linear must be 0 or 1")
    numbers(lines, "leaf_const", leaves)
    counts = integers(lines, "num_features", leaves)
    if counts.min() < 0 or counts.max() > features:
        raise wrong("a leaf uses more features than there are")
    used = integers(lines, "leaf_features", int(counts.sum()))
    numbers(lines, "leaf_coeff", int(counts.sum()))
    if len(used) and not 0 <= used.min() <= used.max() < features:
        raise wrong(f"a leaf uses a feature that is not there; there are {features}")
