"""The nodes of splits' trees; pure."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

from headwater import tree
from headwater.tree.merkle import groups, split_node
from services.dataset.model import Tree


class Leaf(Protocol):
    """What a tree has to know of a chunk."""

    @property
    def digest(self) -> bytes:
        """Its digest."""
        ...

    @property
    def row_count(self) -> int:
        """Its rows, at least one."""
        ...

    @property
    def size_bytes(self) -> int:
        """Their canonical bytes."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Child:
    """A chunk, or a node, as the node above it knows it."""

    digest: bytes
    row_count: int
    size_bytes: int
    chunk_count: int
    """Chunks below it; 1 for a chunk."""


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A node: what is below its digest never changes."""

    digest: bytes
    level: int
    """1 when the children are chunks, else one more than the children's."""
    children: tuple[Child, ...]
    """In row order. Only the one node of a split without rows has none."""

    @property
    def row_count(self) -> int:
        """Rows below it."""
        return sum(child.row_count for child in self.children)

    @property
    def size_bytes(self) -> int:
        """Canonical bytes of these rows."""
        return sum(child.size_bytes for child in self.children)

    @property
    def chunk_count(self) -> int:
        """Chunks below it."""
        return sum(child.chunk_count for child in self.children)

    @property
    def as_child(self) -> Child:
        """As the node above it knows it."""
        return Child(self.digest, self.row_count, self.size_bytes, self.chunk_count)

    def as_tree(self, layout: bytes) -> Tree:
        """As the root of a split."""
        return Tree(self.digest, layout, self.row_count, self.size_bytes, self.chunk_count)


def child_of(chunk: Leaf) -> Child:
    """A chunk as the node above it knows it."""
    return Child(chunk.digest, chunk.row_count, chunk.size_bytes, 1)


def node_above(level: int, children: Sequence[Child]) -> Node:
    """The node that stands above ``children``."""
    return Node(split_node(children).digest, level, tuple(children))


def nodes_above(children: Iterable[Child], level: int = 1) -> list[Node]:
    """All nodes above the chunks, or the nodes, of a split: from ``level`` up to the root, which is the last."""
    nodes: list[Node] = []
    below = list(children)
    while True:
        made = [node_above(level, group) for group in groups(below)]
        nodes += made
        if len(made) == 1:
            return nodes
        below, level = [node.as_child for node in made], level + 1


def empty_tree(layout: bytes) -> Tree:
    """The tree of a split without rows."""
    return Tree(tree.split_root([]).digest, layout, 0, 0, 0)
