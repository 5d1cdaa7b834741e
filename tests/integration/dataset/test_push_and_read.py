"""Rows in and out of a running service, as the SDK does it."""

import asyncio

import numpy as np
import pyarrow as pa

from headwater import datasets, tree
from headwater.client import Connection

ROWS = 60_000


def floats(rows: int = ROWS, width: int = 32, seed: int = 1) -> pa.Table:
    values = np.random.default_rng(seed).random(rows * width, np.float32)
    columns = {
        "x": pa.FixedSizeListArray.from_arrays(pa.array(values), width),
        "label": pa.array(np.arange(rows) % 10, pa.int64()),
        "name": pa.array([f"row {row}" for row in range(rows)]),
    }
    return pa.table(columns)


async def test_what_was_pushed_is_read_back(connection: Connection) -> None:
    def story() -> None:
        table = floats()
        pushed = datasets.push(connection, "digits", datasets.Tables({"train": table, "test": table[:10]}), message="m")
        assert pushed.created
        assert pushed.version.name == "projects/default/datasets/digits/versions/v1.0.0"
        assert pushed.version.row_count == ROWS + 10
        splits = [tree.digest_split("test", table.schema, table[:10].to_batches())]
        splits.append(tree.digest_split("train", table.schema, table.to_batches()))
        assert pushed.version.digest == tree.digest_text(tree.version_digest(table.schema, splits))
        got = datasets.reader(connection, pushed.version.name, "train").read_all()
        assert got.equals(table)
        assert datasets.reader(connection, pushed.version.name, "test").read_all().equals(table[:10])
        datasets.verify(connection, "digits")

    await asyncio.to_thread(story)
