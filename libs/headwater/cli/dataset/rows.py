"""``headwater dataset``: push files, look at versions, pull rows."""

from pathlib import Path

from headwater import datasets, files, tree
from headwater.cli.dataset.app import app
from headwater.cli.render import facts, output, progress, table
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2
from headwater.names import DEFAULT_PROJECT


@app.command
def push(
    name: str,
    source: Path,
    *,
    split_by: str = "none",
    version: str = "",
    message: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Make a version of a dataset from files: images in a folder per class, Parquet, CSV or Arrow files.

    Parameters
    ----------
    name
        The dataset; created when it is new.
    source
        A file or folder.
    split_by
        none, directory (train/, validation/, test/), or hash:KEY,train=0.8,validation=0.1,test=0.1.
    version
        v1.2.3; without it the next version is taken.
    message
        Why, for the history.
    project
        The project of the dataset.
    """
    rows = files.Source(source, files.split_by(split_by))
    with Connection.discover() as connection, progress("rows") as bar:
        task = bar.add_task("pushing", total=None)
        pushed = datasets.push(
            connection,
            name,
            rows,
            project=project,
            version=version,
            message=message,
            on_progress=lambda now: bar.update(task, completed=now.rows, description=now.split),
        )
        bar.update(task, total=pushed.version.row_count)
    _show(pushed.version)
    facts(
        stored=f"{pushed.new_chunk_count} of {pushed.chunk_count} chunks were new",
        result="a new version" if pushed.created else "nothing changed: the version was there, row for row",
    )


@app.command
def digest(source: Path, *, split_by: str = "none") -> None:
    """Print the digest that files would have as a version, without a server.

    Parameters
    ----------
    source
        A file or folder.
    split_by
        As for push.
    """
    rows = files.Source(source, files.split_by(split_by))
    splits = [tree.digest_split(split, rows.schema, rows.batches(split)) for split in rows.splits]
    facts(
        digest=tree.digest_text(tree.version_digest(rows.schema, splits)),
        rows=f"{sum(split.row_count for split in splits):,}",
        splits=", ".join(f"{split.name} {split.row_count:,}" for split in splits),
    )


@app.command
def show(version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Show one version: digits@v1.0.0, or digits for the latest."""
    with Connection.discover() as connection:
        found = datasets.get_version(connection, version, project=project)
        _show(found)
        output.print(datasets.schema(connection, found.name).to_string(show_schema_metadata=False), markup=False)


@app.command(name="list")
def list_(name: str = "", *, project: str = DEFAULT_PROJECT) -> None:
    """List the datasets of a project, or the versions of one dataset, newest first."""
    with Connection.discover() as connection:
        if name:
            versions = datasets.list_versions(connection, name, project=project)
            rows = [(item.name, f"{item.row_count:,}", item.digest, item.message) for item in versions]
            table(("version", "rows", "digest", "message"), rows)
        else:
            found = datasets.list_datasets(connection, project=project)
            table(("dataset", "latest"), [(item.name, item.latest_version) for item in found])


@app.command
def pull(version: str, split: str, target: Path, *, project: str = DEFAULT_PROJECT) -> None:
    """Write the rows of one split to a .parquet, .arrow or .csv file.

    Parameters
    ----------
    version
        digits@v1.0.0, or digits for the latest.
    split
        train, for example.
    target
        The file; replaced when it exists.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        name = datasets.resolve(connection, version, project=project)
        rows = datasets.pull(connection, name, split, target)
    facts(file=target, rows=f"{rows:,}")


@app.command
def verify(version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Read every row of a version and check that they have its digest."""
    with Connection.discover() as connection:
        found = datasets.get_version(connection, version, project=project)
        datasets.verify(connection, found.name)
    facts(version=found.name, digest=found.digest, result="every row is what the digest says")


def _show(version: datasets_pb2.DatasetVersion) -> None:
    facts(
        version=version.name,
        digest=version.digest,
        rows=f"{version.row_count:,}",
        splits=", ".join(f"{split.name} {split.row_count:,}" for split in version.splits),
        files=f"{version.source_file_count:,}" if version.source_file_count else "",
        derived_from=", ".join(version.derived_from),
        message=version.message,
    )
