"""Asking the service what it would say of rows, without storing them.

checked = datasets.check(connection, table, version="digits@v1.0.0")
checked.digest, checked.problems
"""

import dataclasses
from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyarrow import flight

from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.datasets.catalog import resolve
from headwater.flight import flight_errors
from headwater.names import DEFAULT_PROJECT

_BATCH_BYTES = 8 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """A row that could not be stored."""

    row: int
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """What the service says of rows."""

    digest: str
    """The digest of a version that has these rows as its one split; empty when there are problems."""
    row_count: int
    problem_count: int
    problems: tuple[Problem, ...]
    """The first of them."""


def check(
    connection: Connection,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    version: str = "",
    split: str = "train",
    project: str = DEFAULT_PROJECT,
    max_problems: int = 100,
) -> Checked:
    """Send rows to be checked as ``push`` would have them checked; nothing is stored.

    Args:
        version: whose columns the rows should have, a resource name or a reference; empty: any columns.
        split: which split the rows would be, for the digest.
        max_problems: how many problems to keep; all are counted.

    Raises:
        InvalidArgument: no row can be stored: the columns are not those of the version, or of no dataset.
    """
    name = resolve(connection, version, project=project) if version else ""
    command = flight_pb2.CheckCommand(version=name, split=split).SerializeToString()
    descriptor = flight.FlightDescriptor.for_command(command)
    problems: list[Problem] = []
    first_row = 0
    with flight_errors():
        writer, reader = connection.flight().do_exchange(descriptor, connection.flight_options())
        with writer:
            writer.begin(rows.schema)
            for batch in _batches(rows):
                writer.write_batch(batch)
                # Each answer is awaited, so that neither side waits for the other to read.
                verdicts = reader.read_chunk().data
                if len(problems) < max_problems:
                    problems += _problems(verdicts, first_row)
                first_row += batch.num_rows
            writer.done_writing()
            result = flight_pb2.CheckResult.FromString(reader.read_chunk().app_metadata.to_pybytes())
    return Checked(result.digest, result.row_count, result.problem_count, tuple(problems[:max_problems]))


def _problems(verdicts: pa.RecordBatch, first_row: int) -> Iterator[Problem]:
    texts = verdicts.column("problem")
    if texts.null_count < len(texts):
        yield from (Problem(first_row + row, text) for row, text in enumerate(texts.to_pylist()) if text is not None)


def _batches(rows: pa.Table | pa.RecordBatchReader) -> Iterable[pa.RecordBatch]:
    for batch in rows.to_batches() if isinstance(rows, pa.Table) else rows:
        step = max(1, batch.num_rows * _BATCH_BYTES // max(1, batch.nbytes))
        yield from (batch.slice(start, step) for start in range(0, batch.num_rows, step))
