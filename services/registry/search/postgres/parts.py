"""A field of an order, as SQL: how rows are sorted by it, and which come after a value."""

import dataclasses
from typing import Any

from sqlalchemy import ColumnElement, case, false, or_

from services.registry.search.fields import Kind
from services.registry.search.orders import OrderKey
from services.registry.search.pages import Rank
from services.registry.search.postgres.leaves import NAN
from services.registry.search.tree import Value


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One field of an order, and its value at hand.

    ``always``: each row has a value, and that is not NaN. An index is followed only then.
    """

    key: OrderKey
    value: ColumnElement[Any]
    always: bool

    def order(self) -> list[ColumnElement[Any]]:
        """How to sort by it."""
        directed = self.value.desc() if self.key.descending else self.value.asc()
        return [directed] if self.always else [self._rank().asc(), directed]

    def equal(self, value: Value | None) -> ColumnElement[bool]:
        """Whether a row stands where one with this value does."""
        match Rank.of(value):
            case Rank.VALUE:
                return self.value == value
            case Rank.NAN:
                return self.value == NAN
            case Rank.MISSING:
                return self.value.is_(None)

    def beyond(self, value: Value | None) -> ColumnElement[bool]:
        """Whether a row comes after one with this value."""
        match Rank.of(value):
            case Rank.MISSING:
                return false()
            case Rank.NAN:
                return self.value.is_(None)
        further = self.value < value if self.key.descending else self.value > value
        return further if self.always else or_(further, self._rank() > int(Rank.VALUE))

    def equal_or_beyond(self, value: Any) -> ColumnElement[bool]:
        """Whether it stands there or comes after, as one comparison, for rows that always have a value."""
        reached: ColumnElement[bool] = self.value <= value if self.key.descending else self.value >= value
        return reached

    def plain(self, value: Any) -> Value | None:
        """What a row has, as a value of the field's kind."""
        return float(value) if self.key.field.kind is Kind.NUMBER and value is not None else value

    def _rank(self) -> ColumnElement[int]:
        ranks: list[tuple[ColumnElement[bool], int]] = [(self.value.is_(None), int(Rank.MISSING))]
        if self.key.field.kind is Kind.NUMBER:
            ranks.append((self.value == NAN, int(Rank.NAN)))
        return case(*ranks, else_=int(Rank.VALUE))
