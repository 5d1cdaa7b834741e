"""Replacing chunks in a tree, at the cost of the nodes above them.

Which children a node has depends on nothing but the children from its first one on. So the nodes above what changed are
made anew from where the first of them began, until one ends where a node ended before: from there on the old nodes are
right. The result is the tree that all chunks together would give.
"""

import dataclasses
from collections.abc import Sequence

from headwater.tree.merkle import ends_group
from services.dataset.model import Tree
from services.dataset.trees.model import Child, Node, node_above, nodes_above
from services.dataset.trees.walk import Nodes, Placed, children_of


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What holds the rows from ``first_row`` up to ``end_row`` of the old tree goes, and ``children`` come there."""

    first_row: int
    end_row: int
    children: tuple[Child, ...]


async def replace(nodes: Nodes, tree: Tree, changes: Sequence[Change]) -> tuple[Tree, list[Node]]:
    """The tree with other chunks in some places, and its nodes that are new; among them may be some that are not.

    The changes come in order and do not overlap; each begins and ends where chunks of the old tree do.
    """
    old, made, level = _Old(nodes, tree), list[Node](), 0
    changes = _joined(changes)
    while changes:
        level += 1
        regrouping = _Regrouping(old, level, changes)
        changes = _joined(await regrouping.run())
        made += regrouping.made
        is_top = level == await old.height()
        level_nodes = await _whole(old, level, changes, None if is_top else 2)
        if len(level_nodes) == 1:
            (root,) = level_nodes
            return Tree(root.digest, tree.layout, root.row_count, root.size_bytes, root.chunk_count), made
        if is_top:  # the level of the old root has several nodes now, and those above are all new
            made += nodes_above(level_nodes, level + 1)
            return made[-1].as_tree(tree.layout), made
    return tree, made


class _Old:
    """The tree as it was."""

    def __init__(self, nodes: Nodes, tree: Tree) -> None:
        self._nodes = nodes
        self._layout = tree.layout
        self._root = Placed(Child(tree.root, tree.row_count, tree.size_bytes, tree.chunk_count), 0)
        self.row_count = tree.row_count

    async def height(self) -> int:
        """The root's level."""
        return (await self._node(self._root)).level

    async def at(self, level: int, row: int) -> tuple[Placed, list[Placed]]:
        """The node of a level that holds a row, or the last one for the end of the rows; and its children."""
        place = self._root
        while True:
            node = await self._node(place)
            below = children_of(place, {node.digest: node})
            if node.level == level:
                return place, below
            place = next(child for child in reversed(below) if child.first_row <= row)

    async def _node(self, place: Placed) -> Node:
        return (await self._nodes.get_nodes(self._layout, [place.child.digest]))[place.child.digest]


class _Regrouping:
    """Makes the nodes of one level anew where changes are among their children."""

    def __init__(self, old: _Old, level: int, changes: Sequence[Change]) -> None:
        self._old = old
        self._level = level
        self._changes = list(reversed(changes))
        self._group: list[Child] = []
        self._closed: list[Child] = []
        self.made: list[Node] = []

    async def run(self) -> list[Change]:
        """The changes among the nodes of this level."""
        found = []
        while self._changes:
            found.append(await self._from_next())
        return found

    async def _from_next(self) -> Change:
        """From the node that the next change begins in up to one that ends where a node ended before."""
        row = self._changes[-1].first_row
        place, below = await self._old.at(self._level, row)
        for child in below:
            if child.first_row < row:
                self._feed(child.child)
        while True:
            if self._changes and self._changes[-1].first_row == row:
                change = self._changes.pop()
                for new in change.children:
                    self._feed(new)
                row = change.end_row
            if row == self._old.row_count:
                break
            now, below = await self._old.at(self._level, row)
            if not self._group and now.first_row == row:
                break
            following = next(child for child in below if child.first_row == row)
            self._feed(following.child)
            row = following.end_row
        return Change(place.first_row, row, self._take(is_whole=place.first_row == 0 and row == self._old.row_count))

    def _feed(self, child: Child) -> None:
        self._group.append(child)
        if ends_group(child, len(self._group)):
            self._close()

    def _close(self) -> None:
        node = node_above(self._level, self._group)
        self.made.append(node)
        self._closed.append(node.as_child)
        self._group = []

    def _take(self, *, is_whole: bool) -> tuple[Child, ...]:
        # The last group ends with the level; a level without children has one, too.
        if self._group or (is_whole and not self._closed):
            self._close()
        closed, self._closed = tuple(self._closed), []
        return closed


async def _whole(old: _Old, level: int, changes: Sequence[Change], limit: int | None) -> list[Child]:
    """All nodes that the level has after the changes, or so many of them that they are at least ``limit``."""
    found: list[Child] = []
    row = 0
    for change in [*changes, Change(old.row_count, old.row_count, ())]:
        while row < change.first_row and (limit is None or len(found) < limit):
            place, _ = await old.at(level, row)
            found.append(place.child)
            row = place.end_row
        found += change.children
        row = change.end_row
    return found


def _joined(changes: Sequence[Change]) -> list[Change]:
    """The changes, those that meet as one."""
    joined: list[Change] = []
    for change in changes:
        if joined and joined[-1].end_row == change.first_row:
            last = joined.pop()
            change = Change(last.first_row, change.end_row, last.children + change.children)
        joined.append(change)
    return joined
