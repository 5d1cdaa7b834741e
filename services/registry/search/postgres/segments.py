"""An order as segments that follow one another, each of which an index can give in its order.

Rows with a value by the first field come first, sorted by it; then those without, sorted by the fields that are left.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, literal, or_, tuple_

from services.registry.search.fields import Kind
from services.registry.search.orders import OrderKey
from services.registry.search.pages import Position, Rank
from services.registry.search.postgres.conditions import Places, where
from services.registry.search.postgres.leaves import NAN
from services.registry.search.postgres.parts import Part
from services.registry.search.postgres.places import prefix
from services.registry.search.tree import Comparison, Condition, Not, Operator, Present, Value


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """Rows one after another in the order.

    ``parts`` are the fields of the order; None is one by which all rows of the segment have no value, and so are alike.
    """

    query: Select[Any]
    tie: ColumnElement[Any]
    descending: bool
    parts: tuple[Part | None, ...] = ()
    after: Position | None = None

    def select(self) -> Select[Any]:
        """Its rows after the position, in order."""
        columns = [part.value.label(f"order_{number}") for number, part in enumerate(self.parts) if part]
        query = self.query.add_columns(*columns, self.tie.label("order_tie"))
        if self.after is not None:
            query = query.where(self._beyond(self.after))
        last = self.tie.desc() if self.descending else self.tie.asc()
        return query.order_by(*(term for part in self.parts if part for term in part.order()), last)

    def position(self, row: Row[Any]) -> Position:
        """Where a row of it stands."""
        found = row._mapping
        values = [part.plain(found[f"order_{number}"]) if part else None for number, part in enumerate(self.parts)]
        return Position(tuple(values), row.order_tie)

    def _beyond(self, after: Position) -> ColumnElement[bool]:
        pairs = [(part, value) for part, value in zip(self.parts, after.values, strict=True) if part]
        if not pairs:
            return self._tie_beyond(after)
        first, value = pairs[0]
        if len(pairs) == 1 and first.always and first.key.descending == self.descending:
            # An index that ends in another table's copy of the tie cannot begin at both, but at the value.
            return and_(first.equal_or_beyond(value), self._row_beyond(first, value, after))
        condition = self._tie_beyond(after)
        for part, there in reversed(pairs):
            condition = or_(part.beyond(there), and_(part.equal(there), condition))
        # What follows from the rest, and an index can begin at.
        return and_(first.equal_or_beyond(value), condition) if first.always else condition

    def _tie_beyond(self, after: Position) -> ColumnElement[bool]:
        return self.tie < after.tie if self.descending else self.tie > after.tie

    def _row_beyond(self, part: Part, value: Value | None, after: Position) -> ColumnElement[bool]:
        """The whole place in one comparison, which an index can begin at."""
        here = tuple_(part.value, self.tie)
        there = tuple_(literal(value, part.value.type), literal(after.tie, self.tie.type))
        return here < there if self.descending else here > there


def segments(start: Segment, keys: Sequence[OrderKey], places: Places, after: Position | None) -> Iterator[Segment]:
    """The segments of the rows of ``start``, from the one on in which the position is."""
    if not keys:
        yield dataclasses.replace(start, after=after)
        return
    first, rest = keys[0], keys[1:]
    place = places[first.field.name]
    if after is None or Rank.of(after.values[len(start.parts)]) is Rank.VALUE:
        yield _joined(start, keys, places, after, required=True)
        after = None
    if not place.optional and not place.has_nan:
        return
    others = dataclasses.replace(start, query=start.query.where(where(Not(_has_value(first)), places)))
    if place.has_nan:
        yield _joined(others, keys, places, after, required=False)
    else:
        yield from segments(dataclasses.replace(others, parts=(*start.parts, None)), rest, places, after)


def _has_value(key: OrderKey) -> Condition:
    if key.field.kind is Kind.NUMBER:
        return Comparison(key.field, Operator.LESS_OR_EQUAL, math.inf)
    return Present(key.field)


def _joined(
    start: Segment, keys: Sequence[OrderKey], places: Places, after: Position | None, *, required: bool
) -> Segment:
    """The segment with the values of these fields at hand; if ``required``, each row has one by the first of them."""
    query, tie, parts = start.query, start.tie, [*start.parts]
    for number, key in enumerate(keys):
        always = required and number == 0
        place = places[key.field.name]
        query, value = place.joined(query, key.field, required=always)
        tie = place.tie(value, tie) if always else tie
        value = prefix(value) if key.field.kind is Kind.TEXT else value
        if always:
            query = query.where(value < NAN if key.field.kind is Kind.NUMBER else value.is_not(None))
        parts.append(Part(key, value, always))
    return dataclasses.replace(start, query=query, tie=tie, parts=tuple(parts), after=after)
