"""Lineage in memory."""

from collections.abc import Collection, Mapping, Sequence

from headwater.names import ModelName
from services.registry.lineage.model import (
    MAX_DEPTH,
    Count,
    Dependents,
    Direction,
    Edge,
    Node,
    NodeKind,
    Reach,
    Reached,
    Role,
    kind_of,
)
from services.registry.lineage.store import LineageStore

EdgeKey = tuple[str, str, str, Role]


class MemoryLineage(LineageStore):
    """See LineageStore."""

    def __init__(self, nodes: dict[str, Node], edges: dict[EdgeKey, Edge]) -> None:
        self._nodes = nodes
        self._edges = edges

    async def add_nodes(self, nodes: Sequence[Node]) -> int:
        """See LineageStore."""
        changed = [
            node for node in nodes if node.name not in self._nodes or node.revision > self._nodes[node.name].revision
        ]
        self._nodes.update((node.name, node) for node in changed)
        return len(changed)

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

    async def reach(
        self,
        starts: Collection[str],
        direction: Direction,
        *,
        max_depth: int,
        max_nodes: int,
        max_arcs: int,
        kinds: Collection[NodeKind] = (),
    ) -> Reach:
        """See LineageStore."""
        arcs = self._arcs(direction)
        distances = dict.fromkeys(starts, 0)
        fresh, truncated = list(starts), False
        for distance in range(1, max_depth + 2):
            room = max(max_nodes - len(distances), 0) if distance <= max_depth else 0
            steps = [far for near in fresh for far in arcs.get(near, ())][:max_arcs]
            new = [name for name in dict.fromkeys(steps) if name not in distances]
            fresh = new[:room]
            distances |= dict.fromkeys(fresh, distance)
            truncated = len(new) > room or len(steps) == max_arcs
            if truncated or not fresh:
                break
        nodes = [Reached(name, kind_of(name), distance, 0) for name, distance in distances.items()]
        told = [node for node in nodes if not kinds or node.kind in kinds]
        return Reach(sorted(told, key=lambda node: (node.distance, node.name)), truncated)

    async def count(
        self, starts: Collection[str], *, max_nodes: int, max_arcs: int, told: Mapping[NodeKind, int]
    ) -> Count:
        """See LineageStore."""
        found = await self.reach(
            starts, Direction.DOWNSTREAM, max_depth=MAX_DEPTH, max_nodes=max_nodes, max_arcs=max_arcs
        )
        names: dict[NodeKind, list[str]] = {}
        for node in found.nodes:
            if node.distance:
                names.setdefault(node.kind, []).append(node.name)
        return Count(
            [Dependents(kind, len(names[kind]), names[kind][: told[kind]]) for kind in sorted(names)], found.truncated
        )

    async def edges_among(self, nodes: Sequence[Reached], limit: int) -> Sequence[Edge]:
        """See LineageStore."""
        names = {node.name for node in nodes}
        return [edge for edge in self._edges.values() if edge.first in names and edge.second in names][:limit]

    async def names_below(self, parent: str) -> Sequence[str]:
        """See LineageStore."""
        names = {name for edge in self._edges.values() for name in (edge.first, edge.second, edge.run)}
        return sorted(name for name in names if name.startswith(f"{parent}/"))

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """See LineageStore."""
        old, new = f"{before}/versions/", f"{after}/versions/"

        def renamed(name: str) -> str:
            return new + name.removeprefix(old) if name.startswith(old) else name

        for key, edge in list(self._edges.items()):
            del self._edges[key]
            follows = edge._replace(first=renamed(edge.first), second=renamed(edge.second))
            self._edges[follows.second, follows.first, follows.run, follows.role] = follows

    def _arcs(self, direction: Direction) -> Mapping[str, Collection[str]]:
        arcs: dict[str, dict[str, None]] = {}
        for edge in self._edges.values():
            by_run = ((edge.first, edge.run), (edge.run, edge.second)) if edge.run else ()
            for origin, result in ((edge.first, edge.second), *by_run):
                near, far = (result, origin) if direction is Direction.UPSTREAM else (origin, result)
                if near != far:
                    arcs.setdefault(near, {})[far] = None
        return arcs
