"""Dividing the rows of a version anew, as a new version that says how it was made."""

import json
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2
from headwater.datasets import catalog
from headwater.datasets.pushing import Progress, Pushed, push
from headwater.datasets.read import reader
from headwater.files import split_by
from headwater.files.divided import Divided
from headwater.names import DEFAULT_PROJECT


def split(
    connection: Connection,
    reference: str,
    rule: str,
    *,
    into: str = "",
    version: str = "",
    message: str = "",
    project: str = DEFAULT_PROJECT,
    on_progress: Callable[[Progress], None] | None = None,
) -> Pushed:
    """Make a version with the same rows in other splits.

    The rows come in the order of the version's splits, by name, and then in their own. They are read once for every
    split, and the rule's columns once more; what a split has of chunks that are stored already does not travel back.

    Args:
        reference: the version, such as ``digits@v1.0.0``.
        rule: what ``headwater.files.split_by`` takes.
        into: another dataset for the new version; else that of the version.
        version: as of ``push``; so is ``message``, which without it says the rule.

    Raises:
        InvalidSplitBy, InvalidName: the rule cannot be followed with these rows.
    """
    stored = catalog.get_version(connection, reference, project=project)
    source = divided(connection, stored, rule)
    spec = {"format": "headwater.split/1", "split_by": rule}
    flow = definitions_pb2.Dataflow(spec_json=json.dumps(spec, sort_keys=True), inputs=[stored.name])
    return push(
        connection,
        str(references.dataset(into, project)) if into else stored.name.partition("/versions/")[0],
        source,
        version=version,
        message=message or f"Split by {rule}.",
        derived_from=[stored.name],
        dataflow=flow,
        on_progress=on_progress,
    )


def divided(connection: Connection, stored: datasets_pb2.DatasetVersion, rule: str) -> Divided:
    """A version's rows in the splits that a rule gives them, read when they are wanted."""

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for part in sorted(each.name for each in stored.splits):
            yield from reader(connection, stored.name, part, columns=columns)

    schema = pa.ipc.read_schema(pa.py_buffer(stored.arrow_schema))
    return Divided(schema, read, split_by(rule))
