"""What is rare among the values of a key, which no statistics of the database tell.

The planner knows how often a key comes and how values are spread over all keys, not how those of one key are. So it
takes ``metrics.loss < 0.001`` for common, reads along the order asked for, and finds nothing for long. Counting the
rows of a condition is cheap, since an index has them together and few are looked at.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, any_, cast, literal
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.search.postgres.conditions import Places, where
from services.registry.search.postgres.places import InRows
from services.registry.search.tree import And, Comparison, Condition, OneOf, Operator

_RARE = 5000
"""With at most so many rows a condition is rare."""
_WITH_INDEX = frozenset(
    {Operator.EQUAL, Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL}
)


async def where_rare_first(connection: AsyncConnection, condition: Condition, places: Places) -> ColumnElement[bool]:
    """The condition as SQL, in which the rarest of the parts that must be true is replaced by the rows that it is true
    of, where they are few."""
    rarest: tuple[int, Condition, ColumnElement[bool]] | None = None
    for part in _musts(condition):
        if isinstance(part, Comparison) and part.operator not in _WITH_INDEX:
            continue
        if not isinstance(part, Comparison | OneOf):
            continue
        place = places[part.field.name]
        if isinstance(place, InRows):
            count, ids = (await connection.execute(place.owners(part, _RARE))).one()
            if ids is not None and (rarest is None or count < rarest[0]):
                rarest = count, part, place.owner == any_(cast(literal(ids, Text), ARRAY(place.owner.type)))
    if rarest is None:
        return where(condition, places)
    _count, rare, rows = rarest
    return where(And(tuple(part for part in _musts(condition) if part is not rare)), places) & rows


def _musts(condition: Condition) -> Iterator[Any]:
    """The parts that must all be true."""
    if isinstance(condition, And):
        for part in condition.parts:
            yield from _musts(part)
    else:
        yield condition
