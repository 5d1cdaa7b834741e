"""What must be remembered of lineage; runs, model versions and artifacts are nodes by themselves."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from headwater.names import ModelName
from services.registry.lineage.model import Count, Direction, Edge, Node, NodeKind, Reach, Reached


class LineageStore(Protocol):
    """The graph, as one transaction sees it.

    Nothing is ever removed, and nothing changes but the names of models and what is said of a deployment.
    """

    async def add_nodes(self, nodes: Sequence[Node]) -> int:
        """Add nodes, each of which has another name. One that is there stays as it is, unless the given one has a
        higher revision. Returns how many were added or changed."""

    async def find_nodes(self, names: Collection[str]) -> Sequence[Node]:
        """Those of the added nodes that have these names, in no particular order."""

    async def add_edges(self, edges: Sequence[Edge]) -> int:
        """Add edges; one that is there stays as it is. Returns how many were new."""

    async def edges(self, names: Collection[str], direction: Direction, limit: int) -> Sequence[Edge]:
        """Edges that lead on from ``names``: upstream those into them, downstream those out of them, and in both
        directions those that were made by a run among them."""

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
        """What can be reached from ``starts`` over at most ``max_depth`` edges, each node once, the nearest first: at
        most ``max_nodes``, beginning with ``starts``, and of each level what ``max_arcs`` steps lead to.

        An edge leads from its first to its second and, where a run made it, from the first to the run and from the run
        to the second. With ``kinds`` only nodes of these are told; the walk goes through all.
        """

    async def count(
        self, starts: Collection[str], *, max_nodes: int, max_arcs: int, told: Mapping[NodeKind, int]
    ) -> Count:
        """How much is downstream of ``starts``, by kind, with the names of the nearest, of each kind as many as
        ``told`` says. ``max_nodes`` and ``max_arcs`` are as for ``reach``."""

    async def edges_among(self, nodes: Sequence[Reached], limit: int) -> Sequence[Edge]:
        """The edges whose ends are both among the nodes, in no particular order."""

    async def names_below(self, parent: str) -> Sequence[str]:
        """The names that begin with ``parent`` and a slash, of all that are in edges."""

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """Let everything that says the name of a version of the model ``before`` say that of ``after``."""
