"""A shuffled read of a million rows of 1 KB, against the same rows in order, and the memory that it takes."""

import contextlib
import threading
from collections.abc import Iterator

import numpy as np
import psutil
import pyarrow as pa

from headwater import datasets
from tests.bench.paired import Result, measure
from tests.bench.running import Running

ROWS, ROW_BYTES = 1_000_000, 1 << 10
LIMIT_MIB = 512
_BATCH_ROWS = 2048
_WATCH_EVERY_S = 0.02


def run(running: Running) -> Iterator[Result]:
    """Another epoch each time."""
    version = _pushed(running)
    epochs = iter(range(1 << 30))

    def shuffled() -> float:
        return _read(running, version, (7, next(epochs)))

    (server,) = running.processes("dataset")
    with _highest_resident(server) as highest:
        shuffled()
    yield measure(
        f"shuffled read of {ROWS:,} rows of 1 KB",
        shuffled,
        lambda: _read(running, version, None),
        unit="rows/s",
        peer="one after the other",
        servers=running.processes("dataset", "postgres"),
        must_be="≥ 0.5",
    )
    mib = highest[0] / 2**20
    yield Result(
        "the server's resident memory meanwhile", mib, LIMIT_MIB, "MiB", mib / LIMIT_MIB, mib / LIMIT_MIB,
        mib / LIMIT_MIB, 0.0, "what it must not exceed", "≤ 1.0",
    )  # fmt: skip


def _pushed(running: Running) -> str:
    rng = np.random.default_rng(0)
    schema = pa.schema([("row", pa.binary(ROW_BYTES))])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, ROWS, _BATCH_ROWS):
            count = min(_BATCH_ROWS, ROWS - start)
            data = pa.py_buffer(rng.bytes(count * ROW_BYTES))
            yield pa.record_batch([pa.Array.from_buffers(schema.field(0).type, count, [None, data])], schema=schema)

    rows = datasets.Tables({"train": pa.RecordBatchReader.from_batches(schema, batches())})
    return datasets.push(running.connection, "bench-shuffled", rows).version.name


def _read(running: Running, version: str, shuffle: tuple[int, int] | None) -> float:
    rows = sum(batch.num_rows for batch in datasets.reader(running.connection, version, "train", shuffle=shuffle))
    assert rows == ROWS
    return float(rows)


@contextlib.contextmanager
def _highest_resident(process: psutil.Process) -> Iterator[list[int]]:
    """The most bytes that were resident, of what was looked at every 20 ms."""
    highest, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_EVERY_S):
            highest[0] = max(highest[0], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield highest
    finally:
        ended.set()
        thread.join()
