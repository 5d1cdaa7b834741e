"""``headwater dataset log|branch|tag|version``: the history of a dataset."""

import itertools
from typing import Annotated

import cyclopts

from headwater import datasets
from headwater.cli.dataset.app import app
from headwater.cli.dataset.show import note, state
from headwater.cli.render import facts, table, when
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, history_pb2
from headwater.datasets import history
from headwater.names import DEFAULT_PROJECT

branch = cyclopts.App(name="branch", help="Branches: lines of commits, side by side.")
tag = cyclopts.App(name="tag", help="Tags: names of commits that do not move.")
version = cyclopts.App(name="version", help="Versions: name commits, take versions out of use, put them back.")
for group in (branch, tag, version):
    app.command(group)

_DIGITS = 12


@app.command
def log(name: str, *, limit: int = 20, project: str = DEFAULT_PROJECT) -> None:
    """List commits, newest first: digits, digits@side, digits@v1.0.0.

    Parameters
    ----------
    name
        Where to begin: a dataset, or a version, branch, tag or commit of it.
    limit
        How many.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        commits = itertools.islice(history.log(connection, name, project=project, page_size=limit), limit)
        rows = [_row(commit) for commit in commits]
    table(("commit", "version", "author", "when", "parents", "message"), rows)


@branch.command(name="list")
def list_branches(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """List the branches of a dataset."""
    with Connection.discover() as connection:
        found = [
            (_last(each.name), _digits(each.commit))
            for each in history.list_branches(connection, name, project=project)
        ]
    table(("branch", "commit"), found)


@branch.command(name="create")
def create_branch(name: str, new: str, *, at: str = history.MAIN, project: str = DEFAULT_PROJECT) -> None:
    """Begin a branch.

    Parameters
    ----------
    name
        The dataset.
    new
        The name of the branch.
    at
        Where it begins: v1.0.0, a branch, a tag, or the first 8 or more digits of a commit.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        made = history.create_branch(connection, name, new, at=at, project=project)
    facts(branch=made.name, commit=_last(made.commit))


@branch.command(name="reset")
def reset_branch(name: str, which: str, *, to: str, project: str = DEFAULT_PROJECT) -> None:
    """Point a branch at another commit. Commits that nothing leads to then are dropped after two weeks.

    Parameters
    ----------
    name
        The dataset.
    which
        The branch.
    to
        Where to: v1.0.0, a branch, a tag, or the first 8 or more digits of a commit.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        before = history.get_branch(connection, name, which, project=project)
        after = history.reset_branch(connection, before, to)
    facts(branch=after.name, before=_last(before.commit), commit=_last(after.commit))


@branch.command(name="delete")
def delete_branch(name: str, which: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Delete a branch. Commits that nothing leads to then are dropped after two weeks."""
    with Connection.discover() as connection:
        before = history.get_branch(connection, name, which, project=project)
        history.delete_branch(connection, before)
    facts(deleted=before.name, commit=_last(before.commit))


@tag.command(name="list")
def list_tags(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """List the tags of a dataset."""
    with Connection.discover() as connection:
        found = [
            (_last(each.name), _digits(each.commit), each.message)
            for each in history.list_tags(connection, name, project=project)
        ]
    table(("tag", "commit", "message"), found)


@tag.command(name="create")
def create_tag(
    name: str, new: str, *, at: str = history.MAIN, message: str = "", project: str = DEFAULT_PROJECT
) -> None:
    """Give a commit a name that does not move.

    Parameters
    ----------
    name
        The dataset.
    new
        The name of the tag.
    at
        The commit: v1.0.0, a branch, a tag, or the first 8 or more digits.
    message
        Why.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        made = history.create_tag(connection, name, new, at=at, message=message, project=project)
    facts(tag=made.name, commit=_last(made.commit))


@tag.command(name="delete")
def delete_tag(name: str, which: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Delete a tag, not its commit."""
    with Connection.discover() as connection:
        history.delete_tag(connection, name, which, project=project)
    facts(deleted=f"{name}@{which}")


@version.command(name="list")
def list_versions(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """List the versions of a dataset, newest first."""
    with Connection.discover() as connection:
        found = [
            (_last(each.name), state(each), _digits(each.commit), f"{each.row_count:,}", note(each))
            for each in datasets.list_versions(connection, name, project=project)
        ]
    table(("version", "state", "commit", "rows", "message"), found)


@version.command(name="create")
def create_version(name: str, new: str = "", *, at: str, project: str = DEFAULT_PROJECT) -> None:
    """Give a commit a version.

    Parameters
    ----------
    name
        The dataset.
    new
        v1.2.3, greater than every version so far; without it, the next one.
    at
        The commit: a branch, a tag, or the first 8 or more digits.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        _show(history.create_version(connection, name, at=at, version=new, project=project))


@version.command
def describe(
    name: str,
    *,
    description: str | None = None,
    source: str | None = None,
    citation: str | None = None,
    license_: Annotated[str | None, cyclopts.Parameter(name="--license")] = None,
    num_classes: int | None = None,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Say something about a version: digits@v1.0.0, or digits for the latest. What is not given stays as it is.

    Parameters
    ----------
    name
        The version.
    description
        About it.
    source
        Who made the data, or where it was taken from.
    citation
        How to cite it.
    license_
        Under which terms it may be used.
    num_classes
        How many classes there are.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        before = datasets.get_version(connection, name, project=project)
        provenance = definitions_pb2.DataProvenance()
        provenance.CopyFrom(before.provenance)
        statistics = definitions_pb2.DeclaredStatistics()
        statistics.CopyFrom(before.declared_statistics)
        for field, value in (("source", source), ("citation", citation), ("license", license_)):
            if value is not None:
                setattr(provenance, field, value)
        if num_classes is not None:
            statistics.num_classes = num_classes
        after = history.describe_version(
            connection,
            before.name,
            description=description,
            provenance=provenance,
            declared_statistics=statistics,
        )
    _show(after)


@version.command
def deprecate(name: str, *, message: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Say that a version should not be used any more: who uses it is warned."""
    with Connection.discover() as connection:
        _show(history.deprecate(connection, name, message, project=project))


@version.command
def archive(name: str, *, message: str = "", project: str = DEFAULT_PROJECT) -> None:
    """Take a version out of use: reading it, and starting work on it, is refused. Its rows stay."""
    with Connection.discover() as connection:
        _show(history.archive(connection, name, message, project=project))


@version.command
def reactivate(name: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Put a deprecated or archived version back into use."""
    with Connection.discover() as connection:
        _show(history.reactivate(connection, name, project=project))


def _show(shown: datasets_pb2.DatasetVersion) -> None:
    facts(
        version=shown.name,
        state=state(shown),
        why=shown.state_message,
        commit=_last(shown.commit),
        description=shown.description,
        source=shown.provenance.source,
        citation=shown.provenance.citation,
        license=shown.provenance.license,
        classes=shown.declared_statistics.num_classes or "",
    )


def _row(commit: history_pb2.Commit) -> tuple[str, ...]:
    time = when(commit.create_time)
    parents = " ".join(_digits(parent) for parent in commit.parents)
    return _digits(commit.name), commit.version, commit.author, time, parents, commit.message


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _digits(commit: str) -> str:
    return _last(commit)[:_DIGITS]
