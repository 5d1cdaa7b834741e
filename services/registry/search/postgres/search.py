"""Rows in an order, from a position on."""

from typing import Any

from sqlalchemy import ColumnElement, Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.search.orders import Order
from services.registry.search.pages import Position
from services.registry.search.postgres.conditions import Places
from services.registry.search.postgres.segments import Segment, segments


async def find(
    connection: AsyncConnection,
    query: Select[Any],
    order: Order,
    places: Places,
    tie: ColumnElement[Any],
    *,
    after: Position | None,
    limit: int,
) -> list[tuple[Row[Any], Position]]:
    """The rows of ``query`` in this order after a position, at most ``limit``, each with its own position.

    ``tie`` is what is unique of each. An index with the columns of the order is followed, and read no further than
    needed.
    """
    found: list[tuple[Row[Any], Position]] = []
    for segment in segments(Segment(query, tie, order.descending), order.keys, places, after):
        rows = await connection.execute(segment.select().limit(limit - len(found)))
        found += ((row, segment.position(row)) for row in rows)
        if len(found) >= limit:
            break
    return found
