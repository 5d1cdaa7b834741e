"""Lineage in PostgreSQL."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.reading import fetch
from headwater.names import ModelName
from services.registry.lineage import statements
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
from services.registry.tables import lineage_names, lineage_nodes

_KIND_BITS = 15
_KINDS = {int(kind): kind for kind in NodeKind}
_ROLES = {int(role): role for role in Role}


class PostgresLineage(LineageStore):
    """See LineageStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_nodes(self, nodes: Sequence[Node]) -> int:
        """See LineageStore."""
        lasting = [_node_row(node) for node in nodes if not node.revision]
        changing = [_node_row(node) for node in nodes if node.revision]
        changed = 0
        if lasting:
            statement = postgresql.insert(lineage_nodes).values(lasting).on_conflict_do_nothing()
            changed += (await self._connection.execute(statement)).rowcount
        if changing:
            given = postgresql.insert(lineage_nodes).values(changing)
            newer = given.on_conflict_do_update(
                index_elements=[lineage_nodes.c.name],
                set_={name: given.excluded[name] for name in ("id", "revision", "details")},
                where=given.excluded.revision > lineage_nodes.c.revision,
            )
            changed += (await self._connection.execute(newer)).rowcount
        return changed

    async def find_nodes(self, names: Collection[str]) -> Sequence[Node]:
        """See LineageStore."""
        if not names:
            return []
        rows = await fetch(self._connection, statements.NODES, list(names))
        return [
            Node(name, _KINDS[kind], id_, digest, details, revision)
            for name, kind, id_, digest, details, revision in rows
        ]

    async def add_edges(self, edges: Sequence[Edge]) -> int:
        """See LineageStore."""
        if not edges:
            return 0
        names = sorted({name for edge in edges for name in (edge.first, edge.second, edge.run) if name})
        kinds = [int(kind_of(name)) for name in names]
        await self._connection.execute(text(statements.ADD_NAMES), {"names": names, "kinds": kinds})
        columns = {
            "seconds": [edge.second for edge in edges],
            "firsts": [edge.first for edge in edges],
            "runs": [edge.run for edge in edges],
            "roles": [int(edge.role) for edge in edges],
            "ids": [edge.id for edge in edges],
            "project_ids": [edge.project_id for edge in edges],
        }
        return int(await self._connection.scalar(text(statements.ADD_EDGES), columns) or 0)

    async def edges(self, names: Collection[str], direction: Direction, limit: int) -> Sequence[Edge]:
        """See LineageStore."""
        rows = await fetch(self._connection, statements.EDGES[direction], list(names), limit)
        return [
            Edge(id_, project_id, first, second, run, _ROLES[role])
            for id_, project_id, first, second, run, role in rows
        ]

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
        room, told = max(max_nodes - len(starts), 0), sorted(map(int, kinds or NodeKind))
        rows = await fetch(self._connection, statements.REACH[direction], list(starts), room, max_depth, max_arcs, told)
        *found, (_, _, _, truncated) = rows
        nodes = [Reached(name, _KINDS[number & _KIND_BITS], distance, number) for number, name, distance, _ in found]
        known = {node.name for node in nodes if node.distance == 0}
        alone = [Reached(name, kind_of(name), 0, 0) for name in sorted(set(starts) - known)]
        return Reach([*(node for node in alone if not kinds or node.kind in kinds), *nodes], truncated)

    async def count(
        self, starts: Collection[str], *, max_nodes: int, max_arcs: int, told: Mapping[NodeKind, int]
    ) -> Count:
        """See LineageStore."""
        room = max(max_nodes - len(starts), 0)
        rows = await fetch(self._connection, statements.LEVELS, list(starts), room, MAX_DEPTH, max_arcs)
        counts: Counter[int] = Counter()
        nearest: dict[int, list[tuple[int, int]]] = {}
        for distance, numbers, _ in rows[1:]:
            counts.update(map(_KIND_BITS.__and__, numbers))
            for kind in counts:
                here = nearest.setdefault(kind, [])
                if len(here) < told[_KINDS[kind]]:
                    here += ((distance, number) for number in sorted(numbers) if number & _KIND_BITS == kind)
                    del here[told[_KINDS[kind]] :]
        names = await self._names(number for numbers in nearest.values() for _, number in numbers)
        dependents = [
            Dependents(
                _KINDS[kind],
                counts[kind],
                [name for _, name in sorted((distance, names[number]) for distance, number in nearest[kind])],
            )
            for kind in sorted(counts)
        ]
        return Count(dependents, any(more for _, _, more in rows))

    async def edges_among(self, nodes: Sequence[Reached], limit: int) -> Sequence[Edge]:
        """See LineageStore."""
        names = {node.number: node.name for node in nodes if node.number}
        rows = await fetch(self._connection, statements.EDGES_AMONG, list(names), limit)
        names |= await self._names({row["run"] for row in rows} - names.keys() - {0}) | {0: ""}
        return [
            Edge(id_, project_id, names[first], names[second], names[run], _ROLES[role])
            for id_, project_id, first, second, run, role in rows
        ]

    async def names_below(self, parent: str) -> Sequence[str]:
        """See LineageStore."""
        name = lineage_names.c.name
        rows = await self._connection.scalars(
            select(name).where(name >= f"{parent}/", name < f"{parent}0").order_by(name)
        )
        return rows.all()

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """See LineageStore."""
        values = {"before": f"{before}/versions/", "end": f"{before}/versions0", "after": f"{after}/versions/"}
        await self._connection.execute(text(statements.RENAME), values)

    async def _names(self, numbers: Iterable[int]) -> dict[int, str]:
        wanted = list(numbers)
        return dict(await fetch(self._connection, statements.NAMES, wanted)) if wanted else {}


def _node_row(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "id": node.id,
        "kind": node.kind,
        "digest": node.digest,
        "revision": node.revision,
        "details": dict(node.details),
    }
