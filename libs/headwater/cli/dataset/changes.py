"""``headwater dataset diff|merge|revert|edit|upsert|delete-rows``: what changed, and changing some rows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from headwater import datasets, files
from headwater.cli.dataset.app import app
from headwater.cli.render import errors, facts, output, table, warn
from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2, history_pb2
from headwater.datasets import changes
from headwater.datasets.history import MAIN
from headwater.datasets.states import VersionArchived
from headwater.errors import FailedPrecondition, InvalidArgument
from headwater.names import DEFAULT_PROJECT

_SIGNS = {
    history_pb2.RowChange.KIND_ADDED: "+",
    history_pb2.RowChange.KIND_REMOVED: "-",
    history_pb2.RowChange.KIND_CHANGED: "~",
}
_SHOWN_CHARACTERS = 200
_SHOWN_CONFLICTS = 20


@app.command
def diff(
    base: str,
    target: str,
    *,
    split: str = "",
    rows: int = 20,
    keys: str = "",
    columns: str = "",
    project: str = DEFAULT_PROJECT,
) -> None:
    """Show which rows differ between two versions, branches, tags or commits.

    Parameters
    ----------
    base
        From: digits@v1.0.0, for example.
    target
        To: digits@main, for example.
    split
        Only this split.
    rows
        So many changed rows are shown with their values; all are counted.
    keys
        Columns that name a row, with commas between them, instead of the dataset's key columns.
    columns
        Only the values of these columns, with commas between them.
    project
        The project of the datasets.
    """
    with Connection.discover() as connection:
        found = changes.diff(
            connection, base, target, split=split, max_rows=max(1, rows), key_columns=_words(keys), project=project
        )
        sums = [(each.split, each.added, each.removed, each.changed) for each in found.splits]
        table(("split", "added", "removed", "changed"), [(name, *map("{:,}".format, counts)) for name, *counts in sums])
        for line in found.columns.told():
            output.print(line, markup=False)
        try:
            for row in changes.values(connection, found, _words(columns)) if rows else ():
                for line in _lines(row):
                    output.print(line, markup=False)
        except FailedPrecondition as error:
            if error.reason != VersionArchived.reason:
                raise
            warn([f"The values of rows are not shown. {error.message}"])
    if found.truncated:
        errors.print(f"There are more: the first {rows:,} rows are shown; --rows shows others.", markup=False)


@app.command
def merge(
    name: str, source: str, *, into: str = MAIN, message: str = "", version: str = "", project: str = DEFAULT_PROJECT
) -> None:
    """Bring the changes of a branch, tag, version or commit into a branch.

    Parameters
    ----------
    name
        The dataset.
    source
        What to bring in: the name of a branch, for example, or digits@relabel.
    into
        The branch that moves.
    message
        Why, for the history.
    version
        v1.2.3; without it the commit gets the next version on main, and none on other branches.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        _show(
            lambda: changes.merge(
                connection, name, source, into=into, message=message, version=version, project=project
            )
        )


@app.command
def revert(
    name: str, commit: str, *, on: str = MAIN, message: str = "", version: str = "", project: str = DEFAULT_PROJECT
) -> None:
    """Take a commit's changes back by a new commit; what came later stays.

    Parameters
    ----------
    name
        The dataset.
    commit
        The commit: its digits, or its version, v1.1.0 or digits@v1.1.0.
    on
        The branch that moves.
    message
        Why, for the history.
    version
        As for merge.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        _show(
            lambda: changes.revert(connection, name, commit, on=on, message=message, version=version, project=project)
        )


@app.command
def edit(
    name: str,
    split: str,
    source: Path | None = None,
    *,
    first_row: int,
    delete_count: int = 0,
    branch: str = MAIN,
    message: str = "",
    rebase: bool = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Put the rows of a file in the place of rows of a split, known by their numbers.

    Parameters
    ----------
    name
        The dataset.
    split
        The split.
    source
        The file; without it, no rows come.
    first_row
        The number of the first row that goes, and before which the new ones come; rows are counted from 0.
    delete_count
        How many rows go.
    branch
        The branch that moves.
    message
        Why, for the history.
    rebase
        When somebody else commits to the branch meanwhile, put the change onto that.
    project
        The project of the dataset.
    """

    def change(editing: changes.Editing) -> flight_pb2.PutResult:
        rows = _rows(source, editing.schema) if source else editing.schema.empty_table()
        return editing.replace(split, first_row, delete_count, rows)

    _edit(name, change, branch=branch, message=message, rebase=rebase, project=project)


@app.command
def upsert(
    name: str,
    split: str,
    source: Path,
    *,
    branch: str = MAIN,
    message: str = "",
    rebase: bool = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Replace the rows that have the keys of a file's rows, and add those whose keys are new at the end.

    Parameters
    ----------
    name
        The dataset; it has key columns.
    split
        The split.
    source
        The file.
    branch
        The branch that moves.
    message
        Why, for the history.
    rebase
        As for edit.
    project
        The project of the dataset.
    """

    def change(editing: changes.Editing) -> flight_pb2.PutResult:
        return editing.upsert(split, _rows(source, editing.schema))

    _edit(name, change, branch=branch, message=message, rebase=rebase, project=project)


@app.command
def delete_rows(
    name: str,
    split: str,
    source: Path,
    *,
    branch: str = MAIN,
    message: str = "",
    rebase: bool = False,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Remove the rows whose keys are in a file; other columns of it are not looked at.

    Parameters
    ----------
    name
        The dataset; it has key columns.
    split
        The split.
    source
        The file.
    branch
        The branch that moves.
    message
        Why, for the history.
    rebase
        As for edit.
    project
        The project of the dataset.
    """
    with Connection.discover() as connection:
        keys = list(datasets.get(connection, name, project=project).key_columns)

    def change(editing: changes.Editing) -> flight_pb2.PutResult:
        columns = pa.schema([editing.schema.field(column) for column in keys])
        return editing.delete(split, _rows(source, columns))

    _edit(name, change, branch=branch, message=message, rebase=rebase, project=project)


def _edit(
    name: str,
    change: Callable[[changes.Editing], flight_pb2.PutResult],
    *,
    branch: str,
    message: str,
    rebase: bool,
    project: str,
) -> None:
    with (
        Connection.discover() as connection,
        changes.edit(connection, name, branch=branch, message=message, rebase=rebase, project=project) as editing,
    ):
        result = change(editing)
    _show_commit(editing.commit)
    facts(
        rows=f"{result.row_count:,}",
        stored=f"{result.new_chunk_count} of {result.chunk_count} chunks were new",
    )


def _rows(source: Path, schema: pa.Schema) -> pa.Table:
    """The rows of a file, with the columns of ``schema`` in their order and of their types."""
    found = files.Source(source)
    rows = pa.Table.from_batches((batch for split in found.splits for batch in found.batches(split)), found.schema)
    if missing := [name for name in schema.names if name not in rows.column_names]:
        raise InvalidArgument(f"{source} has no column {missing[0]}.", column=missing[0])
    try:
        return rows.select(schema.names).cast(schema)
    except pa.ArrowInvalid as error:
        raise InvalidArgument(f"The rows of {source} do not fit the dataset's columns: {error}") from error


def _show(change: Callable[[], history_pb2.MergeBranchResponse]) -> None:
    try:
        answer = change()
    except changes.MergeConflict as conflict:
        rows = [
            (each.split, f"{each.base_row:,}", each.key_json, each.detail or _sides(each))
            for each in conflict.conflicts[:_SHOWN_CONFLICTS]
        ]
        table(("split", "row", "key", "conflict"), rows)
        raise
    _show_commit(answer.commit)
    if not answer.created:
        facts(result="nothing changed: the branch had everything already")


def _sides(conflict: history_pb2.RowConflict) -> str:
    sides = (("ours", conflict.ours_digest), ("theirs", conflict.theirs_digest))
    return ", ".join(f"{name} {'changed' if digest else 'removed'} it" for name, digest in sides)


def _show_commit(commit: history_pb2.Commit) -> None:
    facts(commit=commit.name, version=commit.version, digest=commit.digest, message=commit.message)


def _lines(row: changes.ChangedRow) -> Iterator[str]:
    """A row as it is shown: of one that changed, the values that did."""
    change, before, after = row.change, row.before, row.after
    number = change.target_row if change.HasField("target_row") else change.base_row
    if before is not None and after is not None:
        same = {name for name in after if name in before and before[name] == after[name]}
        before, after = (
            {name: value for name, value in values.items() if name not in same} for values in (before, after)
        )
    shown = [_value(values) for values in (before, after) if values is not None]
    # Where only the columns' types or order changed, no value did.
    values = " -> ".join(shown) if before or after else ""
    yield f"{_SIGNS[change.kind]} {change.split} {number:,} {change.key_json} {values}".rstrip()


def _value(values: object) -> str:
    text = str(values)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _words(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (word.strip() for word in text.split(","))))
