"""A split as a Ray dataset: one read task for each shard, each of which reads by Arrow Flight where it runs."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Unpack

import pyarrow as pa

from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.datasets.frames import Selection, command_of
from headwater.datasets.packages import require
from headwater.datasets.sources import ServiceSource, describe

if TYPE_CHECKING:
    import ray.data


def to_ray(
    connection: Connection,
    version: str,
    split: str = "",
    *,
    shard_count: int | None = None,
    **selection: Unpack[Selection],
) -> "ray.data.Dataset":
    """The rows as a ``ray.data.Dataset``. Nothing is read before Ray runs the read tasks.

    The tasks read in the name of the connection's present token. They must reach the dataset service from where they
    run: on a cluster the connection's addresses must not be those of this machine alone.

    Args:
        shard_count: how many read tasks; without it as many as Ray thinks right.
        selection: see ``headwater.datasets.frames.Selection``.

    Raises:
        PackageMissing: Ray is not installed.
        NotFound, InvalidArgument: there is no such version, split, column or view, or the filter is wrong.
    """
    data = require("ray.data")
    command = command_of(connection, version, split, **selection)
    source = _datasource_class(data)(connection, command)
    dataset: ray.data.Dataset = data.read_datasource(source, override_num_blocks=shard_count)
    return dataset


@functools.cache
def _datasource_class(data: Any) -> Any:
    """Ray's class is there only when Ray is."""
    block = require("ray.data.block")

    class FlightDatasource(data.Datasource):  # type: ignore[misc]
        """The rows of a command."""

        def __init__(self, connection: Connection, command: flight_pb2.GetCommand) -> None:
            super().__init__()
            self._command = command
            self._source = ServiceSource(connection)
            self._info = describe(connection, command)

        def get_name(self) -> str:
            """As Ray's progress bars call it."""
            return "Headwater"

        def estimate_inmemory_data_size(self) -> int | None:
            """Bytes of all rows."""
            return self._info.size_bytes

        def get_read_tasks(
            self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
        ) -> list[Any]:
            """One task for each shard."""
            count = max(1, min(parallelism, self._info.row_count))
            return [self._task(index, count, per_task_row_limit) for index in range(count)]

        def _task(self, index: int, count: int, row_limit: int | None) -> Any:
            shard = flight_pb2.GetCommand()
            shard.CopyFrom(self._command)
            shard.shard_index, shard.shard_count = index, count
            # The task asks for its ticket itself: Ray may run it hours from now, and again when a worker is lost.
            run = functools.partial(_read, self._source, shard.SerializeToString())
            metadata = block.BlockMetadata(
                num_rows=self._info.row_count // count + (index < self._info.row_count % count),
                size_bytes=self._info.size_bytes // count,
                exec_stats=None,
                input_files=None,
            )
            return data.ReadTask(run, metadata, schema=self._info.schema, per_task_row_limit=row_limit)

    return FlightDatasource


def _read(source: ServiceSource, command: bytes) -> Iterator[pa.Table]:
    for batch in source(flight_pb2.GetCommand.FromString(command)):
        yield pa.Table.from_batches([batch])
