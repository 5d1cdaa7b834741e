"""Reading pointer versions where their rows are, while no checkpoint holds a copy: whole splits, in their own order.

Rows come in the layout that a copy would have, so that readers see no difference when there is one.
"""

import collections
import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from services.dataset.datastores.errors import ReadLiveOnlyWhole
from services.dataset.datastores.live import LivePaths, Located
from services.dataset.errors import NoRowsStored, SplitNotFound
from services.dataset.filters import Filter
from services.dataset.history.definition import DataPath
from services.dataset.history.model import Commit
from services.dataset.history.resolve import commit_of, parse
from services.dataset.model import RowRange
from services.dataset.reads import Choice, ReadRequest, Reads, Selection, Sharded, pinned, warning_of
from services.dataset.rows.get import project
from services.dataset.rows.layout import Layout
from services.dataset.rows.writer import Run
from services.dataset.store import Store

_ALL = RowRange(0, -1)
_REMEMBERED = 256


@dataclasses.dataclass(frozen=True, slots=True)
class _Looks:
    """What a place looked like."""

    schema: pa.Schema
    """In the layout of a copy."""
    splits: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class LiveRead:
    """One split of a place, to be read once."""

    located: Located
    split: str
    served: pa.Schema
    """All columns, in the layout of a copy."""
    schema: pa.Schema
    """What the reader gets."""
    condition: Filter | None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows. Raises what opening the path does, and InvalidFilter."""
        with self.located.open() as opened, contextlib.closing(opened.batches(self.split)) as batches:
            for batch in batches:
                rows = pa.Table.from_batches([batch]).cast(self.served)
                if self.condition is not None:
                    rows = self.condition.select(rows)
                for found in rows.select(self.schema.names).combine_chunks().to_batches():
                    yield pa.RecordBatch.from_arrays(found.columns, schema=self.schema)


class LiveReads:
    """Reads places. Its methods block, and ``run`` runs coroutines: for the threads of Flight."""

    def __init__(self, store: Store, reads: Reads, live: LivePaths) -> None:
        self._store = store
        self._reads = reads
        self._live = live
        self._seen: collections.OrderedDict[tuple[DataPath, str], _Looks] = collections.OrderedDict()
        self._lock = threading.Lock()

    def select(self, request: ReadRequest, run: Run[Any]) -> Sharded:
        """As ``Reads.select``, of a version that is a place.

        Raises:
            ReadLiveOnlyWhole, SplitNotFound, ColumnNotFound, InvalidFilter, ViewNotFound, NoRowsStored
            DatastoreArchived, and what opening the path does.
        """
        if request.choice.is_ordered or request.shard_count > 1 or request.first_row or request.row_limit:
            raise ReadLiveOnlyWhole(version=request.choice.version)
        commit, read = self._read(request.choice, run)
        selection = Selection(pinned(request.choice, commit), _ALL)
        return Sharded(read.schema, (selection,), -1, -1, warning_of(commit))

    def read(self, selection: Selection, run: Run[Any]) -> LiveRead:
        """As ``Reads.plan``. Raises what ``select`` does."""
        if selection.rows != _ALL or selection.choice.is_ordered:
            raise ReadLiveOnlyWhole(version=selection.choice.version)
        return self._read(selection.choice, run)[1]

    def _read(self, choice: Choice, run: Run[Any]) -> tuple[Commit, LiveRead]:
        commit, path = run(self._path(choice))
        located = run(self._live.locate(path))
        looks = self._look(located, path)
        if choice.split not in looks.splits:
            raise SplitNotFound(split=choice.split, splits=", ".join(looks.splits))
        condition = run(self._reads.condition(choice, looks.schema))
        schema = project(looks.schema, choice.columns)
        return commit, LiveRead(located, choice.split, looks.schema, schema, condition)

    async def _path(self, choice: Choice) -> tuple[Commit, DataPath]:
        async with self._store.transaction() as tx:
            commit = await commit_of(tx, parse(choice.version, "version"))
        if not isinstance(commit.definition, DataPath):
            raise NoRowsStored(version=choice.version)
        return commit, commit.definition

    def _look(self, located: Located, path: DataPath) -> _Looks:
        """Columns and splits, which cost a listing where no file has changed since somebody looked."""
        fingerprint = located.fingerprint()
        key = (path, fingerprint)
        with self._lock:
            if fingerprint and key in self._seen:
                self._seen.move_to_end(key)
                return self._seen[key]
        with located.open() as opened:
            looks = _Looks(Layout.of(opened.schema).served, opened.splits)
        with self._lock:
            self._seen[key] = looks
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return looks
