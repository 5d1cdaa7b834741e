"""Lineage in PostgreSQL."""

from collections.abc import Collection, Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ModelName
from services.registry.lineage.model import Direction, Edge, Node, NodeKind, Role
from services.registry.lineage.store import LineageStore
from services.registry.tables import lineage_edges, lineage_nodes


class PostgresLineage(LineageStore):
    """See LineageStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_nodes(self, nodes: Sequence[Node]) -> None:
        """See LineageStore."""
        rows = [
            {"name": node.name, "id": node.id, "kind": node.kind, "digest": node.digest, "details": dict(node.details)}
            for node in nodes
        ]
        if rows:
            await self._connection.execute(insert(lineage_nodes).values(rows).on_conflict_do_nothing())

    async def find_nodes(self, names: Collection[str]) -> Sequence[Node]:
        """See LineageStore."""
        if not names:
            return []
        rows = await self._connection.execute(select(lineage_nodes).where(lineage_nodes.c.name.in_(list(names))))
        return [Node(row.name, NodeKind(row.kind), row.id, row.digest, row.details) for row in rows]

    async def add_edges(self, edges: Sequence[Edge]) -> int:
        """See LineageStore."""
        if not edges:
            return 0
        rows = [
            {
                "id": edge.id,
                "project_id": edge.project_id,
                "first_name": edge.first,
                "second_name": edge.second,
                "run_name": edge.run,
                "role": edge.role,
            }
            for edge in edges
        ]
        added = await self._connection.execute(insert(lineage_edges).values(rows).on_conflict_do_nothing())
        return added.rowcount

    async def edges(self, names: Collection[str], direction: Direction, limit: int) -> Sequence[Edge]:
        """See LineageStore."""
        edge = lineage_edges.c
        near = edge.second_name if direction is Direction.UPSTREAM else edge.first_name
        rows = await self._connection.execute(
            select(lineage_edges)
            .where(or_(near.in_(list(names)), edge.run_name.in_(list(names))))
            .order_by(edge.second_name, edge.first_name, edge.run_name, edge.role)
            .limit(limit)
        )
        return [
            Edge(row.id, row.project_id, row.first_name, row.second_name, row.run_name, Role(row.role)) for row in rows
        ]

    async def rename_model(self, before: ModelName, after: ModelName) -> None:
        """See LineageStore."""
        old, new = f"{before}/versions/", f"{after}/versions/"
        for column in (lineage_edges.c.first_name, lineage_edges.c.second_name):
            await self._connection.execute(
                lineage_edges.update()
                .where(column.startswith(old, autoescape=True))
                .values({column: func.concat(new, func.substr(column, len(old) + 1))})
            )
