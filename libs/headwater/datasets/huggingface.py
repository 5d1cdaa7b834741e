"""A split as a Hugging Face dataset: streamed in shards, or in memory."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Unpack

import pyarrow as pa

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.datasets.frames import Selection, command_of, to_arrow
from headwater.datasets.packages import require
from headwater.datasets.sources import ServiceSource, describe
from headwater.files.huggingface import FEATURE

if TYPE_CHECKING:
    import datasets  # type: ignore[import-untyped]

Table = tuple[str, pa.Table]


def to_huggingface(
    connection: Connection, version: str, split: str = "", *, shard_count: int = 64, **selection: Unpack[Selection]
) -> "datasets.IterableDataset":
    """The rows as a ``datasets.IterableDataset`` that reads by Arrow Flight while it is iterated.

    It has ``shard_count`` shards, which ``shuffle`` permutes and ``split_dataset_by_node`` and data loaders' workers
    divide among themselves. With its ``state_dict`` it goes on in the shard that it was in, whose first rows are read
    again and left out. For an order that does not depend on the number of readers see ``headwater.torch``.

    Args:
        selection: see ``headwater.datasets.frames.Selection``.

    Raises:
        PackageMissing: ``datasets`` is not installed.
        NotFound, InvalidArgument: there is no such version, split, column or view, or the filter is wrong.
    """
    hf, iterable = require("datasets"), require("datasets.iterable_dataset")
    command = command_of(connection, version, split, **selection)
    info = describe(connection, command)
    count = max(1, min(shard_count, info.row_count))
    examples = iterable.ArrowExamplesIterable(
        _Shards(ServiceSource(connection), command, count), {"shards": list(range(count))}
    )
    features = _features(hf, info.schema)
    dataset: datasets.IterableDataset = hf.IterableDataset(
        ex_iterable=examples, info=hf.DatasetInfo(features=features), split=hf.NamedSplit(command.split)
    )
    return dataset


def to_huggingface_table(
    connection: Connection, version: str, split: str = "", **selection: Unpack[Selection]
) -> "datasets.Dataset":
    """The rows as a ``datasets.Dataset`` in memory: rows by number, ``map``, ``train_test_split``.

    Raises:
        PackageMissing: ``datasets`` is not installed.
    """
    hf = require("datasets")
    table = to_arrow(connection, version, split, **selection).replace_schema_metadata(None)
    features = _features(hf, table.schema)
    _, said = references.split_within(version, split)
    plain = hf.table.InMemoryTable(table.cast(features.arrow_schema))
    dataset: datasets.Dataset = hf.Dataset(plain, info=hf.DatasetInfo(features=features), split=hf.NamedSplit(said))
    return dataset


def _features(hf: Any, schema: pa.Schema) -> Any:
    """The columns' features: those that they had as a Hugging Face dataset, where the type is still theirs."""
    features = hf.Features.from_arrow_schema(pa.schema([field.remove_metadata() for field in schema]))
    for field in schema:
        said = (field.metadata or {}).get(FEATURE)
        if said is None:
            continue
        feature = hf.features.features.generate_from_dict(json.loads(said))
        stored_as = hf.Features({field.name: feature}).arrow_schema.field(0).type
        if stored_as == features.arrow_schema.field(field.name).type:
            features[field.name] = feature
    return features


class _Shards:
    """Reads shards, wherever it is pickled or forked to."""

    def __init__(self, source: ServiceSource, command: flight_pb2.GetCommand, count: int) -> None:
        self._source = source
        self._command = command.SerializeToString()
        self._count = count

    def __call__(self, shards: list[int]) -> Iterator[Table]:
        for shard in shards:
            command = flight_pb2.GetCommand.FromString(self._command)
            command.shard_index, command.shard_count = shard, self._count
            for number, batch in enumerate(self._source(command)):
                yield f"{shard}_{number}", pa.Table.from_batches([batch])

    def __repr__(self) -> str:
        return f"{flight_pb2.GetCommand.FromString(self._command).version} in {self._count} shards"
