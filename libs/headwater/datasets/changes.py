"""What differs between commits, and changing some rows without pushing all.

for change in changes.diff(connection, "digits@v1.0.0", "digits@v1.1.0").changes: ...
changes.merge(connection, "digits", "relabel", into="main")

with changes.edit(connection, "digits", message="three labels") as edit:
    edit.replace("train", 17, 1, row)          # by place
    edit.upsert("train", table)                # by the dataset's key columns
    edit.delete("train", keys)
print(edit.commit.name)
"""

import contextlib
import dataclasses
import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

import pyarrow as pa
from pyarrow import flight

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, flight_pb2, history_pb2
from headwater.datasets.catalog import history_stub, stub
from headwater.datasets.columns import Columns
from headwater.datasets.history import get_commit
from headwater.datasets.read import reader
from headwater.errors import Aborted, FailedPrecondition, HeadwaterError
from headwater.flight import flight_errors
from headwater.names import DEFAULT_PROJECT, BranchName

Rows: TypeAlias = pa.Table | pa.RecordBatchReader

_MESSAGE_ROWS = 1 << 16


class MergeConflict(FailedPrecondition):
    """Both sides changed the same rows; ``conflicts`` are the first thousand of them."""

    reason = "MERGE_CONFLICT"

    def __init__(self, answer: history_pb2.MergeBranchResponse) -> None:
        self.conflicts: Sequence[history_pb2.RowConflict] = answer.conflicts
        self.count = answer.conflict_count
        first = answer.conflicts[0]
        where = first.detail or f"row {first.base_row:,}{f' with the key {first.key_json}' if first.key_json else ''}"
        counted = "1 conflict" if self.count == 1 else f"{self.count:,} conflicts; the first"
        super().__init__(f"{counted} in {first.split}: {where}.", conflicts=self.count)


@dataclasses.dataclass(frozen=True, slots=True)
class Diff:
    """What changed between two commits."""

    changes: tuple[history_pb2.RowChange, ...]
    """Changed rows, split by split; at most as many as were asked for."""
    splits: tuple[history_pb2.SplitDiff, ...]
    """How many there are, of every split."""
    truncated: bool
    """There are more changed rows than are listed."""
    base: str
    """The resource name of the commit that was compared."""
    target: str
    """That of the commit it was compared with."""
    columns: Columns
    """Of both. Where they differ, every row does."""


@dataclasses.dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row that differs, with its values."""

    change: history_pb2.RowChange
    before: Mapping[str, Any] | None
    """None: the row is new."""
    after: Mapping[str, Any] | None
    """None: the row is gone."""


def diff(
    connection: Connection,
    base: str,
    target: str,
    *,
    split: str = "",
    max_rows: int = 1000,
    key_columns: Sequence[str] = (),
    project: str = DEFAULT_PROJECT,
) -> Diff:
    """What changed from ``base`` to ``target``: ``digits@v1.0.0``, ``digits@main``, …

    Args:
        key_columns: columns that name a row, instead of the dataset's.
    """
    one, other = (get_commit(connection, reference, project=project) for reference in (base, target))
    request = history_pb2.DiffCommitsRequest(
        base=one.name, target=other.name, split=split, max_rows=max_rows, key_columns=key_columns
    )
    rows: list[history_pb2.RowChange] = []
    for part in history_stub(connection).DiffCommits(request):
        rows.extend(part.changes)
    return Diff(tuple(rows), tuple(part.splits), part.truncated, one.name, other.name, Columns.of(one, other))


def values(connection: Connection, difference: Diff, columns: Sequence[str] = ()) -> Iterator[ChangedRow]:
    """The listed rows with their values, or those of some columns; rows that lie side by side are read together.

    Where the columns differ, each side has the values of those that it has.
    """
    both = difference.columns
    for split, group in itertools.groupby(difference.changes, key=lambda change: change.split):
        changes = list(group)
        gone = [change.base_row for change in changes if change.HasField("base_row")]
        come = [change.target_row for change in changes if change.HasField("target_row")]
        before = _rows_at(connection, difference.base, split, gone, both.chosen(columns, both.before))
        after = _rows_at(connection, difference.target, split, come, both.chosen(columns, both.after))
        for change in changes:
            yield ChangedRow(
                change,
                before[change.base_row] if change.HasField("base_row") else None,
                after[change.target_row] if change.HasField("target_row") else None,
            )


def merge(
    connection: Connection,
    dataset: str,
    source: str,
    *,
    into: str = "main",
    message: str = "",
    version: str = "",
    project: str = DEFAULT_PROJECT,
) -> history_pb2.MergeBranchResponse:
    """Bring the changes of a branch, tag, version or commit of the dataset into the branch ``into``.

    Args:
        source: ``relabel`` or ``digits@relabel``.

    Raises:
        InvalidName: ``source`` is of another dataset.
        MergeConflict: and the branch stays where it was.
    """
    name = references.dataset(dataset, project)
    request = history_pb2.MergeBranchRequest(
        name=str(BranchName(name.project, name.dataset, into)),
        source=get_commit(connection, references.revision_of(name, source), project=name.project).name,
        message=message or f"Merge {source} into {into}",
        version=version,
        request_id=str(uuid.uuid4()),
    )
    return _merged(history_stub(connection).MergeBranch(request))


def revert(
    connection: Connection,
    dataset: str,
    commit: str,
    *,
    on: str = "main",
    message: str = "",
    version: str = "",
    project: str = DEFAULT_PROJECT,
) -> history_pb2.MergeBranchResponse:
    """Take one commit's changes back, by a new commit on the branch ``on``.

    Args:
        commit: ``v1.1.0`` or ``digits@v1.1.0``, or the digits of the commit.

    Raises:
        InvalidName: ``commit`` is of another dataset.
        MergeConflict: later commits changed the same rows, and the branch stays where it was.
    """
    name = references.dataset(dataset, project)
    request = history_pb2.RevertCommitRequest(
        name=str(BranchName(name.project, name.dataset, on)),
        commit=get_commit(connection, references.revision_of(name, commit), project=name.project).name,
        message=message or f"Revert {commit}",
        version=version,
        request_id=str(uuid.uuid4()),
    )
    return _merged(history_stub(connection).RevertCommit(request))


class Editing:
    """Changes to a branch's rows on their way: made one after the other, visible together when the block ends."""

    def __init__(self, connection: Connection, upload: str, message: str, version: str, *, rebase: bool) -> None:
        self._connection = connection
        self._upload = upload
        self._message = message
        self._version = version
        self._rebase = rebase
        self.committed: datasets_pb2.CommitUploadResponse | None = None
        """What they led to, once the block has ended."""

    @property
    def commit(self) -> history_pb2.Commit:
        """The commit that they led to."""
        assert self.committed is not None, "the block has not ended yet"
        return self.committed.commit

    def replace(self, split: str, first_row: int, delete_count: int, rows: Rows) -> flight_pb2.PutResult:
        """Let rows come in the place of ``delete_count`` rows from ``first_row`` on; of none of them: before it.

        Raises:
            OutOfRange: reason ROW_OUT_OF_RANGE.
            InvalidArgument: reason COLUMNS_DIFFER.
        """
        command = flight_pb2.EditCommand(
            upload=self._upload, split=split, first_row=first_row, delete_count=delete_count
        )
        return self._put(flight_pb2.WriteCommand(edit=command), rows)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the branch, which rows have to have."""
        upload = stub(self._connection).GetUpload(datasets_pb2.GetUploadRequest(name=self._upload))
        commit = history_stub(self._connection).GetCommit(history_pb2.GetCommitRequest(name=upload.base_commit))
        return pa.ipc.read_schema(pa.py_buffer(commit.arrow_schema))

    def remove(self, split: str, first_row: int, count: int) -> flight_pb2.PutResult:
        """Remove rows by place."""
        return self.replace(split, first_row, count, self.schema.empty_table())

    def upsert(self, split: str, rows: Rows) -> flight_pb2.PutResult:
        """Replace the rows that have the keys of these, and add those whose keys are new at the end.

        Raises:
            FailedPrecondition: reason NO_KEY_COLUMNS; ``datasets.update(..., key_columns=[…])`` sets them.
            InvalidArgument: reasons KEY_IS_NULL, KEY_NOT_UNIQUE, TOO_MANY_KEYS, COLUMNS_DIFFER.
        """
        return self._put(
            flight_pb2.WriteCommand(upsert=flight_pb2.UpsertCommand(upload=self._upload, split=split)), rows
        )

    def delete(self, split: str, keys: Rows) -> flight_pb2.PutResult:
        """Remove the rows with these keys; ``keys`` has the key columns alone.

        Raises:
            NotFound: reason KEY_NOT_FOUND, and no row is removed. And what ``upsert`` raises.
        """
        command = flight_pb2.UpsertCommand(upload=self._upload, split=split, delete=True)
        return self._put(flight_pb2.WriteCommand(upsert=command), keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        service = stub(self._connection)
        try:
            if error is None:
                self.committed = self._commit()
        finally:
            if self.committed is None:
                with contextlib.suppress(HeadwaterError):  # at best: an upload that nobody aborts expires
                    service.AbortUpload(datasets_pb2.AbortUploadRequest(name=self._upload))

    def _commit(self) -> datasets_pb2.CommitUploadResponse:
        service = stub(self._connection)
        request = datasets_pb2.CommitUploadRequest(name=self._upload, version=self._version, message=self._message)
        while True:
            request.request_id = str(uuid.uuid4())
            try:
                return service.CommitUpload(request)
            except Aborted as error:
                if not self._rebase or error.reason != "BRANCH_MOVED":
                    raise
            service.RebaseUpload(datasets_pb2.RebaseUploadRequest(name=self._upload))

    def _put(self, command: flight_pb2.WriteCommand, rows: Rows) -> flight_pb2.PutResult:
        batches: Iterable[Any] = rows.to_batches(max_chunksize=_MESSAGE_ROWS) if isinstance(rows, pa.Table) else rows
        descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
        with flight_errors():
            client, options = self._connection.flight(), self._connection.flight_options()
            writer, answers = client.do_put(descriptor, rows.schema, options)
            with writer:
                for batch in batches:
                    writer.write_batch(batch)
                writer.done_writing()
                return flight_pb2.PutResult.FromString(bytes(answers.read()))


def edit(
    connection: Connection,
    dataset: str,
    *,
    branch: str = "main",
    message: str = "",
    version: str = "",
    rebase: bool = False,
    project: str = DEFAULT_PROJECT,
) -> Editing:
    """Begin to change rows of a branch.

    Args:
        rebase: when somebody else commits to the branch meanwhile, put the changes onto that; without it, ABORTED with
            reason BRANCH_MOVED.

    Raises:
        NotFound: there is no such branch.
    """
    parent = str(references.dataset(dataset, project))
    request = datasets_pb2.CreateUploadRequest(parent=parent, branch=branch, inherit=True, request_id=str(uuid.uuid4()))
    return Editing(connection, stub(connection).CreateUpload(request).name, message, version, rebase=rebase)


def _rows_at(
    connection: Connection, commit: str, split: str, numbers: Sequence[int], columns: Sequence[str] | None
) -> dict[int, Mapping[str, Any]]:
    """The rows of these numbers; empty ones without any columns."""
    if columns is None:
        return {number: {} for number in numbers}
    found: dict[int, Mapping[str, Any]] = {}
    ordered = sorted(numbers)
    # Numbers that follow one another differ from their places by the same.
    for _, run in itertools.groupby(enumerate(ordered), key=lambda item: item[1] - item[0]):
        rows = [number for _, number in run]
        part = reader(connection, commit, split, columns=columns, first_row=rows[0], row_limit=len(rows))
        found |= zip(rows, part.read_all().to_pylist(), strict=True)
    return found


def _merged(answer: history_pb2.MergeBranchResponse) -> history_pb2.MergeBranchResponse:
    if answer.conflict_count:
        raise MergeConflict(answer)
    return answer
