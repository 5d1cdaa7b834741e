"""Where the rows of a command come from: the service, or, for a forked process, a process that asks it.

gRPC, on which Flight stands, does not survive a fork: a forked process that uses it waits for ever
(https://github.com/grpc/grpc/blob/master/doc/fork_support.md). PyTorch forks its data loader's workers. So a process
that is a fork of the one that a source was made in starts a fresh one, ``headwater.datasets.relay``, to read for it.
"""

import dataclasses
import os
import warnings
from collections.abc import Callable, Generator
from typing import Any

import pyarrow as pa
from pyarrow import flight

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.datasets import relay
from headwater.datasets.catalog import resolve
from headwater.datasets.states import VersionDeprecated
from headwater.flight import flight_errors
from headwater.names import DEFAULT_PROJECT, CommitName, DatasetVersionName

# The first to ask for a filter waits until the service knows which rows satisfy it.
_INFO_TIMEOUT_S = 600.0


@dataclasses.dataclass(frozen=True, slots=True)
class Info:
    """What a command would give."""

    schema: pa.Schema
    row_count: int
    size_bytes: int
    """About."""


def describe(connection: Connection, command: flight_pb2.GetCommand) -> Info:
    """The schema and the number of the rows that a command asks for.

    Where the service does not know how many rows satisfy a filter, they are counted, by reading one small column.
    """
    info = flight_info(connection, command)
    if info.total_records >= 0:
        return Info(info.schema, int(info.total_records), max(0, int(info.total_bytes)))
    narrow = flight_pb2.GetCommand()
    narrow.CopyFrom(command)
    narrow.columns[:] = [min(info.schema, key=_width).name]
    row_count = sum(batch.num_rows for batch in read(connection, narrow))
    return Info(info.schema, row_count, max(0, int(info.total_bytes)))


class ServiceSource:
    """Rows from the service, in whatever process: the one that has made this, its forks, and those it is pickled to."""

    def __init__(self, connection: Connection, token: Callable[[], str] | None = None) -> None:
        """``token`` gives the token in other processes, and can be pickled; without it they get the present one."""
        self.connection = connection
        self._token = token
        self._pid = os.getpid()

    def __call__(self, command: flight_pb2.GetCommand) -> Generator[pa.RecordBatch, None, None]:
        """The rows that the command asks for, of all its shards one after the other or of the one it names."""
        if os.getpid() == self._pid:
            return read(self.connection, command)
        token = self._token() if self._token is not None else self.connection.token
        return relay.read(self.connection.endpoints, token, command)

    def __getstate__(self) -> dict[str, Any]:
        return {"endpoints": self.connection.endpoints, "token": self._token or self.connection.token}

    def __setstate__(self, state: dict[str, Any]) -> None:
        token: str | Callable[[], str] = state["token"]
        connection = Connection(state["endpoints"], token)
        self.__init__(connection, token if callable(token) else None)  # type: ignore[misc]


@dataclasses.dataclass(frozen=True, slots=True)
class Pinned:
    """A reference, looked up."""

    name: str
    """The resource name of a version or a commit, which stay what they are."""
    split: str
    """The split."""
    is_moving: bool
    """Whether the reference may come to mean another."""


def pin(connection: Connection, reference: str, split: str, *, project: str = DEFAULT_PROJECT) -> Pinned:
    """What a reference, and a split where the reference is not a split's address, mean now.

    Raises:
        InvalidName: no split is said, or two that differ.
    """
    reference, split = references.split_within(reference, split, project)
    fixed = isinstance(references.dataset_revision(reference, project), DatasetVersionName | CommitName)
    return Pinned(resolve(connection, reference, project=project), split, is_moving=not fixed)


def read(connection: Connection, command: flight_pb2.GetCommand) -> Generator[pa.RecordBatch, None, None]:
    """The rows that a command asks for, in batches of 1 to 4 MiB; the stream is cancelled when this is closed."""
    for endpoint in flight_info(connection, command).endpoints:
        with flight_errors():
            stream = connection.flight().do_get(endpoint.ticket, connection.flight_options())
        try:
            with flight_errors():
                # A reader made of the stream would make an OSError of what the server says, without its reason.
                yield from (chunk.data for chunk in stream if chunk.data is not None)
        finally:
            stream.cancel()


def flight_info(connection: Connection, command: flight_pb2.GetCommand) -> flight.FlightInfo:
    """The service's answer to a command: the schema, and a ticket for each shard."""
    descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
    with flight_errors():
        info = connection.flight().get_flight_info(descriptor, connection.flight_options(_INFO_TIMEOUT_S))
    if info.app_metadata:
        warnings.warn(info.app_metadata.decode(), VersionDeprecated, stacklevel=2)
    return info


def _width(field: pa.Field) -> int:
    """Bits of a value; what has no fixed width counts as wide."""
    try:
        return int(field.type.bit_width)
    except ValueError:
        return 1 << 20
