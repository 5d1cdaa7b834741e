"""A version as a folder of files."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headwater.client import Connection
from headwater.datasets import catalog, documents
from headwater.datasets.read import reader
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
        splits: only these; none means all.
        max_bytes: no file is larger, unless it has only one row; 0: one file for each split.
        document: ``metadata.json`` or ``dataset.yml``, to be written beside them.
        choice: which columns and rows, as of ``headwater.datasets.reader``.

    Raises:
        TargetNotEmpty, SourceUnsupported, InvalidArgument
        NotFound: there is no such version or split.
    """
    if format not in EXTENSIONS:
        raise InvalidArgument(f"{format} is not one of {', '.join(EXTENSIONS)}.", field="format")
    if document and document not in documents.FORMATS:
        raise InvalidArgument(f"{document} is not one of {', '.join(documents.FORMATS)}.", field="document")
    version = catalog.get_version(connection, reference, project=project)
    names = splits or [split.name for split in version.splits]
    rows = ((name, reader(connection, version.name, name, **choice)) for name in names)

    def described(exported: Sequence[Exported]) -> Mapping[str, str]:
        # Of what was written, which may be less than the version, and has sizes of its own.
        written = tuple(StoredSplit(split.split, split.row_count, split.size_bytes) for split in exported)
        whole = documents.described(connection, version.name)
        return {document: documents.FORMATS[document](dataclasses.replace(whole, splits=written))}

    beside = described if document else None
    return export_folder(rows, folder, EXTENSIONS[format], max_bytes=max_bytes, beside=beside)
