"""What must be remembered of lineage; runs, model versions and artifacts are nodes by themselves."""

from collections.abc import Collection, Sequence
from typing import Protocol

from headwater.names import ModelName
from services.registry.lineage.model import Direction, Edge, Node


class LineageStore(Protocol):
    """The graph, as one transaction sees it. Nothing is ever removed, and nothing changed but the names of models."""

    async def add_nodes(self, nodes: Sequence[Node]) -> None:
        """Add nodes; one that is there stays as it is."""

    async def find_nodes(self, names: Collection[str]) -> Sequence[Node]:
        """Those of the added nodes that have these names, in no particular order."""

    async def add_edges(self, edges: Sequence[Edge]) -> int:
        """Add edges; one that is there stays as it is. Returns how many were new."""

    async def edges(self, names: Collection[str], direction: Direction, limit: int) -> Sequence[Edge]:
        """Edges that lead on from ``names``: upstream those into them, downstream those out of them, and in both
        directions those that were made by a run among them."""

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """Let everything that says the name of a version of the model ``before`` say that of ``after``."""
