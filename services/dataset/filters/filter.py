"""A condition over the columns of a schema: an Arrow expression, and what chunk statistics say of it."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from services.dataset.filters.errors import InvalidFilter
from services.dataset.filters.literals import literal_of, scalar_like, type_named
from services.dataset.filters.prune import may_match
from services.dataset.filters.syntax import parse
from services.dataset.rows.statistics import ColumnRange

_COMPARISONS: Mapping[type[exp.Expression], Any] = {
    exp.EQ: pc.Expression.__eq__,
    exp.NEQ: pc.Expression.__ne__,
    exp.LT: pc.Expression.__lt__,
    exp.LTE: pc.Expression.__le__,
    exp.GT: pc.Expression.__gt__,
    exp.GTE: pc.Expression.__ge__,
}
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
            (tuple(_COMPARISONS), self._comparison),
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
        left, right = node.this, node.expression
        return _COMPARISONS[type(node)](self._beside(left, right), self._beside(right, left))

    def _beside(self, node: exp.Expression, other: exp.Expression) -> Any:
        """The node's expression; a text beside a column of times, dates or decimals is read as one of those."""
        kind = self._type_of(other)
        if kind is not None and isinstance(node, exp.Literal):
            return pc.scalar(scalar_like(node, kind))
        return self.build(node)

    def _membership(self, node: exp.In) -> Any:
        if not node.expressions:
            raise InvalidFilter("IN needs a list of values.")
        kind = self._type_of(node.this)
        values = [scalar_like(value, kind) if kind is not None else literal_of(value) for value in node.expressions]
        if any(value is None or (isinstance(value, pa.Scalar) and not value.is_valid) for value in values):
            raise InvalidFilter("IN cannot have NULL among its values: use IS NULL.")
        subject = self.build(node.this)
        if kind is None or not pa.types.is_temporal(kind):  # Python's times end where its calendar does
            values = [value.as_py() if isinstance(value, pa.Scalar) else value for value in values]
        if kind is not None and pa.types.is_integer(kind) and any(isinstance(value, float) for value in values):
            raise InvalidFilter("IN needs integers for a column of integers.")  # Arrow would cut 2.5 to 2
        try:
            found = subject.isin(pa.array(values, kind))
        except (pa.ArrowException, TypeError) as error:
            raise InvalidFilter("The values of IN must be of one type, that of the column.") from error
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
        return function(self.build(node.this), self.build(node.expression))

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
