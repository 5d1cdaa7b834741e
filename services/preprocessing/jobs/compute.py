"""The part of a job that runs in worker processes: fetch a chunk's rows, run the steps, hand the result back.

A task is a few hundred bytes: workers fetch their rows themselves, on whatever machine the launcher placed them.
"""

import dataclasses
from collections.abc import Sequence

import pyarrow as pa

from headwater import datasets
from headwater.client import Connection, Endpoints
from headwater.transforms import engine
from headwater.transforms.engine import Prefix
from headwater.transforms.model import Step


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """One chunk to process. With ``known``, the first ``known_length`` steps are done already."""

    flight_address: str
    token: str
    version: str
    checkpoint: str
    """Of the version, that whose copy is read; empty: the version's own rows."""
    split: str
    first_row: int
    row_count: int
    steps: tuple[Step, ...]
    keep: tuple[int, ...]
    """Prefix lengths whose results are wanted for the cache."""
    known: bytes = b""
    known_length: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What became of a chunk: the rows to store, and the results by prefix length to cache, as Arrow IPC streams."""

    rows: bytes
    kept: Sequence[tuple[int, bytes]]


def process(task: Task) -> Result:
    """Process one chunk.

    Raises:
        HeadwaterError: a row cannot be processed, or the rows cannot be fetched.
    """
    source = Prefix(task.known_length, unpack(task.known)) if task.known_length else _fetch(task)
    prefixes = engine.run(task.steps, source, task.keep)
    kept = [(prefix.length, pack(prefix.batch)) for prefix in prefixes if prefix.length in task.keep]
    return Result(pack(engine.result(prefixes[-1])), kept)


def pack(batch: pa.RecordBatch) -> bytes:
    """A record batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def unpack(stream: bytes) -> pa.RecordBatch:
    """What :func:`pack` made."""
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_next_batch()


def _fetch(task: Task) -> pa.RecordBatch:
    with Connection(Endpoints(dataset_flight=task.flight_address), task.token) as connection:
        rows = datasets.reader(
            connection,
            task.version,
            task.split,
            checkpoint=task.checkpoint,
            first_row=task.first_row,
            row_limit=task.row_count,
        ).read_all()
    (batch,) = rows.combine_chunks().to_batches()
    return batch
