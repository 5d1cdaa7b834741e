"""The Arrow layout that rows are stored and served in.

One logical column can arrive in several layouts (string, large_string, a dictionary of strings, a view). Rows are
stored in one of them, so that chunks can be shared whatever the client's library prefers: dictionaries are unfolded,
views and 64-bit offsets become plain 32-bit ones, and everything is nullable. What has a meaning of its own for
readers, like fixed_size_list, the unit of a timestamp, or an extension type, is left alone: it makes a layout of its
own, and chunks are shared within a layout only.
"""

import dataclasses
import functools
import hashlib
import re
from typing import Any

import pyarrow as pa

from headwater import tree
from services.dataset.errors import InvalidColumnName, MalformedSchema, SchemaTooLarge

MAX_SCHEMA_BYTES = 1 << 20
ROW_DIGEST = "headwater.row_digest"
"""The last column of every pack: the rows' digests. It is never served, and no user's column can have its name."""
ROW_NUMBER = "headwater.row"
"""Beside the columns that a condition looks at, while it is looked up. No user's column can have its name either."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_is = pa.types


@dataclasses.dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of one stream are stored."""

    stored: pa.Schema
    """The columns as packs hold them: plain types, no metadata."""
    served: pa.Schema
    """What readers get: the same with the metadata that came with the rows."""
    digest: bytes
    """Names ``stored``; chunks are shared by trees of the same layout digest."""

    @classmethod
    def of(cls, schema: pa.Schema) -> "Layout":
        """The layout for rows of ``schema``.

        Raises:
            InvalidSchema, UnsupportedType: the tree cannot have such rows.
            InvalidColumnName, SchemaTooLarge
        """
        tree.schema_digest(schema)
        for field in schema:
            _check_names(field)
        for own in {ROW_DIGEST, ROW_NUMBER} & set(schema.names):
            raise InvalidColumnName(f"The name {own} is Headwater's own.", column=own)
        fields = [pa.field(field.name, plain_type(field.type)) for field in schema]
        stored = pa.schema(fields)
        served = pa.schema(
            [plain.with_metadata(field.metadata) for plain, field in zip(fields, schema, strict=True)], schema.metadata
        )
        if served.serialize().size > MAX_SCHEMA_BYTES:
            raise SchemaTooLarge(limit_bytes=MAX_SCHEMA_BYTES)
        return cls(stored, served, hashlib.sha256(stored.serialize()).digest())

    @property
    def packed(self) -> pa.Schema:
        """What packs hold: ``stored``, and each row's digest."""
        return self.stored.append(pa.field(ROW_DIGEST, pa.binary(tree.DIGEST_BYTES), nullable=False))

    @property
    def served_bytes(self) -> bytes:
        """``served`` as an Arrow IPC message."""
        return bytes(self.served.serialize())


def parse_schema(message: bytes) -> pa.Schema:
    """The schema of an Arrow IPC schema message that somebody sent, or MalformedSchema."""
    try:
        return pa.ipc.read_schema(pa.py_buffer(message))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise MalformedSchema from error


def laid_out(rows: pa.RecordBatch, stored: pa.Schema) -> pa.RecordBatch:
    """The rows in the plain types of ``stored``.

    Raises:
        ArrowInvalid, ArrowNotImplementedError: values do not fit the types.
    """
    between = _without_dictionaries_of_views(rows.schema)
    return (rows if between is None else rows.cast(between)).cast(stored)


@functools.lru_cache(maxsize=64)
def _without_dictionaries_of_views(schema: pa.Schema) -> pa.Schema | None:
    """What to cast rows to first, since Arrow does not unfold dictionaries of views; None where there are none."""
    between = pa.schema([field.with_type(_folded(field.type)) for field in schema])
    return None if between.types == schema.types else between


def _folded(kind: Any) -> Any:
    """The type, with plain values in its dictionaries."""
    if _is.is_dictionary(kind):
        return pa.dictionary(kind.index_type, plain_type(kind.value_type), kind.ordered)
    if _is.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_folded(kind.value_type)), kind.list_size)
    if _is.is_list(kind) or _is.is_large_list(kind):
        return (pa.list_ if _is.is_list(kind) else pa.large_list)(kind.value_field.with_type(_folded(kind.value_type)))
    if _is.is_struct(kind):
        return pa.struct([field.with_type(_folded(field.type)) for field in kind])
    return kind


def plain_type(kind: Any) -> Any:
    """The layout in which values of type ``kind`` are stored."""
    if isinstance(kind, pa.BaseExtensionType):
        return kind  # it requires its own storage type
    if _is.is_dictionary(kind):
        return plain_type(kind.value_type)
    if _is.is_large_string(kind) or _is.is_string_view(kind):
        return pa.string()
    if _is.is_large_binary(kind) or _is.is_binary_view(kind):
        return pa.binary()
    return _plain_nested(kind)


def _plain_nested(kind: Any) -> Any:
    if _is.is_fixed_size_list(kind):
        return pa.list_(pa.field("item", plain_type(kind.value_type)), kind.list_size)
    if _is.is_list(kind) or _is.is_large_list(kind) or _is.is_list_view(kind) or _is.is_large_list_view(kind):
        return pa.list_(pa.field("item", plain_type(kind.value_type)))
    if _is.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if _is.is_struct(kind):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in kind])
    return kind


def _check_names(field: pa.Field) -> None:
    if _CONTROL.search(field.name):
        raise InvalidColumnName(column=repr(field.name))
    for inner in _inner_fields(field.type):
        _check_names(inner)


def _inner_fields(kind: Any) -> list[pa.Field]:
    if isinstance(kind, pa.BaseExtensionType):
        return _inner_fields(kind.storage_type)
    if _is.is_struct(kind):
        return list(kind)
    if _is.is_map(kind):
        return [kind.key_field, kind.item_field]
    # Of the types that rows can have only lists are left; a dictionary's values are never nested.
    return [kind.value_field] if hasattr(kind, "value_field") else []
