"""Between protos and domain values; pure."""

import datetime
from collections.abc import Sequence
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.etags import etag_of
from chassis.update_masks import masked
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, flight_pb2
from headwater.names import CommitName, check_segment
from headwater.tree import digest_text, parse_digest
from services.dataset.model import Chunk, Dataset, RowRange, SourceFile, Split, Upload, UploadState
from services.dataset.orders.order import Shuffle
from services.dataset.reads import Choice, ReadRequest, Selection, Sharded
from services.dataset.rows.put import PutResult

_STATES = {
    UploadState.OPEN: datasets_pb2.Upload.STATE_OPEN,
    UploadState.COMMITTED: datasets_pb2.Upload.STATE_COMMITTED,
    UploadState.ABORTED: datasets_pb2.Upload.STATE_ABORTED,
}


def dataset_to_proto(dataset: Dataset) -> datasets_pb2.Dataset:
    """A dataset."""
    return datasets_pb2.Dataset(
        name=str(dataset.name),
        uid=dataset.uid,
        display_name=dataset.display_name,
        description=dataset.description,
        latest_version=str(dataset.latest or ""),
        create_time=timestamp(dataset.create_time),
        created_by=dataset.created_by,
        etag=etag_of(dataset.revision),
        key_columns=dataset.key_columns,
        tags=dataset.tags,
        hidden=dataset.hidden,
    )


def dataset_changes(message: datasets_pb2.Dataset, paths: Sequence[str]) -> dict[str, Any]:
    """The fields that an update is about, with the values that they are to have.

    Raises:
        InvalidUpdateMask
    """
    given = {
        "display_name": message.display_name,
        "description": message.description,
        "key_columns": tuple(message.key_columns),
        "tags": dict(message.tags),
        "hidden": message.hidden,
    }
    return {field: given[field] for field in masked(message, paths, given)}


def split_to_proto(split: Split) -> definitions_pb2.Split:
    """A split."""
    return definitions_pb2.Split(
        name=split.name,
        root=digest_text(split.tree.root),
        row_count=split.tree.row_count,
        size_bytes=split.tree.size_bytes,
        chunk_count=split.tree.chunk_count,
    )


def chunk_to_proto(chunk: Chunk) -> datasets_pb2.Chunk:
    """A chunk, without where it lies."""
    return datasets_pb2.Chunk(
        digest=digest_text(chunk.digest),
        first_row=chunk.first_row,
        row_count=chunk.row_count,
        size_bytes=chunk.size_bytes,
    )


def source_file_to_proto(file: SourceFile) -> datasets_pb2.SourceFile:
    """A source file."""
    return datasets_pb2.SourceFile(path=file.path, digest=digest_text(file.digest), size_bytes=file.size_bytes)


def source_file_from_proto(file: datasets_pb2.SourceFile) -> SourceFile:
    """A source file."""
    return SourceFile(file.path, parse_digest(file.digest), file.size_bytes)


def upload_to_proto(upload: Upload) -> datasets_pb2.Upload:
    """An upload."""
    return datasets_pb2.Upload(
        name=str(upload.name),
        state=_STATES[upload.state],
        splits=[split_to_proto(split) for split in upload.splits],
        create_time=timestamp(upload.create_time),
        expire_time=timestamp(upload.expire_time),
        branch=upload.target.branch,
        base_commit=_base_name(upload),
        inherit=upload.target.inherit,
    )


def put_result_to_proto(result: PutResult) -> flight_pb2.PutResult:
    """The answer to DoPut."""
    return flight_pb2.PutResult(
        root=digest_text(result.tree.root),
        row_count=result.tree.row_count,
        chunk_count=result.tree.chunk_count,
        new_chunk_count=result.new_chunk_count,
    )


def read_request_from_proto(command: flight_pb2.GetCommand) -> ReadRequest:
    """What a reader asks for."""
    choice = Choice(
        version=command.version,
        split=check_segment(command.split, "split"),
        columns=tuple(command.columns),
        filter=command.filter,
        view=check_segment(command.view, "view") if command.view else "",
        checkpoint=check_segment(command.checkpoint, "checkpoint") if command.checkpoint else "",
        shuffle=_shuffle(command),
        global_batch_rows=command.global_batch_rows,
    )
    return ReadRequest(
        choice=choice,
        shard_count=command.shard_count or 1,
        shard_index=command.shard_index if command.HasField("shard_index") else None,
        first_row=command.first_row,
        row_limit=command.row_limit,
    )


def endpoint_to_proto(found: Sharded) -> flight_pb2.EndpointMetadata:
    """What each endpoint says of its rows."""
    return flight_pb2.EndpointMetadata(is_live=found.is_live)


def selection_to_proto(selection: Selection) -> flight_pb2.TicketPayload:
    """What a ticket says."""
    choice = selection.choice
    shuffle = choice.shuffle
    return flight_pb2.TicketPayload(
        version=choice.version,
        split=choice.split,
        columns=choice.columns,
        first_row=selection.rows.first,
        row_count=selection.rows.count,
        filter=choice.filter,
        view=choice.view,
        checkpoint=choice.checkpoint,
        shuffle=flight_pb2.Shuffle(seed=shuffle.seed, epoch=shuffle.epoch) if shuffle else None,
        global_batch_rows=choice.global_batch_rows,
        shard_index=selection.shard[0],
        shard_count=selection.shard[1],
        schema_mark=selection.schema_mark,
    )


def selection_from_proto(payload: flight_pb2.TicketPayload) -> Selection:
    """What a ticket said."""
    choice = Choice(
        version=payload.version,
        split=payload.split,
        columns=tuple(payload.columns),
        filter=payload.filter,
        view=payload.view,
        checkpoint=payload.checkpoint,
        shuffle=_shuffle(payload),
        global_batch_rows=payload.global_batch_rows,
    )
    rows, shard = RowRange(payload.first_row, payload.row_count), (payload.shard_index, payload.shard_count)
    return Selection(choice, rows, shard, payload.schema_mark)


def _shuffle(message: flight_pb2.GetCommand | flight_pb2.TicketPayload) -> Shuffle | None:
    return Shuffle(message.shuffle.seed, message.shuffle.epoch) if message.HasField("shuffle") else None


def timestamp(time: datetime.datetime) -> Timestamp:
    """A time."""
    converted = Timestamp()
    converted.FromDatetime(time)
    return converted


def _base_name(upload: Upload) -> str:
    if not upload.target.base:
        return ""
    return str(CommitName(upload.dataset.project, upload.dataset.dataset, upload.target.base.hex()))
