"""Checks the trees of an XGBoost model: children, features, categories, and the output that a tree adds to."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from services.inference.engines.engine import ModelRefused
from services.inference.engines.trees.forest import check_forest
from services.inference.tensors.model import Array

MAX_OUTPUTS = 100_000
_MAX_CATEGORY = 2**24  # above that float32, in which categories come, cannot tell them apart
_MAX_CATEGORY_BYTES = 2**28  # of the bit sets that XGBoost makes of categories, in all
_NO_PARENT = (-1, 2**31 - 1)
_OF_EACH_NODE = ("left_children", "right_children", "parents", "split_indices", "split_conditions", "default_left")
_OF_EACH_NODE_IF_THERE = ("split_type", "base_weights", "loss_changes", "sum_hessian")


def check_trees(model: Mapping[str, Any], features: int, outputs: int) -> int:
    """How many trees there are, if all are sound.

    Raises:
        ModelRefused: saying what is wrong with one.
        KeyError, TypeError, ValueError, AttributeError: the model is not of the form that XGBoost writes.
    """
    trees: Sequence[Mapping[str, Any]] = model["trees"]
    if model.get("cats", {}).get("enc"):
        raise ModelRefused(
            "The model was trained on categories of a data frame, which no tensor carries: train it on their codes."
        )
    of_output = _integers(model["tree_info"])
    if count(model["gbtree_model_param"], "num_trees", 0, 2**31) != len(trees) or len(of_output) != len(trees):
        raise ModelRefused(f"The file has {len(trees)} trees and says otherwise.")
    if np.any(of_output < 0) or np.any(of_output >= outputs):
        raise ModelRefused(f"A tree of the file adds to an output that is not there; there are {outputs}.")
    begins = _integers(model.get("iteration_indptr", [0, len(trees)]))
    if begins[0] != 0 or begins[-1] != len(trees) or np.any(np.diff(begins) < 0):
        raise ModelRefused("The file counts the trees of its rounds wrongly.")
    if trees:
        _check_nodes(trees, features)
    return len(trees)


def _check_nodes(trees: Sequence[Mapping[str, Any]], features: int) -> None:
    sizes = np.array([_check_sizes(position, tree) for position, tree in enumerate(trees)])
    left, right, parents, splits = (
        np.concatenate([_integers(tree[name]) for tree in trees])
        for name in ("left_children", "right_children", "parents", "split_indices")
    )
    if min(left.min(), right.min()) < -1:
        raise ModelRefused("A node of the file has a child of a negative number.")
    reached = check_forest(sizes, left, right)
    inner = reached[left[reached] >= 0]
    if np.any((left[reached] < 0) != (right[reached] < 0)):
        raise ModelRefused("A node of the file has one child; it must have two or none.")
    if np.any(splits[inner] < 0) or np.any(splits[inner] >= features):
        raise ModelRefused(f"A tree of the file asks for a feature that is not there; there are {features}.")
    kinds = np.concatenate([_kinds(tree, size) for tree, size in zip(trees, sizes, strict=True)])
    numeric = inner[kinds[inner] == 0]
    if np.any(right[numeric] != left[numeric] + 1):  # by which XGBoost finds the right one
        raise ModelRefused("Two children of a node of the file are not beside each other.")
    roots = (np.cumsum(sizes) - sizes)[sizes > 0]
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)[inner]
    children = np.concatenate([left[inner] + starts, right[inner] + starts])
    known = parents[children] == np.tile(inner - starts, 2)
    if not np.all(known) or not np.all(np.isin(parents[roots], _NO_PARENT)):
        raise ModelRefused("A node of the file names another parent than it has.")
    room = _MAX_CATEGORY_BYTES
    for tree in trees:
        room -= _check_categories(tree)
        if room < 0:
            raise ModelRefused("The categories of the file would take more memory than a model may.")


def _check_sizes(position: int, tree: Mapping[str, Any]) -> int:
    """How many nodes a tree has, of each of which everything must be told."""
    parameters = tree["tree_param"]
    if int(tree["id"]) != position:
        raise ModelRefused("The trees of the file are not in order.")
    if count(parameters, "size_leaf_vector", 0, MAX_OUTPUTS, "0") > 1:
        raise ModelRefused("Trees with several outputs in a leaf (multi_output_tree) are not served.")
    size = count(parameters, "num_nodes", 1, 2**31)
    told = [*_OF_EACH_NODE, *(name for name in _OF_EACH_NODE_IF_THERE if name in tree)]
    if any(len(tree[name]) != size for name in told):
        raise ModelRefused(f"Tree {position} of the file has {size} nodes and says more or less of them.")
    return size


def _check_categories(tree: Mapping[str, Any]) -> int:
    """The bytes that XGBoost takes for the categories of a tree."""
    if "split_type" not in tree:
        return 0
    categorical = np.flatnonzero(_integers(tree["split_type"]))
    nodes, begins, counts, categories = (
        _integers(tree[f"categories{part}"]) for part in ("_nodes", "_segments", "_sizes", "")
    )
    if not len(categorical) and not len(nodes):
        return 0
    if not np.array_equal(nodes, categorical) or len(begins) != len(nodes) or len(counts) != len(nodes):
        raise ModelRefused("A tree of the file does not tell the categories of its nodes.")
    if np.any(begins < 0) or np.any(counts < 1) or np.any(begins + counts > len(categories)):
        raise ModelRefused("A tree of the file has categories that are not there.")
    if np.any(categories < 0) or np.any(categories >= _MAX_CATEGORY):
        raise ModelRefused(f"A category of the file is not between 0 and {_MAX_CATEGORY}.")
    sets = zip(begins, counts, strict=True)
    return sum(int(categories[begin : begin + length].max()) // 8 + 8 for begin, length in sets)


def _kinds(tree: Mapping[str, Any], size: int) -> Array:
    """Of each node whether it decides by categories, which models before XGBoost 1.3 do not tell."""
    return _integers(tree.get("split_type", np.zeros(size)))


def count(parameters: Mapping[str, Any], name: str, least: int, most: int, default: str | None = None) -> int:
    """A number that the model tells as text.

    Raises:
        ModelRefused: it is outside of the bounds.
    """
    value = parameters[name] if default is None else parameters.get(name, default)
    if not least <= int(value) <= most:
        raise ModelRefused(f"{name} must be between {least} and {most}; it is {str(value)[:20]}.")
    return int(value)


def _integers(values: Any) -> Array:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iufb"):
        raise TypeError("numbers are wanted")
    if array.dtype.kind == "f" and not np.all(np.trunc(array) == array):
        raise ModelRefused("A number of the file is not whole where it must be.")
    if array.size and not -(2**62) < array.min() <= array.max() < 2**62:
        raise ModelRefused("A number of the file is larger than any that counts something.")
    return array.astype(np.int64)
