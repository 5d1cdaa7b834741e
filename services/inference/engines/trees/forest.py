"""Whether trees that are told by the numbers of their nodes' children end."""

import numpy as np

from services.inference.engines.engine import ModelRefused
from services.inference.tensors.model import Array

MAX_DEPTH = 4096
"""Both libraries walk some of a tree by recursion; no model that was trained comes near."""


def check_forest(sizes: Array, left: Array, right: Array) -> Array:
    """Go on if every way from the root of a tree, its first node, ends in it.

    ``left`` and ``right`` hold the nodes of all trees, one tree after the other, ``sizes`` how many each has. A child
    is counted within its own tree; one below zero is none.

    Returns:
        The nodes that can be reached, by their position in ``left``.

    Raises:
        ModelRefused: a child is outside of its tree, a tree has a cycle, or is too deep.
    """
    starts = np.cumsum(sizes) - sizes
    of_node = np.repeat(np.arange(len(sizes)), sizes)
    for children in (left, right):
        if np.any(children >= sizes[of_node]):
            raise ModelRefused("A tree of the file has a child that is not there.")
    offsets = starts[of_node]
    frontier = starts[sizes > 0]
    reached = [frontier]
    found = len(frontier)
    for _ in range(MAX_DEPTH):
        children = np.concatenate([(each[frontier] + offsets[frontier])[each[frontier] >= 0] for each in (left, right)])
        if not len(children):
            return np.concatenate(reached)
        found += len(children)
        if found > len(left):
            raise ModelRefused("A tree of the file has a cycle: a node is reached twice.")
        reached.append(children)
        frontier = children
    raise ModelRefused(f"A tree of the file is deeper than {MAX_DEPTH} nodes.")
