"""Pushing rows: open an upload, stream each split by Flight DoPut, commit.

Nothing is visible before the commit. Chunks that the server has already, from whatever version, are not stored again.
"""

import contextlib
import dataclasses
import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import flight

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2, flight_pb2
from headwater.datasets import documents
from headwater.datasets.catalog import stub
from headwater.errors import HeadwaterError, InvalidArgument
from headwater.files.about import About
from headwater.files.manifest import SourceFile
from headwater.files.source import Source
from headwater.flight import flight_errors
from headwater.names import DEFAULT_PROJECT

_FILES_PER_CALL = 5_000
_MESSAGE_BYTES = 4 << 20


class RowSource(Protocol):
    """What rows can be pushed from: ``headwater.files.Source``, or ``Tables``."""

    @property
    def splits(self) -> Sequence[str]:
        """The splits' names."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The schema of every split."""
        ...

    def batches(self, split: str) -> Iterable[pa.RecordBatch]:
        """The rows of one split, in order."""
        ...

    def source_files(self) -> Iterable[SourceFile]:
        """The files that the rows come from, if they come from files."""
        ...


class Tables:
    """Rows that are in memory, or come from readers: one Arrow table or RecordBatchReader for each split."""

    def __init__(self, splits: Mapping[str, pa.Table | pa.RecordBatchReader]) -> None:
        if not splits:
            raise InvalidArgument("There are no splits to push.")
        self._splits = dict(splits)
        self.splits = tuple(splits)
        self.schema: pa.Schema = next(iter(splits.values())).schema

    def batches(self, split: str) -> Iterable[pa.RecordBatch]:
        """See RowSource."""
        rows = self._splits[split]
        batches: Iterable[pa.RecordBatch] = rows.to_batches() if isinstance(rows, pa.Table) else rows
        return batches

    def source_files(self) -> Iterable[SourceFile]:
        """None."""
        return ()


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a push has come."""

    split: str
    rows: int
    """Rows sent of all splits so far."""
    size_bytes: int
    """Arrow bytes sent so far."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pushed:
    """What a push led to."""

    version: datasets_pb2.DatasetVersion
    created: bool
    """False when the latest version had these rows already."""
    chunk_count: int
    new_chunk_count: int
    """Chunks among them that had to be stored."""


def push(
    connection: Connection,
    dataset: str,
    source: RowSource,
    *,
    project: str = DEFAULT_PROJECT,
    version: str = "",
    message: str = "",
    derived_from: Sequence[str] = (),
    about: About | None = None,
    dataflow: definitions_pb2.Dataflow | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Pushed:
    """Make a version of ``dataset`` with the rows of ``source``; the dataset is created when it is new.

    Args:
        version: ``v1.2.3``, greater than every version so far; without it the next one is taken.
        derived_from: resource names of the dataset and pipeline versions that the rows come from.
        about: what is said about the rows; without it, what a metadata.json or dataset.yml of the source says.
        dataflow: the transformation that made the rows.
        on_progress: called after each batch that was sent.

    Raises:
        HeadwaterError: what the server says, or what reading the rows raises. Nothing is visible then, and what was
            sent is given up.
    """
    service, parent = stub(connection), references.dataset(dataset, project)
    about = about or (source.about if isinstance(source, Source) else None)
    said: dict[str, Any] = {"version": version, "message": message}
    if about is not None:
        said = documents.commit_fields(about, parent, version, message)
    upload = service.CreateUpload(
        datasets_pb2.CreateUploadRequest(parent=str(parent), request_id=str(uuid.uuid4()))
    ).name
    try:
        results = put(connection, upload, source, on_progress=on_progress)
        for files in _groups(source.source_files(), _FILES_PER_CALL):
            named = [datasets_pb2.SourceFile(**dataclasses.asdict(file)) for file in files]
            service.AddSourceFiles(datasets_pb2.AddSourceFilesRequest(name=upload, source_files=named))
        if about is not None:
            file_bytes = source.file_bytes if isinstance(source, Source) else {}
            documents.check_upload(about, service.GetUpload(datasets_pb2.GetUploadRequest(name=upload)), file_bytes)
        committed = service.CommitUpload(
            datasets_pb2.CommitUploadRequest(
                name=upload, derived_from=derived_from, dataflow=dataflow, request_id=str(uuid.uuid4()), **said
            )
        )
    except BaseException:
        # At best: an upload that nobody aborts expires.
        with contextlib.suppress(HeadwaterError):
            service.AbortUpload(datasets_pb2.AbortUploadRequest(name=upload))
        raise
    if about is not None:
        documents.keep(connection, about, committed)
    return Pushed(
        committed.dataset_version,
        committed.created,
        chunk_count=sum(result.chunk_count for result in results),
        new_chunk_count=sum(result.new_chunk_count for result in results),
    )


def put(
    connection: Connection,
    upload: str,
    source: RowSource,
    *,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[flight_pb2.PutResult]:
    """Put all splits of ``source`` into an open upload; what is returned is durable. A split put again is replaced.

    Raises:
        HeadwaterError: what the server says, or what reading the rows raises.
    """
    rows = size_bytes = 0
    results = []
    for split in source.splits:
        with flight_errors():
            command = flight_pb2.PutCommand(upload=upload, split=split).SerializeToString()
            descriptor = flight.FlightDescriptor.for_command(command)
            options = connection.flight_options()
            writer, answers = connection.flight().do_put(descriptor, source.schema, options)
            with writer:
                for batch in _bounded(source.batches(split)):
                    writer.write_batch(batch)
                    rows, size_bytes = rows + batch.num_rows, size_bytes + batch.nbytes
                    if on_progress is not None:
                        on_progress(Progress(split, rows, size_bytes))
                writer.done_writing()
                results.append(flight_pb2.PutResult.FromString(bytes(answers.read())))
    return results


def _bounded(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches in slices of a few MiB, so that progress is smooth and neither side holds much at once."""
    for batch in batches:
        step = max(1, batch.num_rows * _MESSAGE_BYTES // max(1, batch.nbytes))
        yield from (batch.slice(start, step) for start in range(0, batch.num_rows, step))


def _groups(files: Iterable[SourceFile], size: int) -> Iterator[list[SourceFile]]:
    iterator = iter(files)
    while group := list(itertools.islice(iterator, size)):
        yield group
