"""A condition over the columns of a schema: an Arrow expression, and what chunk statistics say of it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from chassis.filters.errors import InvalidFilter
from chassis.filters.literals import cast_literal, literal_of, scalar_like, type_named
from chassis.filters.numbers import COMPARISONS, MIRRORED, bare, compare, is_among, is_number, number_of
from chassis.filters.prune import may_match
from chassis.filters.ranges import ColumnRange
from chassis.filters.syntax import parse

_ARITHMETIC: Mapping[type[exp.Expression], str] = {
    exp.Add: "add_checked",
    exp.Sub: "subtract_checked",
    exp.Mul: "multiply_checked",
    exp.Div: "divide_checked",
}
_FUNCTIONS: Mapping[type[exp.Expression], str] = {
    exp.Lower: "utf8_lower",
    exp.Upper: "utf8_upper",
    exp.Length: "utf8_length",
    exp.Abs: "abs_checked",
    exp.Neg: "negate_checked",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """A condition that every row satisfies, does not satisfy, or leaves open: SQL's three values of truth."""

    text: str
    expression: Any
    """A ``pyarrow.compute.Expression``; rows for which it is true are meant."""
    columns: tuple[str, ...]
    """The columns that it looks at."""
    _tree: exp.Expression
    _schema: pa.Schema

    @classmethod
    def parse(cls, text: str, schema: pa.Schema) -> "Filter":
        """The condition that ``text`` writes, over columns of ``schema``.

        Raises:
            InvalidFilter: the text is no condition, names a column that there is not, or compares what cannot be.
        """
        tree = parse(text)
        builder = _Builder(schema)
        expression = builder.build(tree)
        try:
            schema.empty_table().filter(expression)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InvalidFilter(f"The filter does not fit the columns: {str(error).splitlines()[0][:200]}") from error
        return cls(text, expression, tuple(sorted(builder.columns)), tree, schema)

    def select(self, rows: pa.Table) -> pa.Table:
        """The rows that satisfy it.

        Raises:
            InvalidFilter: it cannot be computed: a division by zero, an overflow.
        """
        try:
            return rows.filter(self.expression)
        except pa.ArrowInvalid as error:
            raise InvalidFilter(f"The filter cannot be computed: {str(error).splitlines()[0][:200]}") from error

    def may_match(self, ranges: Mapping[str, ColumnRange]) -> bool:
        """Whether any row of a chunk with these statistics may satisfy it."""
        return may_match(self._tree, ranges, self._schema)


class _Builder:
    """Turns nodes into expressions, and remembers the columns that it met."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self.columns: set[str] = set()

    def build(self, node: exp.Expression) -> Any:
        """The expression of a node."""
        for kinds, build in (
            ((exp.And, exp.Or), self._junction),
            (tuple(COMPARISONS), self._comparison),
            (tuple(_ARITHMETIC), self._arithmetic),
            (tuple(_FUNCTIONS), self._function),
        ):
            if isinstance(node, kinds):
                return build(node)
        return self._other(node)

    def _other(self, node: exp.Expression) -> Any:
        match node:
            case exp.Paren():
                return self.build(node.this)
            case exp.Not():
                return ~self.build(node.this)
            case exp.Between():
                low = exp.GTE(this=node.this, expression=node.args["low"])
                return self.build(low) & self.build(exp.LTE(this=node.this, expression=node.args["high"]))
            case exp.In():
                return self._membership(node)
            case exp.Like():
                return self._like(node)
            case exp.Is():
                return self._is(node)
            case exp.Column() | exp.Dot():
                return self._column(node)
            case exp.Cast() if isinstance(node.this, exp.Literal):
                return pc.scalar(cast_literal(node))
            case exp.Cast():
                return self.build(node.this).cast(type_named(node))
            case _:
                return pc.scalar(literal_of(node))

    def _junction(self, node: exp.Expression) -> Any:
        # Flattened, since a thousand conditions in a row are no nesting.
        kind = type(node)
        parts, waiting = [], [node]
        while waiting:
            part = waiting.pop()
            if type(part) is kind:
                waiting += [part.expression, part.this]
            else:
                parts.append(self.build(part))
        return functools.reduce(lambda one, other: one & other if kind is exp.And else one | other, parts)

    def _comparison(self, node: exp.Expression) -> Any:
        left, right, operator = node.this, node.expression, type(node)
        for column, value, turned in ((left, right, operator), (right, left, MIRRORED[operator])):
            kind, number = self._type_of(column), number_of(value)
            if number is not None and kind is not None and is_number(kind):
                return compare(self.build(column), turned, number, kind)
        return COMPARISONS[operator](self._beside(left, right), self._beside(right, left))

    def _beside(self, node: exp.Expression, other: exp.Expression) -> Any:
        """The node's expression; a text beside a column of times, dates or decimals is read as one of those."""
        kind = self._type_of(other)
        if kind is not None and isinstance(node, exp.Literal):
            return pc.scalar(scalar_like(node, kind))
        return self._computed(node, other)

    def _computed(self, node: exp.Expression, other: exp.Expression) -> Any:
        """The node's expression; numbers become floats beside a fraction, to whose type Arrow would bring them."""
        built, number = self.build(node), number_of(other)
        is_beside_fraction = number is not None and number != number.to_integral_value()
        return built.cast(pa.float64(), safe=False) if is_beside_fraction and self._is_number(node) else built

    def _is_number(self, node: exp.Expression) -> bool:
        kind = self._type_of(node)
        is_computed = isinstance(bare(node), (*_ARITHMETIC, exp.Neg, exp.Abs, exp.Length))
        return is_computed or (kind is not None and is_number(kind))

    def _membership(self, node: exp.In) -> Any:
        if not node.expressions:
            raise InvalidFilter("IN needs a list of values.")
        kind = self._type_of(node.this)
        if kind is not None and is_number(kind):
            numbers = [number for value in node.expressions if (number := number_of(value)) is not None]
            if len(numbers) == len(node.expressions):
                return self._looked_up(node, lambda column: is_among(column, numbers, kind))
        values = [scalar_like(value, kind) if kind is not None else literal_of(value) for value in node.expressions]
        if any(value is None or (isinstance(value, pa.Scalar) and not value.is_valid) for value in values):
            raise InvalidFilter("IN cannot have NULL among its values: use IS NULL.")
        if kind is None or not pa.types.is_temporal(kind):  # Python's times end where its calendar does
            values = [value.as_py() if isinstance(value, pa.Scalar) else value for value in values]
        try:
            return self._looked_up(node, lambda subject: subject.isin(pa.array(values, kind)))
        except (pa.ArrowException, TypeError) as error:
            raise InvalidFilter("The values of IN must be of one type, that of the column.") from error

    def _looked_up(self, node: exp.In, look: Callable[[Any], Any]) -> Any:
        subject = self.build(node.this)
        found = look(subject)
        return pc.if_else(subject.is_null(), pc.scalar(pa.scalar(None, pa.bool_())), found)

    def _like(self, node: exp.Like) -> Any:
        pattern = literal_of(node.expression)
        if not isinstance(pattern, str):
            raise InvalidFilter("LIKE needs a text.")
        matches = pc.match_like(self.build(node.this), pattern)
        return ~matches if node.args.get("negate") else matches

    def _is(self, node: exp.Is) -> Any:
        if isinstance(node.expression, exp.Null):
            return self.build(node.this).is_null()
        if isinstance(node.expression, exp.Boolean):
            subject = self.build(node.this)
            is_same = subject == pc.scalar(node.expression.this)
            return pc.if_else(subject.is_null(), pc.scalar(False), is_same)
        raise InvalidFilter("IS is followed by NULL, NOT NULL, TRUE or FALSE.")

    def _arithmetic(self, node: exp.Expression) -> Any:
        function = getattr(pc, _ARITHMETIC[type(node)])
        return function(self._computed(node.this, node.expression), self._computed(node.expression, node.this))

    def _function(self, node: exp.Expression) -> Any:
        if isinstance(node, exp.Length) and self._is_binary(node.this):
            return pc.binary_length(self.build(node.this))
        return getattr(pc, _FUNCTIONS[type(node)])(self.build(node.this))

    def _is_binary(self, node: exp.Expression) -> bool:
        kind = self._type_of(node)
        return kind is not None and (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))

    def _column(self, node: exp.Column | exp.Dot) -> Any:
        path = _path(node)
        if self._type_at(path) is None:
            known = ", ".join(self._schema.names[:20])
            raise InvalidFilter(f"There is no column {'.'.join(path)}; there are {known}.", column=".".join(path))
        self.columns.add(path[0])
        return pc.field(*path) if len(path) == 1 else pc.field(tuple(path))

    def _type_of(self, node: exp.Expression) -> Any:
        """The type of a column; None for anything else."""
        node = bare(node)
        return self._type_at(_path(node)) if isinstance(node, exp.Column | exp.Dot) else None

    def _type_at(self, path: list[str]) -> Any:
        fields: Any = self._schema
        kind = None
        for name in path:
            if fields is None or fields.get_field_index(name) < 0:
                return None
            kind = fields.field(fields.get_field_index(name)).type
            fields = kind if pa.types.is_struct(kind) else None
        return kind


def _path(node: exp.Column | exp.Dot) -> list[str]:
    """``a.b.c`` as its parts."""
    return [part.name for part in node.parts]
