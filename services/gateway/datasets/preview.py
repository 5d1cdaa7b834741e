"""The first rows of a split as text."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import flight

from headwater.client import Connection
from headwater.dataset.v1 import definitions_pb2, flight_pb2
from headwater.datasets.figures import size
from headwater.flight import flight_errors

_ROWS: Final = 8
_COLUMNS: Final = 24
_CHARACTERS: Final = 80
_ELEMENTS: Final = 8
_TIMEOUT_S: Final = 30.0
_BYTES: Final = 4 << 20
"""What a preview may cost to fetch, about."""

_is = pa.types


@dataclasses.dataclass(frozen=True, slots=True)
class Preview:
    """Rows of a split; None is null."""

    split: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | None]]
    more_columns: int


def preview(connection: Connection, version: str, split: definitions_pb2.Split, names: Sequence[str]) -> Preview:
    """The first rows of a split that is stored, and of many columns, ``names``, the first ones."""
    shown = names[:_COLUMNS]
    row_bytes = max(1, split.size_bytes // max(1, split.row_count))
    limit = max(1, min(_ROWS, _BYTES // row_bytes))
    command = flight_pb2.GetCommand(version=version, split=split.name, columns=shown, row_limit=limit, shard_count=1)
    options = connection.flight_options(_TIMEOUT_S)
    with flight_errors():
        (endpoint,) = _info(connection, command).endpoints
        rows = connection.flight().do_get(endpoint.ticket, options).read_all()
    texts = [[text_of(value) for value in rows.column(number)] for number in range(len(shown))]
    return Preview(split.name, shown, list(zip(*texts, strict=True)), len(names) - len(shown))


def served_schema(connection: Connection, version: str, split: str) -> pa.Schema:
    """What readers of a split get."""
    return _info(connection, flight_pb2.GetCommand(version=version, split=split, shard_count=1)).schema


def _info(connection: Connection, command: flight_pb2.GetCommand) -> flight.FlightInfo:
    # Not by datasets.reader: that warns who reads a deprecated version, whereas here the page says so.
    descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
    with flight_errors():
        return connection.flight().get_flight_info(descriptor, connection.flight_options(_TIMEOUT_S))


def text_of(value: pa.Scalar) -> str | None:
    """A value in one line; of a long one its beginning, of bytes their number."""
    if isinstance(value, pa.ExtensionScalar):
        value = value.value
    if not value.is_valid:
        return None
    return _cut(_nested(value) or _plain(value))


def _nested(value: Any) -> str:
    """Empty for a value that has no others in it."""
    kind = value.type
    if _is.is_struct(kind):
        return "{" + ", ".join(f"{name}: {_inner(each)}" for name, each in value.items()) + "}"
    if _is.is_list(kind) or _is.is_fixed_size_list(kind) or _is.is_large_list(kind) or _is.is_map(kind):
        shown = ", ".join(_inner(each) for each in value.values[:_ELEMENTS])
        more = f", … {len(value.values):,} in all" if len(value.values) > _ELEMENTS else ""
        return f"[{shown}{more}]"
    return ""


def _plain(value: Any) -> str:
    kind = value.type
    if _is.is_binary(kind) or _is.is_fixed_size_binary(kind) or _is.is_large_binary(kind):
        return size(value.as_buffer().size)
    if _is.is_floating(kind):
        return f"{value.as_py():.6g}"
    if _is.is_duration(kind):
        return f"{value.value} {kind.unit}"
    if _is.is_timestamp(kind):  # in UTC: the zone may be one that this machine does not know
        naive = pa.scalar(value.value, pa.int64()).cast(pa.timestamp(kind.unit))
        return f"{pc.cast(naive, pa.string()).as_py()}{'Z' if kind.tz else ''}"
    if _is.is_temporal(kind):
        return str(pc.cast(value, pa.string()).as_py())
    return str(value.as_py())


def _inner(value: pa.Scalar) -> str:
    text = text_of(value)
    return "null" if text is None else text


def _cut(text: str) -> str:
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 1]}…"
