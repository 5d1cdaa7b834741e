"""What a commit costs that changes little: its time in a large and in a small dataset, and the bytes that it stores.

python -m tests.bench.dataset_commits --rows 100000      # smaller than it is measured, for a quick try
"""

import argparse
import asyncio
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import sqlalchemy

from chassis.db.engine import Database
from headwater import datasets
from headwater.tree import digest_split, digest_text, version_digest
from services.dataset.postgres import SCHEMA
from tests.bench.paired import Result, measure
from tests.bench.running import Running, running

ROWS, SMALL_ROWS = 1_000_000, 10_000
ROW_BYTES = 1 << 10
VERSIONS = 10
_COMMITS = 5
_TARGET_CHUNK_BYTES = 1 << 20
_SCHEMA = pa.schema([("id", pa.int64()), ("data", pa.binary(ROW_BYTES - 8))])


def run(running: Running, rows: int = ROWS) -> Iterator[Result]:
    """Commits of one changed row, and versions that differ in some places."""
    sizes = {"bench-large": rows, "bench-small": min(rows, SMALL_ROWS)}
    for dataset, count in sizes.items():
        _push(running, dataset, count)
    before = _stored(running)
    edits = {dataset: _one_row(running, dataset, count) for dataset, count in sizes.items()}
    yield measure(
        f"commit that changes 1 row of {rows:,}",
        edits["bench-large"],
        edits["bench-small"],
        unit="/s",
        peer=f"the same of {sizes['bench-small']:,}",
        servers=running.processes("dataset", "postgres"),
        # 1.5 times as long is 1 / 1.5 of the rate.
        must_be="≥ 0.67",
    )
    commits = _versions(running, *sizes) - len(sizes)
    a_commit = (_stored(running) - before) / commits
    yield _bytes(
        f"bytes that such a commit stores ({commits} commits)", a_commit, 3 * _TARGET_CHUNK_BYTES, "3 chunks", 1
    )
    yield _edited_versions(running, rows)


def _edited_versions(running: Running, rows: int) -> Result:
    """Versions of which each has a few hundred rows in a million changed, put in and removed, in twelve places."""
    before, dataset = _stored(running), "bench-edited"
    _push(running, dataset, rows)
    copies = VERSIONS * (_stored(running) - before)
    # Fewer rows have fewer places, so that a quick try touches as large a part of them.
    rng, places, run_rows = np.random.default_rng(7), -(-12 * rows // ROWS), 80
    for version in range(VERSIONS):
        with datasets.edit(running.connection, dataset, message=f"edit {version}") as edit:
            for place in range(places):
                first = int(rng.integers(0, rows - 2 * run_rows))
                gone, come = ((run_rows, run_rows), (0, run_rows), (run_rows, 0))[place % 3]
                edit.replace("train", first, gone, _rows(come, rng))
    _check(running, dataset)
    return _bytes(
        f"bytes of {VERSIONS} edited versions of {rows * ROW_BYTES / 1e9:.2f} GB",
        _stored(running) - before,
        copies,
        f"{VERSIONS} copies",
        0.25,
    )


def _one_row(running: Running, dataset: str, rows: int) -> Callable[[], float]:
    numbers = itertools.count()
    rng = np.random.default_rng(3)

    def work() -> float:
        for _ in range(_COMMITS):
            with datasets.edit(running.connection, dataset, message=str(next(numbers))) as edit:
                result = edit.replace("train", int(rng.integers(0, rows)), 1, _rows(1, rng))
            assert result.new_chunk_count <= 3
        return _COMMITS

    return work


def _push(running: Running, dataset: str, rows: int) -> None:
    rng = np.random.default_rng(list(dataset.encode()))  # no two datasets have rows in common
    batches = (_rows(min(8192, rows - start), rng).to_batches()[0] for start in range(0, rows, 8192))
    reader = pa.RecordBatchReader.from_batches(_SCHEMA, batches)
    datasets.push(running.connection, dataset, datasets.Tables({"train": reader}))


def _rows(count: int, rng: np.random.Generator) -> pa.Table:
    data = pa.py_buffer(rng.bytes(count * (ROW_BYTES - 8)))
    column = pa.Array.from_buffers(_SCHEMA.field("data").type, count, [None, data])
    return pa.table([rng.integers(0, 1 << 62, count), column], schema=_SCHEMA)


def _check(running: Running, dataset: str) -> None:
    """The last version is what its digest says, as a push of all its rows would have it."""
    version = datasets.get_version(running.connection, dataset)
    rows = datasets.reader(running.connection, version.name, "train")
    split = digest_split("train", rows.schema, rows)
    assert digest_text(version_digest(rows.schema, [split])) == version.digest


def _versions(running: Running, *names: str) -> int:
    return sum(len(list(datasets.list_versions(running.connection, name))) for name in names)


def _stored(running: Running) -> int:
    """Bytes of all packs."""

    async def ask() -> int:
        database = Database(running.database_url, SCHEMA)
        try:
            async with database.transaction() as tx:
                size = await tx.execute(sqlalchemy.text("SELECT coalesce(sum(size_bytes), 0) FROM packs"))
                return int(size.scalar_one())
        finally:
            await database.close()

    return asyncio.run(ask())


def _bytes(name: str, ours: float, theirs: float, peer: str, limit: float) -> Result:
    ratio = ours / theirs
    return Result(name, ours, theirs, "bytes", ratio, ratio, ratio, 0.0, peer, f"≤ {limit}")


def main() -> None:
    """Measure with fewer rows, and print what comes out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    with running() as stack:
        for result in run(stack, parser.parse_args().rows):
            print(" | ".join(result.row()), flush=True)


if __name__ == "__main__":
    main()
