"""Reading pointer versions where their rows are, while no checkpoint holds a copy: splits in their own order.

Rows come in the layout that a copy would have, so that readers see no difference when there is one.
"""

import contextlib
import dataclasses
import threading
from typing import Any

import pyarrow as pa

from chassis.filters import Filter
from services.dataset.datastores.errors import ReadLiveOnlyWhole
from services.dataset.datastores.live import LivePaths, Located
from services.dataset.datastores.places import OpenPath
from services.dataset.datastores.stream import LiveRows, rows_of
from services.dataset.datastores.thread import SourceThread
from services.dataset.errors import NoRowsStored, SplitNotFound
from services.dataset.history.definition import DataPath
from services.dataset.history.model import Commit
from services.dataset.history.resolve import commit_of, parse
from services.dataset.model import RowRange
from services.dataset.reads import (
    Choice,
    ReadRequest,
    Reads,
    Selection,
    Sharded,
    check_schema,
    pinned,
    schema_mark,
    warning_of,
)
from services.dataset.recent import Recent
from services.dataset.rows.get import project
from services.dataset.rows.layout import Layout
from services.dataset.rows.writer import Run
from services.dataset.store import Store

_ALL = -1
_REMEMBERED = 256


@dataclasses.dataclass(frozen=True, slots=True)
class _Looks:
    """What a place looks like."""

    schema: pa.Schema
    """In the layout of a copy."""
    splits: tuple[str, ...]


class LiveReads:
    """Reads places. Its methods block, and ``run`` runs coroutines: for the threads of Flight."""

    def __init__(self, store: Store, reads: Reads, live: LivePaths, reader_timeout_s: float) -> None:
        """A reader that takes no rows for ``reader_timeout_s`` loses the place."""
        self._store = store
        self._reads = reads
        self._live = live
        self._reader_timeout_s = reader_timeout_s
        self._seen: Recent[tuple[DataPath, str], _Looks] = Recent(_REMEMBERED, lambda _: 1)
        self._lock = threading.Lock()

    def select(self, request: ReadRequest, run: Run[Any]) -> Sharded:
        """As ``Reads.select``, of a version that is a place.

        Raises:
            ReadLiveOnlyWhole, SplitNotFound, ColumnNotFound, InvalidFilter, ViewNotFound, NoRowsStored
            DatastoreArchived, and what opening the path does.
        """
        if request.choice.is_ordered or request.shard_count > 1 or request.first_row:
            raise ReadLiveOnlyWhole(version=request.choice.version)
        commit, path, located = self._located(request.choice, run)
        _, schema = run(self._asked(request.choice, self._look(located, path)))
        rows = RowRange(0, request.row_limit or _ALL)
        selection = Selection(pinned(request.choice, commit), rows, schema_mark=schema_mark(schema))
        return Sharded(schema, (selection,), -1, -1, warning_of(commit), is_live=True)

    def read(self, selection: Selection, run: Run[Any]) -> LiveRows:
        """As ``Reads.plan``. The place is open until the rows are at their end, dropped, or not taken for too long.

        Raises:
            PlaceChanged: the columns are not those of which ``select`` has told.
            TooManyDatastoreReads, and what ``select`` does.
        """
        choice = selection.choice
        if selection.rows.first or choice.is_ordered:
            raise ReadLiveOnlyWhole(version=choice.version)
        _, _, located = self._located(choice, run)
        thread = SourceThread(self._reader_timeout_s)
        try:
            opened = run(thread.open(located.open()))
            looks = run(thread.do(lambda: _looks(opened)))
            condition, schema = run(self._asked(choice, looks))
            check_schema(selection, schema)
            rows = rows_of(opened, choice.split, looks.schema, schema, condition, selection.rows.count)
            return LiveRows(schema, run(thread.open(contextlib.closing(rows))), thread, run)
        except BaseException:
            thread.end()
            raise

    def _located(self, choice: Choice, run: Run[Any]) -> tuple[Commit, DataPath, Located]:
        commit, path = run(self._path(choice))
        return commit, path, run(self._live.locate(path))

    async def _path(self, choice: Choice) -> tuple[Commit, DataPath]:
        async with self._store.transaction() as tx:
            commit = await commit_of(tx, parse(choice.version, "version"))
        if not isinstance(commit.definition, DataPath):
            raise NoRowsStored(version=choice.version)
        return commit, commit.definition

    async def _asked(self, choice: Choice, looks: _Looks) -> tuple[Filter | None, pa.Schema]:
        """The condition, and what the reader gets."""
        if choice.split not in looks.splits:
            raise SplitNotFound(split=choice.split, splits=", ".join(looks.splits))
        return await self._reads.condition(choice, looks.schema), project(looks.schema, choice.columns)

    def _look(self, located: Located, path: DataPath) -> _Looks:
        """Columns and splits, which cost a listing where no file has changed since somebody looked."""
        fingerprint = located.fingerprint()
        key = (path, fingerprint)
        with self._lock:
            known = self._seen.get(key) if fingerprint else None
        if known is not None:
            return known
        with located.open() as opened:
            looks = _looks(opened)
        with self._lock:
            self._seen.put(key, looks)
        return looks


def _looks(opened: OpenPath) -> _Looks:
    return _Looks(Layout.of(opened.schema).served, opened.splits)
