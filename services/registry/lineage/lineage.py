"""The use cases of lineage."""

import asyncio
import dataclasses
import datetime
import enum
from collections.abc import Collection, Sequence

from chassis.clock import Clock
from chassis.ids import new_id
from chassis.paging import Page
from headwater.names import ProjectName
from services.registry.events import event
from services.registry.lineage.errors import ArtifactDigestConflict, LineageNodeNotFound
from services.registry.lineage.impact import Impact, impact
from services.registry.lineage.model import (
    DEFAULT_DEPTH,
    DEFAULT_NODES,
    Connections,
    Direction,
    Edge,
    Node,
    NodeKind,
    kind_of,
)
from services.registry.lineage.nodes import AnyNode, find_in_order, find_nodes
from services.registry.lineage.openlineage.writing import write as openlineage_events
from services.registry.lineage.prov import write as prov_document
from services.registry.lineage.uses import Use, uses
from services.registry.lineage.walk import walk
from services.registry.origin import Origin
from services.registry.store import Store, Transaction


@dataclasses.dataclass(frozen=True, slots=True)
class Lineage:
    """A part of the graph: nodes by distance, the edges among them, whether the graph goes on."""

    nodes: Sequence[AnyNode]
    edges: Sequence[Edge]
    truncated: bool


class Form(enum.Enum):
    """What others read. The values are those of ``ExportLineageRequest.Format``."""

    OPENLINEAGE = 1
    PROV_JSON = 2

    @property
    def media_type(self) -> str:
        """OpenLineage has an object a line."""
        return "application/x-ndjson" if self is Form.OPENLINEAGE else "application/json"

    def write(self, nodes: Sequence[AnyNode], edges: Sequence[Edge], now: datetime.datetime) -> str:
        """The nodes and edges in this form."""
        if self is Form.OPENLINEAGE:
            return openlineage_events(nodes, edges, now)
        return prov_document(nodes, edges)


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """A part of the graph as others read it; whether the graph goes on."""

    text: str
    media_type: str
    truncated: bool


class Lineages:
    """Adds to the graph and walks it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def connect(self, parent: ProjectName, new: Connections, origin: Origin) -> int:
        """Add nodes and edges; what is there stays as it is, so that a retry is safe. Returns how many edges were new.

        Raises:
            ProjectNotFound
            ArtifactDigestConflict: a node is known with another digest; nothing is added.
            LineageNodeNotFound: an edge names what nobody knows; nothing is added.
        """
        async with self._store.transaction() as tx:
            project = await tx.projects.get(parent.project)
            # In one order everywhere, so that two calls wait for each other instead of deadlocking.
            changed = await _add_nodes(tx, sorted(new.nodes, key=lambda node: node.name))
            named = {name for edge in new.edges for name in (edge.first, edge.second, edge.run) if name}
            for name in sorted(named - (await find_nodes(tx, named)).keys()):
                raise LineageNodeNotFound(name=name)
            edges = [Edge(new_id(), project.id, edge.first, edge.second, edge.run, edge.role) for edge in new.edges]
            created = await tx.lineage.add_edges(sorted(edges, key=lambda edge: (edge.second, edge.first, edge.run)))
            if created or changed:
                await tx.events.append(event(origin.actor, "lineage.connect", parent, None, new, self._clock.now()))
            return created

    async def get(
        self,
        name: str,
        direction: Direction,
        max_depth: int = 0,
        *,
        kinds: Collection[NodeKind] = (),
        max_nodes: int = 0,
    ) -> Lineage:
        """The graph from ``name`` in ``direction``; a ``max_depth`` of 0 means 20, ``max_nodes`` of 0 means 1,000.

        With ``kinds`` only nodes of these are told and counted, and the edges among them.

        Raises:
            InvalidName
            LineageNodeNotFound
        """
        kind_of(name)
        async with self._store.transaction() as tx:
            size = max_nodes or DEFAULT_NODES
            walked = await walk(
                tx.lineage, name, direction, max_depth or DEFAULT_DEPTH, max_nodes=size, kinds=frozenset(kinds)
            )
            nodes, whole = await find_in_order(tx, walked.nodes)
            names = {str(node.name) for node in nodes}
            if name not in names and name not in await find_nodes(tx, [name]):  # it may be of no kind that is asked for
                raise LineageNodeNotFound(name=name)
        edges = [edge for edge in walked.edges if edge.first in names and edge.second in names]
        return Lineage(nodes, edges, walked.truncated or not whole)

    async def export(
        self,
        form: Form,
        name: str,
        direction: Direction,
        max_depth: int = 0,
        *,
        kinds: Collection[NodeKind] = (),
        max_nodes: int = 0,
    ) -> Document:
        """What :meth:`get` gives, as others read it."""
        lineage = await self.get(name, direction, max_depth, kinds=kinds, max_nodes=max_nodes)
        text = await asyncio.to_thread(form.write, lineage.nodes, lineage.edges, self._clock.now())
        return Document(text, form.media_type, lineage.truncated)

    async def impact(self, name: str) -> Impact:
        """What depends on ``name``; see :func:`services.registry.lineage.impact.impact`."""
        async with self._store.transaction() as tx:
            return await impact(tx, name)

    async def uses(self, name: str, size: int, token: str) -> Page[Use]:
        """Model versions that were trained on ``name``; see :func:`services.registry.lineage.uses.uses`."""
        async with self._store.transaction() as tx:
            return await uses(tx, name, size, token)


async def _add_nodes(tx: Transaction, nodes: Sequence[Node]) -> int:
    changed = await tx.lineage.add_nodes(nodes)
    # Compared after adding: somebody may have added the same name a moment ago.
    known = {node.name: node for node in await tx.lineage.find_nodes([node.name for node in nodes])}
    for node in nodes:
        if known[node.name].digest != node.digest:
            raise ArtifactDigestConflict(name=node.name, known=known[node.name].digest, given=node.digest)
    return changed
