"""Walks the graph breadth first: each node and edge once, whatever cycles there are, up to a depth and a size.

One query per level, and not one recursive query: SQL's recursion cannot at the same time stop at a depth and visit a
node only once, so that a graph with many ways between two nodes would cost as much as it has ways.
"""

import dataclasses
from collections.abc import Collection, Iterator, Sequence

from services.registry.lineage.model import MAX_EDGES, MAX_NODES, Direction, Edge
from services.registry.lineage.store import LineageStore


@dataclasses.dataclass(frozen=True, slots=True)
class Walk:
    """Names by distance, the start first; the edges among them; whether the graph goes on."""

    names: Sequence[str]
    edges: Sequence[Edge]
    truncated: bool


async def walk(
    store: LineageStore,
    start: str | Collection[str],
    direction: Direction,
    max_depth: int,
    *,
    max_nodes: int = MAX_NODES,
    max_edges: int = MAX_EDGES,
) -> Walk:
    """Everything that ``start``, one node or several, reaches in ``direction`` over at most ``max_depth`` edges."""
    frontier: Collection[str] = [start] if isinstance(start, str) else list(start)
    names = dict.fromkeys(frontier)  # in the order of distance
    edges: dict[str, Edge] = {}
    truncated = False
    for depth in range(max_depth + 1):
        found = await store.edges(frontier, direction, max_edges + 1)
        if len(edges) + len(found) > max_edges:
            truncated = True
            break
        edges.update((edge.id, edge) for edge in found)
        fresh = dict.fromkeys(name for edge in found for name in _next(edge, frontier, direction) if name not in names)
        room = max_nodes - len(names) if depth < max_depth else 0
        truncated |= len(fresh) > room
        frontier = list(fresh)[:room]
        names |= dict.fromkeys(frontier)
        if not frontier:
            break
    among = [edge for edge in edges.values() if edge.first in names and edge.second in names]
    return Walk(list(names), among, truncated)


def _next(edge: Edge, frontier: Collection[str], direction: Direction) -> Iterator[str]:
    """Where ``edge`` leads, coming from one of ``frontier``."""
    near, far = (edge.second, edge.first) if direction is Direction.UPSTREAM else (edge.first, edge.second)
    yield far
    if edge.run and near in frontier:
        yield edge.run
