"""Reading rows of a version by Arrow Flight."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import flight

from headwater import tree
from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.datasets.catalog import get_version
from headwater.errors import DataLoss
from headwater.files.export import export
from headwater.flight import flight_errors
from headwater.names import DEFAULT_PROJECT


class DigestDiffers(DataLoss):
    """The rows that came are not those that the version's digest names."""

    reason = "DIGEST_DIFFERS"
    text = "The rows do not have the digest of their version."


def reader(
    connection: Connection,
    version: str,
    split: str,
    *,
    columns: Sequence[str] = (),
    shard: tuple[int, int] = (0, 1),
    first_row: int = 0,
    row_limit: int = 0,
) -> pa.RecordBatchReader:
    """A stream of the split's rows in order, in batches of 1 to 4 MiB.

    Args:
        version: a resource name.
        columns: in this order; none means all.
        shard: ``(index, count)``: the index-th of ``count`` contiguous parts whose sizes differ by one row at most.
        first_row: leave out the rows before this one; shards divide what remains.
        row_limit: at most so many rows; 0 means all.

    Raises:
        NotFound, InvalidArgument: there is no such version, split, column or shard.
        DataLoss: when the stream is read: stored bytes do not match their digest.
    """
    index, count = shard
    command = flight_pb2.GetCommand(
        version=version,
        split=split,
        columns=columns,
        shard_count=count,
        shard_index=index,
        first_row=first_row,
        row_limit=row_limit,
    )
    descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
    with flight_errors():
        info = connection.flight().get_flight_info(descriptor, connection.flight_options())
    return pa.RecordBatchReader.from_batches(info.schema, _batches(connection, info))


def schema(connection: Connection, version: str) -> pa.Schema:
    """The Arrow schema of a version, which is a resource name or a reference."""
    return pa.ipc.read_schema(pa.py_buffer(get_version(connection, version).arrow_schema))


def pull(connection: Connection, version: str, split: str, path: Path, *, columns: Sequence[str] = ()) -> int:
    """Write the split's rows to a file, as of ``headwater.files.export``; returns how many there were."""
    rows = reader(connection, version, split, columns=columns)
    return export(rows, rows.schema, path)


def verify(connection: Connection, version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Read all rows of a version and compute its digest from them, trusting nothing that the server says of them.

    Raises:
        DataLoss: reason DIGEST_DIFFERS, or PACK_CORRUPT when the server itself has noticed.
    """
    stored = get_version(connection, version, project=project)
    splits = []
    for split in stored.splits:
        rows = reader(connection, stored.name, split.name)
        digested = tree.digest_split(split.name, rows.schema, rows)
        if tree.digest_text(digested.root) != split.root:
            raise DigestDiffers(version=stored.name, split=split.name)
        splits.append(digested)
    served = pa.ipc.read_schema(pa.py_buffer(stored.arrow_schema))
    if tree.digest_text(tree.version_digest(served, splits)) != stored.digest:
        raise DigestDiffers(version=stored.name)


def _batches(connection: Connection, info: flight.FlightInfo) -> Iterator[pa.RecordBatch]:
    with flight_errors():
        for endpoint in info.endpoints:
            stream = connection.flight().do_get(endpoint.ticket, connection.flight_options())
            yield from stream.to_reader()
