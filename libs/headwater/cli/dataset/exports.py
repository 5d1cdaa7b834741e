"""``headwater dataset export|split``: a version as files, and a version in other splits."""

import re
from pathlib import Path
from typing import Annotated

import cyclopts

from headwater import datasets
from headwater.cli.dataset.app import app
from headwater.cli.dataset.show import show_splits
from headwater.cli.render import facts, progress, table
from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT

_SIZE = re.compile(r"([0-9]{1,12})\s*(|B|KB|MB|GB|KiB|MiB|GiB)", re.ASCII)
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@app.command
def export(
    version: str,
    folder: Path,
    *,
    format_: Annotated[str, cyclopts.Parameter(name="--format")] = "parquet",
    split: list[str] | None = None,
    shard_size: str = "0",
    columns: str = "",
    document: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Write the splits of a version to files in a new folder.

    Parameters
    ----------
    version
        digits@v1.0.0, or digits for the latest; or a split's address, s3://datasets/digits/v1.0.0/train.tar.
    folder
        The folder; it must be new or empty.
    format_
        parquet, arrow, csv, jsonl or webdataset.
    split
        Only this split; may be given many times.
    shard_size
        No file is larger: 256MiB, for example. 0: one file for each split.
    columns
        Only these, with commas between them.
    document
        metadata.json or dataset.yml, to be written beside the files.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        exported = datasets.export_version(
            connection,
            version,
            folder,
            format=format_,
            splits=split or (),
            max_bytes=_bytes(shard_size),
            columns=[column for column in columns.split(",") if column],
            document=document,
            project=project,
        )
    rows = [(each.split, f"{each.row_count:,}", len(each.files), f"{each.size_bytes:,}") for each in exported]
    table(("split", "rows", "files", "bytes"), rows)


@app.command
def split(
    version: str,
    *,
    split_by: str,
    into: str = "",
    new_version: str = "",
    message: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Make a version with the same rows in other splits. How is recorded with it.

    Parameters
    ----------
    version
        digits@v1.0.0, or digits for the latest.
    split_by
        As of push: ratio:train=0.8,test=0.2,seed=7, for example. Rows are in no folders.
    into
        Another dataset for the new version.
    new_version
        v1.2.3; without it the next version is taken.
    message
        Why, for the history; without it, how.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection, progress("rows") as bar:
        task = bar.add_task("splitting", total=None)
        pushed = datasets.split(
            connection,
            version,
            split_by,
            into=into,
            version=new_version,
            message=message,
            project=project,
            on_progress=lambda now: bar.update(task, completed=now.rows, description=now.split),
        )
        bar.update(task, total=pushed.version.row_count)
    facts(
        version=pushed.version.name,
        digest=pushed.version.digest,
        stored=f"{pushed.new_chunk_count} of {pushed.chunk_count} chunks were new",
    )
    show_splits(pushed.version.splits, {})


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"{text!r} is no size, such as 256MiB.", field="shard_size")
    return int(match[1]) * _UNITS[match[2]]
