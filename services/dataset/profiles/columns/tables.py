"""The summary of a table: one of each column."""

from typing import Any

import pyarrow as pa

from services.dataset.profiles.columns.nested import ListColumn, NullColumn, StructColumn, element_type
from services.dataset.profiles.columns.scalars import BooleanColumn, DecimalColumn, NumberColumn
from services.dataset.profiles.columns.summary import Summary
from services.dataset.profiles.columns.texts import TextColumn
from services.dataset.profiles.limits import Limits
from services.dataset.profiles.model import ColumnProfile
from services.dataset.rows.layout import plain_type

_is = pa.types


class TableSummary:
    """What is known of the rows of a table. For one thread at a time."""

    def __init__(self, schema: pa.Schema, limits: Limits) -> None:
        self._columns = {field.name: _make(field.name, field.type, limits) for field in schema}

    def add(self, rows: pa.Table) -> None:
        """Take the next rows. The same rows in the same tables give the same profile."""
        for name, summary in self._columns.items():
            summary.add(rows.column(name))

    def profiles(self) -> tuple[ColumnProfile, ...]:
        """The columns in the schema's order, each followed by those below it."""
        return tuple(profile for summary in self._columns.values() for profile in summary.profiles())


def column_count(schema: pa.Schema) -> int:
    """Columns of a profile of rows of this schema."""
    return sum(_count(field.type) for field in schema)


class _Plain:
    """A column that comes in another layout than its values are looked at in."""

    def __init__(self, kind: pa.DataType, inner: Summary) -> None:
        self._kind = kind
        self._inner = inner
        self.profiles = inner.profiles

    def add(self, values: pa.ChunkedArray) -> None:
        """See Summary."""
        if isinstance(values.type, pa.BaseExtensionType):
            storage = values.type.storage_type
            values = pa.chunked_array([chunk.storage for chunk in values.chunks], storage)
        self._inner.add(values.cast(self._kind))


def _make(column: str, kind: Any, limits: Limits) -> Summary:
    plain = _plain(kind)
    summary = _summary(column, plain, limits)
    return summary if plain == kind else _Plain(plain, summary)


def _plain(kind: Any) -> Any:
    return plain_type(kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind)


def _summary(column: str, kind: Any, limits: Limits) -> Summary:
    def make(name: str, inner: Any) -> Summary:
        return _make(name, inner, limits)

    if _is.is_null(kind):
        return NullColumn(column, kind)
    if _is.is_boolean(kind):
        return BooleanColumn(column, kind, limits)
    if _is.is_decimal(kind):
        return DecimalColumn(column, kind, limits)
    if _is.is_struct(kind):
        return StructColumn(column, kind, make)
    if _is.is_list(kind) or _is.is_fixed_size_list(kind) or _is.is_map(kind):
        return ListColumn(column, kind, limits, make)
    if _is.is_string(kind) or _is.is_binary(kind) or _is.is_fixed_size_binary(kind):
        return TextColumn(column, kind, limits)
    return NumberColumn(column, kind, limits)


def _count(kind: Any) -> int:
    kind = _plain(kind)
    if _is.is_struct(kind):
        return 1 + sum(_count(field.type) for field in kind)
    if _is.is_list(kind) or _is.is_fixed_size_list(kind) or _is.is_map(kind):
        return 1 + _count(element_type(kind))
    return 1
