"""Digests that were written down once: whatever changes them changes the format, and needs a new name for it.

The rows are made here by rule, so that another implementation can make them too.
"""

import datetime
import decimal
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from headwater.tree import digest_split, digest_text, schema_digest, version_digest

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "tree" / "golden.json").read_text())


def numbers(rows: int) -> pa.Table:
    """Row i is (i, i * i mod 256, "row i"): several chunks when there are enough."""
    ids = np.arange(rows, dtype=np.int64)
    texts = pa.array([f"row {i}" for i in range(rows)], pa.string())
    return pa.table({"id": ids, "square": (ids * ids % 256).astype(np.uint8), "text": texts})


def images() -> pa.Table:
    """Row i is 1,000 * (i mod 7) bytes of value i, a label and a path: as an image folder gives them."""
    return pa.table(
        {
            "image": pa.array([bytes([i]) * 1000 * (i % 7) for i in range(200)], pa.binary()),
            "label": [str(i % 10) for i in range(200)],
            "path": [f"{i % 10}/{i:04}.png" for i in range(200)],
        }
    )


def tensors() -> pa.Table:
    """Row i is 64 float32 values (64 i + j) / 7 and a class."""
    values = (np.arange(3000 * 64) / np.float32(7)).astype(np.float32)
    return pa.table(
        {"pixels": pa.FixedSizeListArray.from_arrays(pa.array(values), 64), "class": pa.array(np.arange(3000) % 10)}
    )


def everything() -> pa.Table:
    """Three rows of every type: a value, another, and null."""
    at = datetime.datetime(2024, 2, 29, 12, 34, 56, 789, tzinfo=datetime.UTC)
    columns: dict[str, pa.Array] = {
        "bool": pa.array([True, False, None]),
        "date": pa.array([at.date(), datetime.date(1969, 7, 20), None]),
        "time": pa.array([at.time(), datetime.time(0), None], pa.time64("us")),
        "instant": pa.array([at, datetime.datetime(1969, 7, 20, tzinfo=datetime.UTC), None]),
        "naive": pa.array([1, -1, None], pa.timestamp("ms")),
        "duration": pa.array([1, -1, None], pa.duration("ns")),
        "decimal": pa.array([decimal.Decimal("12.34"), decimal.Decimal("-0.01"), None], pa.decimal128(6, 2)),
        "wide": pa.array([decimal.Decimal(10) ** 39, decimal.Decimal(-1), None], pa.decimal256(50, 0)),
        "text": pa.array(["Grüße", "", None]),
        "bytes": pa.array([b"\x00\xff", b"", None]),
        "list": pa.array([[1, None, 3], [], None], pa.list_(pa.int16())),
        "texts": pa.array([["a", None, "bc"], [], None]),
        "struct": pa.array([{"x": 1.5, "y": ["z"]}, {"x": None, "y": []}, None]),
        "map": pa.array([[("a", 1), ("b", None)], [], None], pa.map_(pa.string(), pa.int32())),
        "null": pa.nulls(3),
    }
    for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        columns[kind] = pa.array([100, 0, None], kind)
    for kind in ("float16", "float32", "float64"):
        columns[kind] = pa.array([float("nan"), -0.0, None], kind)
    return pa.table(columns)


CASES = {
    "no rows": numbers(0),
    "one row": numbers(1),
    "numbers": numbers(200_000),
    "images": images(),
    "tensors": tensors(),
    "everything": everything(),
}


@pytest.mark.parametrize("name", CASES)
def test_digests_stay_what_they_were(name: str) -> None:
    """N-11: a digest that was recorded years ago still names the same rows."""
    table = CASES[name]
    split = digest_split("train", table.schema, table.to_batches())
    assert GOLDEN[name] == {
        "schema": digest_text(schema_digest(table.schema)),
        "root": digest_text(split.root),
        "version": digest_text(version_digest(table.schema, [split])),
    }
