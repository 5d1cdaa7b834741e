"""``headwater dataset link|checkpoint``: versions that are places outside, and copies of them."""

import cyclopts

from headwater.cli.dataset.app import app
from headwater.cli.render import facts, table
from headwater.client import Connection
from headwater.dataset.v1 import views_pb2
from headwater.datasets import checkpoints, datastores
from headwater.datasets.catalog import resolve_version
from headwater.names import DEFAULT_PROJECT

checkpoint = cyclopts.App(name="checkpoint", help="Checkpoints: versions at one point in time, perhaps with a copy.")
app.command(checkpoint)

_STATES = {
    views_pb2.DatasetCheckpoint.STATE_RUNNING: "being made",
    views_pb2.DatasetCheckpoint.STATE_READY: "ready",
    views_pb2.DatasetCheckpoint.STATE_FAILED: "failed",
}


@app.command
def link(
    name: str,
    datastore: str,
    path: str | None = None,
    *,
    table: str | None = None,
    query: str | None = None,
    split_by: str = "",
    branch: str = "",
    version: str = "",
    message: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Make a version of a dataset that is a place: its rows are read from there, until a checkpoint holds a copy.

    Parameters
    ----------
    name
        The dataset; created when it is new.
    datastore
        The datastore; `headwater datastore list` lists them.
    path
        A file, or a folder ending in /, relative to the datastore.
    table
        Of a database: orders, or sales.orders.
    query
        Of a database: one statement that only reads.
    split_by
        As for push.
    branch
        The branch to commit to; without it, main.
    version
        v1.2.3; without it the next version is taken.
    message
        Why, for the history.
    project
        The project of both.
    """
    with Connection.discover() as connection:
        linked = datastores.link(
            connection,
            name,
            datastore,
            path=path,
            table=table,
            query=query,
            split_by=split_by,
            branch=branch,
            version=version,
            message=message,
            project=project,
        )
    facts(
        version=linked.dataset_version.name,
        commit=linked.commit.name,
        result="a new commit" if linked.created else "nothing changed: the branch is this place already",
    )


@checkpoint.command(name="create")
def create_checkpoint(
    version: str, name: str, *, copy: bool = False, wait: bool = False, project: str = DEFAULT_PROJECT
) -> None:
    """Begin a checkpoint of a version, with a new profile.

    Parameters
    ----------
    version
        orders@v1.0.0, or orders for the latest.
    name
        The name of the checkpoint.
    copy
        With a copy of the rows as they are now, which readers of the version then get.
    wait
        Wait until it is complete.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        made = checkpoints.create(connection, version, name, materialize=copy, project=project)
        if wait:
            made = checkpoints.wait(connection, made.name)
    _show(made)


@checkpoint.command(name="list")
def list_checkpoints(version: str, *, project: str = DEFAULT_PROJECT) -> None:
    """List the checkpoints of a version, newest first."""
    with Connection.discover() as connection:
        found = list(checkpoints.list_checkpoints(connection, version, project=project))
    table(
        ("checkpoint", "state", "copy", "rows", "when"),
        [
            (
                each.name.rpartition("/")[2],
                _STATES[each.state],
                "yes" if each.materialized else "",
                f"{sum(split.row_count for split in each.splits):,}" if each.splits else "",
                each.create_time.ToJsonString(),
            )
            for each in found
        ],
    )


@checkpoint.command(name="show")
def show_checkpoint(version: str, name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Show one checkpoint of a version."""
    with Connection.discover() as connection:
        parent = resolve_version(connection, version, project=project)
        _show(checkpoints.get(connection, f"{parent}/checkpoints/{name}"))


def _show(found: views_pb2.DatasetCheckpoint) -> None:
    facts(
        checkpoint=found.name,
        state=_STATES[found.state],
        error=found.error,
        copy="yes" if found.materialized else "",
        digest=found.digest,
        splits=", ".join(f"{split.name} {split.row_count:,}" for split in found.splits),
        profile=found.profile,
    )
