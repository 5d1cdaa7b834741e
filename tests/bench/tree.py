"""Rows and bytes per second of the dataset tree: against what was promised, and with ``python -m tests.bench.tree``
for rows of more kinds, beside a bare SHA-256.

One core; CPU seconds, so that a busy machine changes little. Each case and its floor run in turn; the median of the
rounds counts.
"""

import functools
import hashlib
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from headwater.tree import digest_split, version_digest
from tests.bench.paired import Result
from tests.bench.running import Running

ROUNDS = 7
MIB = 2**20


PROMISED = {"3 numbers": (1e6, "rows/s"), "150 KB image": (1e9, "bytes/s")}


def run(_running: Running) -> Iterator[Result]:
    """Small rows and images."""
    for name, (promised, unit) in PROMISED.items():
        table = cases()[name]
        batches, work = _batches(table), table.num_rows if unit == "rows/s" else table.nbytes
        rates = sorted(work / cpu_seconds(functools.partial(digest, batches)) for _ in range(ROUNDS))
        median = statistics.median(rates)
        low, ratio, high = (rate / promised for rate in (rates[0], median, rates[-1]))
        yield Result(
            f"digests, chunks and tree of rows of {name}, one core", median, promised, unit, ratio, low, high,
            1000 / median, "what was promised", "≥ 1.0",
        )  # fmt: skip


def cases() -> dict[str, pa.Table]:
    """Small rows, float vectors of three sizes, and images."""
    rng = np.random.default_rng(0)
    ids = np.arange(1_000_000)
    numbers = pa.table({"id": ids, "x": rng.random(len(ids), np.float32), "label": rng.integers(0, 10, len(ids))})
    names = pa.array([f"name-{i}" for i in ids.tolist()])
    images = pa.array([rng.bytes(150_000) for _ in range(1000)], pa.binary())
    return {
        "3 numbers": numbers,
        "3 numbers, 1 text": numbers.append_column("text", names),
        "3 numbers, 1 dictionary": numbers.append_column("text", names.take(pa.array(ids % 50)).dictionary_encode()),
        "64 float32": vectors(rng, 64),
        "784 float32": vectors(rng, 784),
        "37,500 float32": vectors(rng, 37_500),
        "150 KB image": pa.table({"image": images, "label": ["cat"] * 1000, "path": [f"{i}.png" for i in range(1000)]}),
    }


def vectors(rng: np.random.Generator, width: int) -> pa.Table:
    """128 MiB of vectors with a class each."""
    count = 128 * MIB // (4 * width)
    values = pa.array(rng.random(count * width, np.float32))
    classes = rng.integers(0, 10, count)
    return pa.table({"pixels": pa.FixedSizeListArray.from_arrays(values, width), "class": classes})


def cpu_seconds(work: Callable[[], object]) -> float:
    """How long ``work`` kept a core busy."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Print the table."""
    print(f"{'rows of':26}{'M rows/s':>10}{'GB/s':>8}{'of bare SHA-256':>17}")
    for name, table in cases().items():
        batches = _batches(table)
        content = bytes(table.nbytes)
        times, ratios = [], []
        for _ in range(ROUNDS):
            floor = cpu_seconds(functools.partial(hashlib.sha256, content))
            times.append(cpu_seconds(functools.partial(digest, batches)))
            ratios.append(floor / times[-1])
        seconds = statistics.median(times)
        rows, size = table.num_rows / seconds / 1e6, table.nbytes / seconds / 1e9
        print(f"{name:26}{rows:10.3f}{size:8.2f}{statistics.median(ratios):17.2f}")


def _batches(table: pa.Table) -> list[pa.RecordBatch]:
    batches: list[pa.RecordBatch] = table.to_batches(max(1, 2 * MIB * table.num_rows // table.nbytes))
    return batches


def digest(batches: list[pa.RecordBatch]) -> bytes:
    """All levels, from the rows to the version."""
    schema = batches[0].schema
    return version_digest(schema, [digest_split("train", schema, batches)])


if __name__ == "__main__":
    main()
