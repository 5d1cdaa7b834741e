"""Rows of a service on the same host, without their passing through it: its files, mapped into this process's memory.

    table = datasets.open_local(connection, "digits@v1.0.0", "train")

The service verifies the files and names them; nothing is copied, and what of the rows is never looked at is never
read. The memory is the system's file cache, shared by all processes that have the same rows open.
"""

import mmap
import warnings
from collections.abc import Iterator, Sequence

import pyarrow as pa
from pyarrow import flight

from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.datasets.sources import pin
from headwater.datasets.states import VersionDeprecated
from headwater.errors import FailedPrecondition
from headwater.flight import flight_errors
from headwater.names import DEFAULT_PROJECT

LOCAL_FILES = "local_files"


class NotLocal(FailedPrecondition):
    """The service is on another host, or keeps its files where this process cannot open them."""

    reason = "NOT_LOCAL"
    text = "The rows' files cannot be opened here: read them with datasets.reader."


def open_local(
    connection: Connection,
    version: str,
    split: str = "",
    *,
    columns: Sequence[str] = (),
    shard: tuple[int, int] = (0, 1),
    first_row: int = 0,
    row_limit: int = 0,
    checkpoint: str = "",
    project: str = DEFAULT_PROJECT,
) -> pa.Table:
    """The rows as a table whose memory is mapped files; for the arguments see ``datasets.reader``.

    A row's bytes are what they were when the service verified the files: whoever changes a file afterwards, changes
    the table. Files that are deleted meanwhile stay readable for as long as the table lives.

    Raises:
        NotFound, InvalidArgument: there is no such version, split, column or shard.
        FailedPrecondition: reason NOT_LOCAL: this process cannot open the service's files.
        DataLoss: stored bytes do not match their digest.
    """
    index, count = shard
    pinned = pin(connection, version, split, project=project)
    command = flight_pb2.GetCommand(
        version=pinned.name,
        split=pinned.split,
        columns=columns,
        shard_count=count,
        shard_index=index,
        first_row=first_row,
        row_limit=row_limit,
        checkpoint=checkpoint,
    )
    action = flight.Action(LOCAL_FILES, flight_pb2.LocalFilesRequest(command=command).SerializeToString())
    with flight_errors():
        (answer,) = connection.flight().do_action(action, connection.flight_options())
    files = flight_pb2.LocalFiles.FromString(answer.body.to_pybytes())
    if files.warning:
        warnings.warn(files.warning, VersionDeprecated, stacklevel=2)
    return _table(files)


def _table(files: flight_pb2.LocalFiles) -> pa.Table:
    schema = pa.ipc.read_schema(pa.py_buffer(files.arrow_schema))
    try:
        readers = [_open(path) for path in files.paths]
        # The files may differ in the columns that are Headwater's own.
        batches = [batch.select(schema.names) for batch in _batches(readers, files.rows)]
    except (OSError, ValueError) as error:  # mmap refuses an empty file by a ValueError
        raise NotLocal from error
    if not batches:
        return schema.empty_table()
    rows = pa.Table.from_batches([batch.replace_schema_metadata() for batch in batches])
    return pa.Table.from_arrays([rows.column(name) for name in schema.names], schema=schema)


def _open(path: str) -> pa.RecordBatchFileReader:
    """A reader whose batches are parts of the mapped file."""
    with open(path, "rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    # Not from a file of Arrow's, which has the system read ahead for every batch; and with all columns, since some of
    # them it would copy out of the file.
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapping)))


def _batches(
    readers: Sequence[pa.RecordBatchFileReader], rows: Sequence[flight_pb2.LocalRows]
) -> Iterator[pa.RecordBatch]:
    for place in rows:
        batch = readers[place.file].get_batch(place.batch)
        is_whole = place.first_row == 0 and place.row_count == batch.num_rows
        yield batch if is_whole else batch.slice(place.first_row, place.row_count)
