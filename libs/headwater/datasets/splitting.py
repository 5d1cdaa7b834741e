"""Dividing the rows of a version anew, as a new version that says how it was made."""

import json
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, views_pb2
from headwater.datasets import catalog
from headwater.datasets.pushing import Progress, Pushed, push
from headwater.datasets.read import holder, reader
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
    Of a version that is a place outside, it is the rows of the newest copy.

    Args:
        reference: the version, such as ``digits@v1.0.0``.
        rule: what ``headwater.files.split_by`` takes.
        into: another dataset for the new version; else that of the version.
        version: as of ``push``; so is ``message``, which without it says the rule.

    Raises:
        InvalidSplitBy, InvalidName: the rule cannot be followed with these rows.
        NoRowsStored: the version is a place outside, and there is no copy.
    """
    stored = catalog.get_version(connection, reference, project=project)
    held = holder(connection, stored)
    source = divided(connection, stored, held, rule)
    spec = {"format": "headwater.split/1", "split_by": rule}
    if held is not stored:
        spec["checkpoint"] = held.name
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


def divided(
    connection: Connection,
    stored: datasets_pb2.DatasetVersion,
    held: datasets_pb2.DatasetVersion | views_pb2.DatasetCheckpoint,
    rule: str,
) -> Divided:
    """The rows of a version, which ``held`` holds, in the splits that a rule gives them, read when they are wanted."""
    checkpoint = "" if held is stored else held.name.rpartition("/")[2]
    parts = sorted(part.name for part in held.splits)

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            yield from reader(connection, stored.name, part, columns=columns, checkpoint=checkpoint)

    if held is stored:
        schema = pa.ipc.read_schema(pa.py_buffer(stored.arrow_schema))
    else:  # which only its readers are told
        schema = reader(connection, stored.name, parts[0], checkpoint=checkpoint).schema
    return Divided(schema, read, split_by(rule))
