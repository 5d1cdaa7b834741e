"""Where the values of a field are."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import (
    Column,
    ColumnElement,
    Double,
    Select,
    Table,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
)

from services.registry.ids import is_id
from services.registry.search.fields import Field, Kind
from services.registry.search.orders import ORDERED_CHARACTERS
from services.registry.search.postgres.leaves import Leaf, test
from services.registry.search.tree import Comparison, OneOf, Operator, Value


class Place(Protocol):
    """Where the values of a field, or of all fields of a map, are."""

    optional: bool
    """Whether there may be no value."""
    has_nan: bool
    """Whether a number may be NaN."""

    def holds(self, leaf: Leaf) -> ColumnElement[bool]:
        """Whether the leaf is true; null stands for false."""

    def fails(self, leaf: Leaf) -> ColumnElement[bool]:
        """Whether the leaf is false."""

    def joined(self, query: Select[Any], field: Field, *, required: bool) -> tuple[Select[Any], ColumnElement[Any]]:
        """``query`` with the value of the field at hand, and that value. ``required``: only rows that may have one."""

    def tie(self, value: ColumnElement[Any], tie: ColumnElement[Any]) -> ColumnElement[Any]:
        """What equals ``tie`` and stands beside ``value``, as ``joined`` gave it: one index may have both."""
        return tie


@dataclasses.dataclass(frozen=True, slots=True)
class InColumn(Place):
    """In a column of the row itself; one of text in the collation C."""

    column: ColumnElement[Any]
    optional: bool = False
    has_nan: bool = False

    def holds(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return test(leaf, self._value(leaf.field))

    def fails(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return not_(func.coalesce(self.holds(leaf), false()) if self.optional else self.holds(leaf))

    def joined(self, query: Select[Any], field: Field, *, required: bool) -> tuple[Select[Any], ColumnElement[Any]]:
        """See Place."""
        return query, self._value(field)

    def _value(self, field: Field) -> ColumnElement[Any]:
        whole = field.kind is Kind.NUMBER and not isinstance(self.column.type, Double)
        return cast(self.column, Double) if whole else self.column


@dataclasses.dataclass(frozen=True, slots=True)
class InUid(Place):
    """In a column of uids of the row itself, compared as texts."""

    column: ColumnElement[Any]
    optional: bool = False
    has_nan: bool = False

    def holds(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        match leaf:  # as uids, which have an index
            case Comparison(_field, Operator.EQUAL, wanted):
                return self.column.in_(_uids([wanted]))
            case OneOf(_field, values):
                return self.column.in_(_uids(values))
        return test(leaf, self._text())

    def fails(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return not_(self.holds(leaf))

    def joined(self, query: Select[Any], field: Field, *, required: bool) -> tuple[Select[Any], ColumnElement[Any]]:
        """See Place."""
        return query, self._text()

    def _text(self) -> ColumnElement[str]:
        return cast(self.column, Text).collate("C")


@dataclasses.dataclass(frozen=True, slots=True)
class InJson(Place):
    """Under the key in a JSONB column of texts of the row itself."""

    column: Column[Any]
    optional: bool = True
    has_nan: bool = False

    def holds(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return test(leaf, self._value(leaf.field))

    def fails(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return not_(func.coalesce(self.holds(leaf), false()) if self.optional else self.holds(leaf))

    def joined(self, query: Select[Any], field: Field, *, required: bool) -> tuple[Select[Any], ColumnElement[Any]]:
        """See Place."""
        return query, self._value(field)

    def _value(self, field: Field) -> ColumnElement[Any]:
        text: ColumnElement[str] = self.column[field.key].astext
        return text.collate("C")


@dataclasses.dataclass(frozen=True, slots=True)
class InRows(Place):
    """In rows of another table, one at most for each owner and key.

    Attributes:
        owner: the column that ``owned`` of the other table points to.
        scope: columns of the other table with the values that they have in all rows looked for. An index begins with
            them and goes on with ``key``, a value (of a text, its ``prefix``) and ``owned``.
        values: the columns of values by their kinds.
    """

    table: Table
    owner: ColumnElement[Any]
    owned: str
    scope: Mapping[str, object]
    values: Mapping[Kind, str]
    key: str = "key"
    optional: bool = True
    has_nan: bool = False

    def holds(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        rows = self.table.alias()
        return exists().where(self._of_owner(rows, leaf.field), self._told(rows, leaf))

    def fails(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return not_(self.holds(leaf))

    def joined(self, query: Select[Any], field: Field, *, required: bool) -> tuple[Select[Any], ColumnElement[Any]]:
        """See Place."""
        rows = self.table.alias()
        return query.join(rows, self._of_owner(rows, field), isouter=not required), rows.c[self.values[field.kind]]

    def tie(self, value: ColumnElement[Any], tie: ColumnElement[Any]) -> ColumnElement[Any]:
        """See Place."""
        rows: Any = getattr(value, "table", None)
        return rows.c[self.owned] if tie is self.owner and rows is not None else tie

    def owners(self, leaf: Leaf, limit: int) -> Select[Any]:
        """How many owners the leaf is true of, and which, as the text of an array; null where there are more than
        ``limit``."""
        rows = self.table.alias()
        found = (
            select(rows.c[self.owned].label("owner"))
            .where(self._of_field(rows, leaf.field), self._told(rows, leaf))
            .limit(limit + 1)
            .subquery()
        )
        number = func.count()
        ids = cast(func.array_agg(found.c.owner), Text)
        return select(number, case((number <= limit, func.coalesce(ids, "{}")))).select_from(found)

    def _told(self, rows: Any, leaf: Leaf) -> ColumnElement[bool]:
        value = rows.c[self.values[leaf.field.kind]]
        return _text_test(leaf, value) if leaf.field.kind is Kind.TEXT else test(leaf, value)

    def _of_owner(self, rows: Any, field: Field) -> ColumnElement[bool]:
        return and_(rows.c[self.owned] == self.owner, self._of_field(rows, field))

    def _of_field(self, rows: Any, field: Field) -> ColumnElement[bool]:
        scope = [rows.c[name] == value for name, value in self.scope.items()]
        return and_(*scope, rows.c[self.key] == field.key)


@dataclasses.dataclass(frozen=True, slots=True)
class InSome(Place):
    """In any number of rows of another table: true is what is true of one of them; the least is what orders go by.

    Attributes:
        owner: the column that ``owned`` of the other table points to.
        value: a column of the other table with texts in the collation C; empty or null where there is none. As it is,
            and not in an expression, the planner knows how common a value is.
    """

    owner: ColumnElement[Any]
    owned: ColumnElement[Any]
    value: ColumnElement[Any]
    optional: bool = True
    has_nan: bool = False

    def holds(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return exists().where(self.owned == self.owner, self.value != "", test(leaf, self.value))

    def fails(self, leaf: Leaf) -> ColumnElement[bool]:
        """See Place."""
        return not_(self.holds(leaf))

    def joined(self, query: Select[Any], field: Field, *, required: bool) -> tuple[Select[Any], ColumnElement[Any]]:
        """See Place."""
        least = select(func.min(self.value, type_=self.value.type)).where(self.owned == self.owner, self.value != "")
        return query, least.correlate(self.owner.table).scalar_subquery()


def prefix(column: ColumnElement[Any]) -> ColumnElement[str]:
    """The characters of a text that orders go by and indexes have: ``left(column, 100)``."""
    return func.left(column, literal_column(str(ORDERED_CHARACTERS)), type_=Text)


def _uids(values: Sequence[Value]) -> list[str]:
    """Those of the texts that are uids: no row has any other."""
    return [str(value) for value in values if is_id(str(value))]


def _text_test(leaf: Leaf, value: ColumnElement[Any]) -> ColumnElement[bool]:
    """The leaf for a text whose beginning has an index."""
    match leaf:
        case Comparison(_field, Operator.EQUAL, wanted):
            return _is_text(value, str(wanted))
        case OneOf(_field, values):
            return or_(*(_is_text(value, str(wanted)) for wanted in values))
        case _:
            return test(leaf, value)


def _is_text(value: ColumnElement[Any], wanted: str) -> ColumnElement[bool]:
    beginning = prefix(value) == wanted[:ORDERED_CHARACTERS]
    # A text that is shorter than beginnings are is told by them alone.
    return beginning if len(wanted) < ORDERED_CHARACTERS else and_(beginning, value == wanted)
