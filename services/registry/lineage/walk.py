"""Walks the graph: everything that can be reached, each node and edge once, whatever cycles there are, up to a depth
and a size."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from services.registry.lineage.model import DEFAULT_NODES, MAX_NODES, Count, Direction, Edge, NodeKind, Reach, Reached
from services.registry.lineage.store import LineageStore

_ARCS_PER_NODE = 50
_EDGES_PER_NODE = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Walk:
    """Nodes by distance, the start first; the edges among them; whether the graph goes on."""

    nodes: Sequence[Reached]
    edges: Sequence[Edge]
    truncated: bool

    @property
    def names(self) -> Sequence[str]:
        """The nodes' names."""
        return [node.name for node in self.nodes]


async def reach(
    store: LineageStore,
    starts: Collection[str],
    direction: Direction,
    max_depth: int,
    max_nodes: int,
    kinds: Collection[NodeKind] = (),
) -> Reach:
    """The nodes, of ``kinds`` or of all, that ``starts`` reach in ``direction`` over at most ``max_depth`` edges."""
    max_arcs = (
        _ARCS_PER_NODE * max_nodes
    )  # so that a node with a million edges costs no more than what can be told of it
    return await store.reach(
        starts, direction, max_depth=max_depth, max_nodes=max_nodes, max_arcs=max_arcs, kinds=kinds
    )


async def count(store: LineageStore, starts: Collection[str], max_nodes: int, told: Mapping[NodeKind, int]) -> Count:
    """How much is downstream of ``starts``, by kind, with the names of the nearest, so many of each kind."""
    return await store.count(starts, max_nodes=max_nodes, max_arcs=_ARCS_PER_NODE * max_nodes, told=told)


async def walk(
    store: LineageStore,
    start: str,
    direction: Direction,
    max_depth: int,
    *,
    max_nodes: int = DEFAULT_NODES,
    kinds: Collection[NodeKind] = (),
) -> Walk:
    """What ``start`` reaches, with the edges. With ``kinds`` only nodes of these are told and counted; the walk goes
    through all, at most ``MAX_NODES`` of them."""
    reached = await reach(store, [start], direction, max_depth, MAX_NODES if kinds else max_nodes, kinds)
    nodes = reached.nodes[:max_nodes]
    max_edges = _EDGES_PER_NODE * max_nodes
    found = await store.edges_among(nodes, max_edges + 1)
    place = {node.name: index for index, node in enumerate(nodes)}
    edges = sorted(found[:max_edges], key=lambda edge: (place[edge.second], place[edge.first], edge.run, edge.role))
    truncated = reached.truncated or len(reached.nodes) > len(nodes) or len(found) > max_edges
    return Walk(nodes, edges, truncated)
