"""Records as Arrow columns: of the Parquet files that older ones are in, and of what Flight sends."""

import json
import operator
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from services.inference.records.model import Record, RecordQuery

_TENSORS = pa.list_(pa.struct([("name", pa.string()), ("datatype", pa.string()), ("shape", pa.list_(pa.int64()))]))
_TYPES = {
    "request_time": pa.timestamp("us", "UTC"),
    "latency_ms": pa.float64(),
    "batch_rows": pa.int32(),
    "rows": pa.int32(),
    "request_bytes": pa.int64(),
    "response_bytes": pa.int64(),
    "is_final": pa.bool_(),
    "inputs": _TENSORS,
    "outputs": _TENSORS,
    "redacted": pa.list_(pa.string()),
    "request_body": pa.binary(),
    "response_body": pa.binary(),
    "sequence": pa.int64(),
}
_FIELDS = Record._fields
_JSON = ("inputs", "outputs", "redacted")
BODIES = ("request_body", "response_body")

FULL_SCHEMA = pa.schema([pa.field(name, _TYPES.get(name, pa.string())) for name in _FIELDS])
"""Every fact of a record, and its bodies."""
SCHEMA = pa.schema([field for field in FULL_SCHEMA if field.name not in BODIES])
"""Without the bodies."""
BODY_SCHEMA = pa.schema([FULL_SCHEMA.field(name) for name in ("request_id", "sequence", *BODIES)])
"""The bodies, and whose they are."""


def to_batch(records: Sequence[Record], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    """The records, one a row, in the columns of ``schema``."""
    return pa.record_batch([_column(records, field) for field in schema], schema=schema)


def to_records(batch: pa.RecordBatch | pa.Table) -> list[Record]:
    """The inverse; bodies that have no column are left out."""
    rows: list[dict[str, Any]] = batch.to_pylist()
    for row in rows:
        row["inputs"], row["outputs"] = (_tensors_to_json(row[name]) for name in ("inputs", "outputs"))
        row["redacted"] = json.dumps(row["redacted"])
    return [Record(**row) for row in rows]


def condition(query: RecordQuery | None, after: int = 0, until: int = 0) -> pc.Expression:
    """Which rows are those of the query, with a number above ``after`` and, if that is given, up to ``until``."""
    wanted = pc.field("sequence") > after
    if until:
        wanted &= pc.field("sequence") <= until
    if query is None:
        return wanted
    for name in ("project", "deployment", "model_version", "result"):
        if value := getattr(query, name):
            wanted &= pc.field(name) == value
    times = _TYPES["request_time"]
    if query.start is not None:
        wanted &= pc.field("request_time") >= pa.scalar(query.start, times)
    if query.end is not None:
        wanted &= pc.field("request_time") < pa.scalar(query.end, times)
    return wanted


def _column(records: Sequence[Record], field: pa.Field) -> pa.Array:
    values = map(operator.attrgetter(field.name), records)
    if field.name not in _JSON:
        return pa.array(list(values), field.type)
    if field.name == "redacted":
        return pa.array([json.loads(value) for value in values], field.type)
    return pa.array([_tensors_from_json(value) for value in values], field.type)


def _tensors_from_json(text: str) -> list[dict[str, object]]:
    return [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in json.loads(text)]


def _tensors_to_json(tensors: list[dict[str, object]]) -> str:
    facts = [[each["name"], each["datatype"], each["shape"]] for each in tensors]
    return json.dumps(facts, separators=(",", ":"))
