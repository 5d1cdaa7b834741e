"""Reading rows of a version by Arrow Flight."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import flight

from headwater import tree
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, flight_pb2, views_pb2
from headwater.datasets import orders
from headwater.datasets.catalog import get_version
from headwater.datasets.checkpoints import list_checkpoints
from headwater.datasets.sources import flight_info, pin
from headwater.datasets.states import NoRowsStored, is_place, newest_copy
from headwater.errors import DataLoss, NotFound
from headwater.files.exporting import export
from headwater.flight import flight_errors
from headwater.names import DEFAULT_PROJECT


class DigestDiffers(DataLoss):
    """The rows that came are not those that the version's digest names."""

    reason = "DIGEST_DIFFERS"
    text = "The rows do not have the digest of their version."


class SplitNotFound(NotFound):
    """The version has no such split."""

    reason = "SPLIT_NOT_FOUND"


def reader(
    connection: Connection,
    version: str,
    split: str = "",
    *,
    columns: Sequence[str] = (),
    filter: str = "",  # noqa: A002  # what everybody calls it
    view: str = "",
    checkpoint: str = "",
    shuffle: tuple[int, int] | None = None,
    shard: tuple[int, int] = (0, 1),
    global_batch_rows: int = 0,
    first_row: int = 0,
    row_limit: int = 0,
    project: str = DEFAULT_PROJECT,
) -> pa.RecordBatchReader:
    """A stream of the split's rows in order, in batches of about 2 MiB.

    Args:
        version: a resource name or a reference: of a version, commit, branch or tag; or a split's address,
            ``s3://datasets/digits/v1.0.0/train.tar``, which says ``split`` too.
        columns: in this order; none means all.
        filter: only rows that satisfy this condition (docs/reference/filters.md).
        view: only rows of this view of the version.
        checkpoint: the copy that this checkpoint of the version holds.
        shuffle: ``(seed, epoch)``: in the order that these two numbers choose, the same for every reader.
        shard: ``(index, count)``: the index-th of ``count`` contiguous parts whose sizes differ by one row at most;
            with ``global_batch_rows``, of each batch the index-th of ``count`` parts.
        global_batch_rows: cut into batches of so many rows, each of which is shared by all shards.
        first_row: leave out the rows before this one; shards divide what remains. With ``shuffle`` or
            ``global_batch_rows`` it is a place in the order, so with the rows of a checkpoint's batches all readers
            together go on where they were.
        row_limit: at most so many rows; 0 means all.
        project: where a reference is looked up.

    Raises:
        NotFound, InvalidArgument: there is no such version, split, column, view or shard, or the filter is wrong.
        DataLoss: when the stream is read: stored bytes do not match their digest.
    """
    index, count = shard
    pinned = pin(connection, version, split, project=project)
    command = flight_pb2.GetCommand(
        version=pinned.name,
        split=pinned.split,
        columns=columns,
        filter=filter,
        view=view,
        checkpoint=checkpoint,
        global_batch_rows=global_batch_rows,
        shard_count=count,
        shard_index=index,
        first_row=first_row,
        row_limit=row_limit,
    )
    if shuffle is not None:
        orders.shuffle(command, *shuffle)
    info = flight_info(connection, command)
    return pa.RecordBatchReader.from_batches(info.schema, _batches(connection, info))


def schema(connection: Connection, version: str) -> pa.Schema:
    """The Arrow schema of a version, which is a resource name or a reference.

    Raises:
        NoRowsStored: the version is a place outside, whose columns only its readers are told.
    """
    found = get_version(connection, version)
    if not found.arrow_schema:
        raise NoRowsStored(version=found.name)
    return pa.ipc.read_schema(pa.py_buffer(found.arrow_schema))


def pull(connection: Connection, version: str, split: str, path: Path, **choice: Any) -> int:
    """Write the split's rows to a file, as of ``headwater.files.exporting``; returns how many there were.

    ``choice`` says which columns and rows, as of ``reader``.
    """
    rows = reader(connection, version, split, **choice)
    return export(rows, rows.schema, path)


def holder(
    connection: Connection, version: datasets_pb2.DatasetVersion
) -> datasets_pb2.DatasetVersion | views_pb2.DatasetCheckpoint:
    """What holds the rows of a version: the version itself, or, where it is a place outside, the newest copy.

    Raises:
        NoRowsStored: the version is a place outside, and there is no copy.
    """
    if not is_place(version):
        return version
    if (copy := newest_copy(list_checkpoints(connection, version.name))) is None:
        raise NoRowsStored(version=version.name)
    return copy


def stored_split(connection: Connection, version: datasets_pb2.DatasetVersion, split: str) -> definitions_pb2.Split:
    """What is known of a split of a version or, where that is a place outside, of the newest copy.

    Raises:
        SplitNotFound
        NoRowsStored: the version is a place outside, and there is no copy.
    """
    for stored in holder(connection, version).splits:
        if stored.name == split:
            return stored
    raise SplitNotFound(f"{version.name} has no split {split}.", split=split)


def verify(connection: Connection, version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Read all rows of a version and compute its digest from them, trusting nothing that the server says of them.

    Of a version that is a place outside, it is the newest copy that is verified.

    Raises:
        DataLoss: reason DIGEST_DIFFERS, or PACK_CORRUPT when the server itself has noticed.
        NoRowsStored: the version is a place outside, and there is no copy.
    """
    stored = get_version(connection, version, project=project)
    held = holder(connection, stored)
    checkpoint = "" if held is stored else held.name.rpartition("/")[2]
    splits, served = [], pa.schema([])
    for split in held.splits:
        rows = reader(connection, stored.name, split.name, checkpoint=checkpoint)
        digested, served = tree.digest_split(split.name, rows.schema, rows), rows.schema
        if tree.digest_text(digested.root) != split.root:
            raise DigestDiffers(version=stored.name, split=split.name)
        splits.append(digested)
    if held is stored:
        served = pa.ipc.read_schema(pa.py_buffer(stored.arrow_schema))
    if tree.digest_text(tree.version_digest(served, splits)) != held.digest:
        raise DigestDiffers(version=stored.name)


def _batches(connection: Connection, info: flight.FlightInfo) -> Iterator[pa.RecordBatch]:
    with flight_errors():
        for endpoint in info.endpoints:
            stream = connection.flight().do_get(endpoint.ticket, connection.flight_options())
            # A reader made of the stream would make an OSError of what the server says, without its reason.
            yield from (chunk.data for chunk in stream if chunk.data is not None)
