"""Lineage in PostgreSQL."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Row, any_, literal, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

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
        node = lineage_nodes.c
        columns = (node.name, node.kind, node.id, node.digest, node.details, node.revision)
        wanted = node.name == any_(literal(list(names), postgresql.ARRAY(node.name.type)))
        rows = await self._connection.execute(select(*columns).where(wanted))
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
        statement = text(statements.EDGES[direction])
        rows = await self._connection.execute(statement, {"names": list(names), "limit": limit})
        return [_edge(row, row.first, row.second, row.run) for row in rows]

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
        values = {
            "starts": list(starts),
            "room": max(max_nodes - len(starts), 0),
            "max_depth": max_depth,
            "max_arcs": max_arcs,
            "kinds": sorted(map(int, kinds or NodeKind)),
        }
        rows = (await self._connection.execute(text(statements.REACH[direction]), values)).all()
        *found, (_, _, _, truncated) = rows
        nodes = [Reached(name, _KINDS[number & _KIND_BITS], distance, number) for number, name, distance, _ in found]
        known = {node.name for node in nodes if node.distance == 0}
        alone = [Reached(name, kind_of(name), 0, 0) for name in sorted(set(starts) - known)]
        return Reach([*(node for node in alone if not kinds or node.kind in kinds), *nodes], truncated)

    async def count(self, starts: Collection[str], *, max_nodes: int, max_arcs: int, told: int) -> Count:
        """See LineageStore."""
        values = {
            "starts": list(starts),
            "room": max(max_nodes - len(starts), 0),
            "max_depth": MAX_DEPTH,
            "max_arcs": max_arcs,
            "told": told,
        }
        rows = (await self._connection.execute(text(statements.COUNT), values)).all()
        *found, (_, _, _, truncated, _) = rows
        counts = {_KINDS[kind]: of_kind for kind, of_kind, _, _, _ in found}
        names: dict[NodeKind, list[str]] = {kind: [] for kind in counts}
        for kind, _, name, _, _ in found:
            names[_KINDS[kind]].append(name)
        return Count([Dependents(kind, counts[kind], names[kind]) for kind in sorted(counts)], truncated)

    async def edges_among(self, nodes: Sequence[Reached], limit: int) -> Sequence[Edge]:
        """See LineageStore."""
        names = {node.number: node.name for node in nodes if node.number}
        values = {"numbers": list(names), "limit": limit}
        rows = (await self._connection.execute(text(statements.EDGES_AMONG), values)).all()
        names |= await self._names({row.run for row in rows} - names.keys() - {0}) | {0: ""}
        return [_edge(row, names[row.first], names[row.second], names[row.run]) for row in rows]

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
        number, name = lineage_names.c.number, lineage_names.c.name
        wanted = list(numbers)
        if not wanted:
            return {}
        rows = await self._connection.execute(select(number, name).where(number.in_(wanted)))
        return {row.number: row.name for row in rows}


def _node_row(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "id": node.id,
        "kind": node.kind,
        "digest": node.digest,
        "revision": node.revision,
        "details": dict(node.details),
    }


def _edge(row: Row[Any], first: str, second: str, run: str) -> Edge:
    return Edge(row.id, row.project_id, first, second, run, _ROLES[row.role])
