"""From changes to messages, and from what DoPut asks for."""

from typing import TypeAlias

from google.protobuf.message import DecodeError

from chassis.rpc.validation import parse
from headwater.dataset.v1 import flight_pb2, history_pb2
from services.dataset.changes.changes import Merged
from services.dataset.changes.model import ChangeKind, Conflict, DiffPart, RowChange
from services.dataset.history.convert import commit_to_proto

Command: TypeAlias = flight_pb2.PutCommand | flight_pb2.EditCommand | flight_pb2.UpsertCommand

_KINDS = {
    ChangeKind.ADDED: history_pb2.RowChange.KIND_ADDED,
    ChangeKind.REMOVED: history_pb2.RowChange.KIND_REMOVED,
    ChangeKind.CHANGED: history_pb2.RowChange.KIND_CHANGED,
}


def diff_to_proto(part: DiffPart) -> history_pb2.DiffCommitsResponse:
    """A part of the answer."""
    return history_pb2.DiffCommitsResponse(
        changes=[change_to_proto(change) for change in part.changes],
        splits=[
            history_pb2.SplitDiff(split=sums.split, added=sums.added, removed=sums.removed, changed=sums.changed)
            for sums in part.splits
        ],
        truncated=part.truncated,
    )


def change_to_proto(change: RowChange) -> history_pb2.RowChange:
    """One row that differs."""
    return history_pb2.RowChange(
        kind=_KINDS[change.kind],
        split=change.split,
        base_row=change.base_row,
        target_row=change.target_row,
        base_digest=change.base_digest,
        target_digest=change.target_digest,
        key_json=change.key_json,
    )


def merged_to_proto(merged: Merged) -> history_pb2.MergeBranchResponse:
    """What a merge or a revert led to."""
    made = merged.appended
    return history_pb2.MergeBranchResponse(
        commit=commit_to_proto(made.commit) if made else None,
        created=made is not None and made.created,
        conflicts=[conflict_to_proto(conflict) for conflict in merged.conflicts],
        conflict_count=merged.conflict_count,
    )


def conflict_to_proto(conflict: Conflict) -> history_pb2.RowConflict:
    """One conflict."""
    return history_pb2.RowConflict(
        split=conflict.split,
        base_row=conflict.base_row,
        key_json=conflict.key_json,
        base_digest=conflict.base_digest,
        ours_digest=conflict.ours_digest,
        theirs_digest=conflict.theirs_digest,
        detail=conflict.detail,
    )


def command_from(raw: bytes) -> Command | None:
    """What the descriptor of a DoPut asks for; None when it asks for nothing.

    A PutCommand may stand by itself, as it did before there were others: its first field is a name, that of a
    WriteCommand a message.

    Raises:
        MalformedMessage, InvalidFields
    """
    try:
        stands_alone = flight_pb2.PutCommand.FromString(raw).upload.startswith("projects/")
    except DecodeError:
        stands_alone = False
    if stands_alone or not raw:
        put = parse(flight_pb2.PutCommand.FromString, raw)
        assert isinstance(put, flight_pb2.PutCommand)
        return put
    command = parse(flight_pb2.WriteCommand.FromString, raw)
    assert isinstance(command, flight_pb2.WriteCommand)
    kind = command.WhichOneof("command")
    return getattr(command, kind) if kind else None
