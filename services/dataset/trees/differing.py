"""Where two trees differ: from their roots down, and below equal digests nowhere.

Nodes end where their children say, so equal runs of chunks lie below equal nodes, wherever in the split they are. It
takes the nodes above what differs, and those beside them, to tell.
"""

import dataclasses
from collections.abc import Sequence

from services.dataset.model import Tree
from services.dataset.trees.align import align
from services.dataset.trees.model import Child
from services.dataset.trees.walk import Nodes, Placed, children_of


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """Consecutive nodes, or chunks, of one tree; perhaps none."""

    places: tuple[Placed, ...]
    first_row: int
    """Where they are, or would be."""

    @property
    def digests(self) -> list[bytes]:
        """Their digests."""
        return [place.child.digest for place in self.places]

    @property
    def end_row(self) -> int:
        """Just behind their last row."""
        return self.places[-1].end_row if self.places else self.first_row

    def part(self, first: int, count: int) -> "Run":
        """Some of them."""
        before = self.places[first - 1].end_row if first else self.first_row
        return Run(self.places[first : first + count], before)


@dataclasses.dataclass(frozen=True, slots=True)
class Region:
    """Chunks of two trees that stand at the same place and differ; all chunks between two regions are equal."""

    base: Run
    other: Run


async def differing(nodes: Nodes, base: Tree, other: Tree) -> list[Region]:
    """The regions of chunks in which the two trees differ, in order."""
    walks = _Walk(nodes, base), _Walk(nodes, other)
    regions = [] if base.root == other.root else [Region(walks[0].root, walks[1].root)]
    levels = [await walk.height() for walk in walks] if regions else [0, 0]
    while any(levels):
        top = max(levels)
        sides = [[region.base for region in regions], [region.other for region in regions]]
        for number, walk in enumerate(walks):
            if levels[number] == top:
                sides[number] = await walk.down(sides[number])
                levels[number] -= 1
        regions = [Region(*pair) for pair in zip(*sides, strict=True)]
        if levels[0] == levels[1]:
            regions = [part for region in regions for part in _apart(region)]
    return regions


class _Walk:
    """One of the trees."""

    def __init__(self, nodes: Nodes, tree: Tree) -> None:
        self._nodes = nodes
        self._layout = tree.layout
        root = Placed(Child(tree.root, tree.row_count, tree.size_bytes, tree.chunk_count), 0)
        # A tree without rows has no chunks: it need not even be stored.
        self.root = Run((root,) if tree.row_count else (), 0)

    async def height(self) -> int:
        """The root's level; 0 when there is nothing below it."""
        found = [await self._nodes.get_nodes(self._layout, [digest]) for digest in self.root.digests]
        return max((node.level for nodes in found for node in nodes.values()), default=0)

    async def down(self, sides: Sequence[Run]) -> list[Run]:
        """The same with the children of the nodes in their place."""
        digests = {digest for side in sides for digest in side.digests}
        found = await self._nodes.get_nodes(self._layout, sorted(digests)) if digests else {}
        return [
            Run(tuple(child for place in side.places for child in children_of(place, found)), side.first_row)
            for side in sides
        ]


def _apart(region: Region) -> list[Region]:
    """The parts of a region that differ."""
    return [
        Region(region.base.part(hunk.first, hunk.count), region.other.part(hunk.other_first, hunk.other_count))
        for hunk in align(region.base.digests, region.other.digests)
    ]
