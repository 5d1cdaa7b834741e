"""A version as a folder of files."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, views_pb2
from headwater.datasets import catalog, checkpoints, documents
from headwater.datasets.read import holder, reader
from headwater.errors import InvalidArgument
from headwater.files import Exported, export_folder
from headwater.files.about import StoredSplit
from headwater.names import DEFAULT_PROJECT

EXTENSIONS = {"parquet": ".parquet", "arrow": ".arrow", "csv": ".csv", "jsonl": ".jsonl", "webdataset": ".tar"}
"""The formats, and what their files end in."""


def export_version(
    connection: Connection,
    reference: str,
    folder: Path,
    *,
    format: str = "parquet",  # noqa: A002  # what everybody calls it
    splits: Sequence[str] = (),
    max_bytes: int = 0,
    document: str = "",
    project: str = DEFAULT_PROJECT,
    **choice: Any,
) -> list[Exported]:
    """Write a version's splits to a new folder, each to one file or to shards of a size.

    Pushed again, the folder gives the same version, where the format can hold its rows.

    Args:
        format: one of EXTENSIONS.
        reference: the version, or the address of a split, ``s3://datasets/digits/v1.0.0/train.tar``: that split alone.
        splits: only these; none means all.
        max_bytes: no file is larger, unless it has only one row; 0: one file for each split.
        document: ``metadata.json`` or ``dataset.yml``, to be written beside them.
        choice: which columns and rows, as of ``headwater.datasets.reader``.

    Raises:
        TargetNotEmpty, SourceUnsupported, InvalidArgument
        NotFound: there is no such version or split.
        NoRowsStored: the version is a place outside, there is no copy, and no splits are named.
    """
    if format not in EXTENSIONS:
        raise InvalidArgument(f"{format} is not one of {', '.join(EXTENSIONS)}.", field="format")
    if document and document not in documents.FORMATS:
        raise InvalidArgument(f"{document} is not one of {', '.join(documents.FORMATS)}.", field="document")
    if references.is_split(reference):
        (reference, only), *_ = [references.split_within(reference, name, project) for name in splits or ("",)]
        splits = [only]
    version = catalog.get_version(connection, reference, project=project)
    if not splits:
        # Of a place that changes meanwhile, all splits are of the same copy.
        held = _held(connection, version, choice.get("checkpoint", ""))
        splits = [split.name for split in held.splits]
        if held is not version:
            choice["checkpoint"] = held.name.rpartition("/")[2]
    rows = ((name, reader(connection, version.name, name, **choice)) for name in splits)

    def described(exported: Sequence[Exported]) -> Mapping[str, str]:
        # Of what was written, which may be less than the version, and has sizes of its own.
        written = tuple(StoredSplit(split.split, split.row_count, split.size_bytes) for split in exported)
        whole = documents.described(connection, version.name)
        return {document: documents.FORMATS[document](dataclasses.replace(whole, splits=written))}

    beside = described if document else None
    return export_folder(rows, folder, EXTENSIONS[format], max_bytes=max_bytes, beside=beside)


def _held(
    connection: Connection, version: datasets_pb2.DatasetVersion, checkpoint: str
) -> datasets_pb2.DatasetVersion | views_pb2.DatasetCheckpoint:
    if checkpoint:
        return checkpoints.get(connection, f"{version.name}/checkpoints/{checkpoint}")
    return holder(connection, version)
