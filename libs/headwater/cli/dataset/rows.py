"""``headwater dataset``: push files, look at versions, pull rows."""

from pathlib import Path
from typing import Annotated

import cyclopts

from headwater import datasets, references, tree
from headwater.cli.dataset.app import app
from headwater.cli.dataset.show import note, show_splits, show_version, state
from headwater.cli.dataset.sources import open_source
from headwater.cli.render import facts, output, table
from headwater.client import Connection
from headwater.datasets.read import stored_split
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT


@app.command
def digest(
    source: Path | None = None,
    *,
    split_by: str = "",
    as_: Annotated[str, cyclopts.Parameter(name="--as")] = "",
    types: str = "",
    sql: str = "",
    query: str = "",
) -> None:
    """Print the digest that files, or the rows of a query, would have as a version, without a server.

    Parameters
    ----------
    source
        A file or folder.
    split_by
        As for push.
    as_
        As for push.
    types
        As for push.
    sql
        As for push.
    query
        As for push.
    """
    with open_source(source, split_by=split_by, kind=as_, types=types, sql=sql, query=query) as rows:
        splits = [tree.digest_split(split, rows.schema, rows.batches(split)) for split in rows.splits]
        version = tree.version_digest(rows.schema, splits)
    facts(
        digest=tree.digest_text(version),
        rows=f"{sum(split.row_count for split in splits):,}",
        splits=", ".join(f"{split.name} {split.row_count:,}" for split in splits),
    )


@app.command
def show(version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Show one version: digits@v1.0.0, or digits for the latest; or a split: s3://datasets/digits/v1.0.0/train.tar."""
    split = ""
    if references.is_split(version):
        version, split = references.split_within(version, project=project)
    with Connection.discover() as connection:
        found = datasets.get_version(connection, version, project=project)
        show_version(found)
        if found.arrow_schema:  # a place has columns only when it is read
            output.print(datasets.schema(connection, found.name).to_string(show_schema_metadata=False), markup=False)
        if split:
            show_splits([stored_split(connection, found, split)], {})


@app.command(name="list")
def list_(name: str = "", *, hidden: bool = False, project: str = DEFAULT_PROJECT) -> None:
    """List the datasets of a project, with --hidden also the hidden ones; or the versions of one, newest first."""
    with Connection.discover() as connection:
        if name:
            versions = datasets.list_versions(connection, name, project=project)
            rows = [(item.name, state(item), f"{item.row_count:,}", item.digest, note(item)) for item in versions]
            table(("version", "state", "rows", "digest", "message"), rows)
        else:
            found = datasets.list_datasets(connection, project=project, show_hidden=hidden)
            table(("dataset", "latest"), [(item.name, item.latest_version) for item in found])


@app.command
def pull(
    version: str,
    split: str = "",
    target: Path | None = None,
    *,
    columns: str = "",
    filter_: Annotated[str, cyclopts.Parameter(name="--filter")] = "",
    view: str = "",
    checkpoint: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Write the rows of one split to a .parquet, .arrow, .csv, .jsonl or .tar file.

    Parameters
    ----------
    version
        digits@v1.0.0, or digits for the latest; or a split's address, s3://datasets/digits/v1.0.0/train.tar.
    split
        train, for example. Left out after a split's address: then comes the file.
    target
        The file; replaced when it exists.
    columns
        Only these, with commas between them.
    filter_
        Only rows that satisfy this condition: "label = 3 AND note IS NOT NULL".
    view
        Only rows of this view of the version.
    checkpoint
        The copy that this checkpoint of the version holds.
    project
        The project of the dataset.
    """
    if target is None:
        if not references.is_split(version) or not split:
            raise InvalidArgument("Say the version, the split and the file, or a split's address and the file.")
        split, target = "", Path(split)
    chosen = [name for name in columns.split(",") if name]
    with Connection.discover() as connection:
        choice = {"columns": chosen, "filter": filter_, "view": view, "checkpoint": checkpoint, "project": project}
        rows = datasets.pull(connection, version, split, target, **choice)
    facts(file=target, rows=f"{rows:,}")


@app.command
def verify(version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Read every row of a version and check that they have its digest."""
    with Connection.discover() as connection:
        found = datasets.get_version(connection, version, project=project)
        datasets.verify(connection, found.name)
    facts(version=found.name, digest=found.digest, result="every row is what the digest says")
