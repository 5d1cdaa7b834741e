"""Chunks that were stored before it was noted how they end: rows are added to them, changed among them and pushed again
as with any others (promise 17)."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy

from chassis.db.engine import Database
from headwater import datasets, tree
from headwater.client import Connection
from headwater.datasets import changes
from services.dataset.postgres import SCHEMA

ROWS = 3000
Forget = Callable[[], Awaitable[int]]


def rows(first: int, count: int) -> pa.Table:
    values = np.random.default_rng(first).random(count * 512, np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values), 512)
    return pa.table({"id": np.arange(first, first + count), "x": vectors})


def digest_of(table: pa.Table) -> str:
    split = tree.digest_split("train", table.schema, table.to_batches())
    return tree.digest_text(tree.version_digest(table.schema, [split]))


def chunk_begins(table: pa.Table) -> list[int]:
    builder = tree.ChunkBuilder(table.schema)
    chunks = [chunk for batch in table.to_batches() for chunk in builder.push(batch)] + builder.finish()
    return list(itertools.accumulate((chunk.row_count for chunk in chunks[:-1]), initial=0))


@pytest.fixture
async def forget(postgres_url: str) -> Forget:
    """A function that leaves of all chunks what migration 0004 knows of those before it."""

    async def work() -> int:
        database = Database(postgres_url, SCHEMA)
        try:
            async with database.transaction() as tx:
                undo = "UPDATE chunks SET ends_naturally = DEFAULT, first_row_bytes = DEFAULT, statistics = DEFAULT"
                return int((await tx.execute(sqlalchemy.text(undo))).rowcount)
        finally:
            await database.close()

    return work


def push(connection: Connection, table: pa.Table) -> datasets.Pushed:
    return datasets.push(connection, "d", datasets.Tables({"train": table}))


async def test_rows_are_changed_among_them(connection: Connection, forget: Forget) -> None:
    """At the end, at the beginning, in the middle, and where a row decides how the chunk before it ends."""
    table = rows(0, ROWS)
    await asyncio.to_thread(push, connection, table)
    begins = chunk_begins(table)
    assert len(begins) > 4
    for first, count, new in ((ROWS, 0, 50), (0, 1, 2), (begins[2], 1, 1), (begins[3] + 1, 5, 0), (begins[1], 400, 0)):
        assert await forget() > 4
        put = rows(10_000 + first, new)
        table = pa.concat_tables([table.slice(0, first), put, table.slice(first + count)])

        def change(place: tuple[int, int] = (first, count), put: pa.Table = put) -> str:
            with changes.edit(connection, "d") as edit:
                edit.replace("train", *place, put)
            return edit.commit.digest

        assert await asyncio.to_thread(change) == digest_of(table), (first, count, new)
    found = await asyncio.to_thread(datasets.to_arrow, connection, "d", "train", filter="id >= 10000")
    assert found.column("id").to_pylist() == [each for each in table.column("id").to_pylist() if each >= 10_000]


async def test_what_is_pushed_onto_them_is_sent_once_more_and_known_from_then_on(
    connection: Connection, forget: Forget
) -> None:
    table = rows(0, ROWS)
    await asyncio.to_thread(push, connection, table)
    stored = await forget()
    longer = pa.concat_tables([table, rows(ROWS, 500)])

    pushed = await asyncio.to_thread(push, connection, longer)
    assert pushed.version.digest == digest_of(longer)
    assert pushed.new_chunk_count >= stored
    again = await asyncio.to_thread(push, connection, longer.slice(0, ROWS + 400))
    assert again.version.digest == digest_of(longer.slice(0, ROWS + 400))
    assert again.new_chunk_count <= 2
    # The first version, whose chunks have been described since, still gives its rows.
    first = await asyncio.to_thread(datasets.to_arrow, connection, "d@v1.0.0", "train")
    assert first.equals(table)
