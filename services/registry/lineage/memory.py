"""Lineage in memory."""

import dataclasses
from collections.abc import Collection, Sequence

from headwater.names import ModelName
from services.registry.lineage.model import Direction, Edge, Node, Role
from services.registry.lineage.store import LineageStore

EdgeKey = tuple[str, str, str, Role]


class MemoryLineage(LineageStore):
    """See LineageStore."""

    def __init__(self, nodes: dict[str, Node], edges: dict[EdgeKey, Edge]) -> None:
        self._nodes = nodes
        self._edges = edges

    async def add_nodes(self, nodes: Sequence[Node]) -> None:
        """See LineageStore."""
        for node in nodes:
            self._nodes.setdefault(node.name, node)

    async def find_nodes(self, names: Collection[str]) -> Sequence[Node]:
        """See LineageStore."""
        return [self._nodes[name] for name in set(names) if name in self._nodes]

    async def add_edges(self, edges: Sequence[Edge]) -> int:
        """See LineageStore."""
        before = len(self._edges)
        for edge in edges:
            self._edges.setdefault((edge.second, edge.first, edge.run, edge.role), edge)
        return len(self._edges) - before

    async def edges(self, names: Collection[str], direction: Direction, limit: int) -> Sequence[Edge]:
        """See LineageStore."""
        wanted = frozenset(names)
        return [
            edge
            for _, edge in sorted(self._edges.items())
            if (edge.second if direction is Direction.UPSTREAM else edge.first) in wanted or edge.run in wanted
        ][:limit]

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """See LineageStore."""
        old, new = f"{before}/versions/", f"{after}/versions/"

        def renamed(name: str) -> str:
            return new + name.removeprefix(old) if name.startswith(old) else name

        for key, edge in list(self._edges.items()):
            del self._edges[key]
            follows = dataclasses.replace(edge, first=renamed(edge.first), second=renamed(edge.second))
            self._edges[follows.second, follows.first, follows.run, follows.role] = follows
