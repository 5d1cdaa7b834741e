"""How the columns of two commits differ."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Self

import pyarrow as pa

from headwater.dataset.v1 import history_pb2
from headwater.tree import schema_digest


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """The columns of two commits; of one whose rows are in a place outside, none are known."""

    before: pa.Schema
    after: pa.Schema

    @classmethod
    def of(cls, base: history_pb2.Commit, target: history_pb2.Commit) -> Self:
        """Those of two commits."""
        return cls(_schema(base), _schema(target))

    @property
    def came(self) -> tuple[pa.Field, ...]:
        """Only the target has them."""
        return _only_in(self.after, self.before)

    @property
    def went(self) -> tuple[pa.Field, ...]:
        """Only the base has them."""
        return _only_in(self.before, self.after)

    @property
    def retyped(self) -> tuple[tuple[pa.Field, pa.Field], ...]:
        """Both have them, with different types."""
        pairs = [(field, self.after.field(field.name)) for field in self.before if field.name in self.after.names]
        return tuple((one, other) for one, other in pairs if not one.type.equals(other.type))

    def told(self) -> Iterator[str]:
        """What differs, in words; nothing when the rows of both could have the same digests."""
        if not self.before.names or not self.after.names or schema_digest(self.before) == schema_digest(self.after):
            return
        yield from (f"column {field.name} came: {field.type}" for field in self.came)
        yield from (f"column {field.name} went: {field.type}" for field in self.went)
        yield from (f"column {one.name} changed: {one.type} -> {other.type}" for one, other in self.retyped)
        if not (self.came or self.went or self.retyped):
            yield f"columns are in another order: {', '.join(self.after.names)}"

    def chosen(self, names: Sequence[str], side: pa.Schema) -> Sequence[str] | None:
        """Of the columns that are wanted those that one side has, where the other has the rest; None: it has none."""
        if any(name not in self.before.names and name not in self.after.names for name in names):
            return names  # the service says which it does not know
        return [name for name in names if name in side.names] or (None if names else ())


def _only_in(schema: pa.Schema, other: pa.Schema) -> tuple[pa.Field, ...]:
    return tuple(field for field in schema if field.name not in other.names)


def _schema(commit: history_pb2.Commit) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(commit.arrow_schema)) if commit.arrow_schema else pa.schema([])
