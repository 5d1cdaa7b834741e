"""``headwater dataset push``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts

from headwater.cli.dataset.app import app
from headwater.cli.render import facts, transfer, warn
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT

if TYPE_CHECKING:
    from headwater.datasets.pushing import Pushed
    from headwater.files.source import Source


@app.command
def push(
    name: str,
    source: Path | None = None,
    *,
    split_by: str = "",
    as_: Annotated[str, cyclopts.Parameter(name="--as")] = "",
    types: str = "",
    sql: str = "",
    query: str = "",
    branch: str = "",
    rebase: bool = False,
    version: str = "",
    message: str = "",
    description: str = "",
    cache: bool = True,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Make a version of a dataset from files or a query. docs/reference/formats.md lists what files may be.

    What the server has already is not sent. A push that was cut goes on where it was when it is made again.

    Parameters
    ----------
    name
        The dataset; created when it is new.
    source
        A file or folder.
    split_by
        none, name:NAME, directory (train/, validation/, test/), column:COLUMN, ratio:train=0.8,test=0.2,seed=7,
        or stratum:COLUMN,…, group:COLUMN,…, hash:COLUMN,… likewise. Without it, what the files themselves say.
    as_
        files: each file one row, whatever it is.
    types
        Types of columns: label=int8,at=date32.
    sql
        The URL of a database, postgresql:// or sqlite:///, or env:NAME for an environment variable that holds it.
    query
        One statement that gives rows; with an order, where that is to be the rows'.
    branch
        Where to commit; without it main.
    rebase
        Merge with what others have committed to the branch in the meantime, where the two do not conflict.
    version
        v1.2.3; without it the next version is taken.
    message
        Why, for the history.
    description
        About this version.
    cache
        Remember the files, so that those that do not change are not read again.
    project
        The project of the dataset.
    """
    said = {"branch": branch, "rebase": rebase, "version": version, "message": message, "description": description}
    with Connection.discover() as connection, _Bar() as bar:
        if sql or query or source is None:
            options = {"split_by": split_by, "kind": as_, "types": types, "sql": sql, "query": query}
            pushed = _push_query(connection, name, source, options, bar, project=project, **said)
        else:
            pushed = _push_files(connection, name, _files(source, split_by, as_, types), cache, bar, project, said)
    _tell(pushed, bar.classes)


def _files(source: Path, split_by: str, kind: str, types: str) -> Any:
    from headwater.datasets.pushing_files import Files

    if not types:
        return Files(source, split_by, kind)
    from headwater.cli.dataset.sources import types_of

    return Files(source, split_by, kind, types_of(types))


def _push_files(
    connection: Connection, name: str, files: Any, cache: bool, bar: "_Bar", project: str, said: dict[str, Any]
) -> "Pushed":
    from headwater.datasets.pushing_files import push_files
    from headwater.datasets.stat_cache import StatCache

    return push_files(
        connection,
        name,
        files,
        project=project,
        cache=StatCache() if cache else None,
        on_source=bar.begin,
        on_progress=bar.advance,
        **said,
    )


def _push_query(
    connection: Connection, name: str, source: Path | None, options: dict[str, str], bar: "_Bar", **said: Any
) -> "Pushed":
    from headwater.cli.dataset.sources import open_source
    from headwater.datasets.pushing import push as push_rows

    with open_source(source, **options) as rows:
        pushed = push_rows(connection, name, rows, on_progress=bar.advance, **said)
        bar.classes = rows.classes
    return pushed


def _tell(pushed: "Pushed", classes: Any) -> None:
    from headwater.cli.dataset.show import show_commit, show_splits, show_version

    if pushed.version.name:
        show_version(pushed.version)
    else:
        show_commit(pushed.commit)
    show_splits(pushed.commit.splits, classes)
    facts(
        stored=f"{pushed.new_chunk_count} of {pushed.chunk_count} chunks were new",
        result="a new version" if pushed.created else "nothing changed: the version was there, row for row",
    )


class _Bar:
    """The progress bar of a push; it appears when there is something to tell, and ends at 100 % when all is there."""

    def __init__(self) -> None:
        self._progress = transfer()
        self._task: Any = None
        self._done_bytes = 0
        self._source: Source | None = None
        self.classes: Any = {}

    def begin(self, source: "Source") -> None:
        """Warn of files that are not what their names say."""
        warn(source.notes)
        self._source = source

    def advance(self, now: Any) -> None:
        """Show how far it is."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("", total=now.total_bytes, rows="")
        self._done_bytes = now.size_bytes
        # What all rows have is an estimate, which they may exceed.
        total = None if now.total_bytes is None else max(now.total_bytes, now.size_bytes)
        rows = f"{now.rows:,} rows"
        self._progress.update(self._task, completed=now.size_bytes, total=total, description=now.split, rows=rows)

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._task is not None:
            self._progress.update(self._task, completed=self._done_bytes, total=self._done_bytes)
        self._progress.stop()
        if self._source is not None:
            self.classes = self._source.classes
