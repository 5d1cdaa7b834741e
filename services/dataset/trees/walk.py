"""Walking down a tree, only where it is needed."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

from services.dataset.model import Tree
from services.dataset.trees.model import Child, Node


class Nodes(Protocol):
    """Where nodes come from."""

    async def get_nodes(self, layout: bytes, digests: Sequence[bytes]) -> Mapping[bytes, Node]:
        """See ``trees.store.Trees``."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """A node or a chunk and the number of its first row within the split."""

    child: Child
    first_row: int

    @property
    def end_row(self) -> int:
        """The number of the row after its last one."""
        return self.first_row + self.child.row_count


async def chunks_in(nodes: Nodes, tree: Tree, first_row: int, end_row: int, limit: int | None = None) -> list[Placed]:
    """The first ``limit`` of the chunks that hold these rows, at the cost of the nodes above them."""
    root = Child(tree.root, tree.row_count, tree.size_bytes, tree.chunk_count)
    places, level = [Placed(root, 0)], None
    while places and level != 1:
        found = await nodes.get_nodes(tree.layout, [place.child.digest for place in places])
        level = found[places[0].child.digest].level
        below: list[Placed] = []
        for place in places:
            below += [inner for inner in children_of(place, found) if _overlaps(inner, first_row, end_row)]
        places = below if limit is None else _enough(below, first_row, limit)
    return places


def children_of(place: Placed, nodes: Mapping[bytes, Node]) -> list[Placed]:
    """The children of a node that is among ``nodes``, in their places."""
    row, placed = place.first_row, []
    for child in nodes[place.child.digest].children:
        placed.append(Placed(child, row))
        row += child.row_count
    return placed


def _overlaps(place: Placed, first_row: int, end_row: int) -> bool:
    return place.first_row < end_row and place.end_row > first_row


def _enough(places: list[Placed], first_row: int, limit: int) -> list[Placed]:
    """As many of the places as ``limit`` chunks certainly lie below, of which the first may begin before the rows."""
    count = 0
    for number, place in enumerate(places, 1):
        # Of the place that holds ``first_row`` perhaps only the last chunk is wanted.
        count += place.child.chunk_count if place.first_row >= first_row else 1
        if count >= limit:
            return places[:number]
    return places
