"""Pushing rows: open an upload, put each split, commit.

Nothing is visible before the commit. Chunks that the server has already, from whatever version, do not travel. A push
that fails leaves its upload open for a while: the next push of the same rows goes on where it was, by their content.
"""

import contextlib
import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from headwater import references, tree
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, definitions_pb2
from headwater.datasets import documents
from headwater.datasets.asked import check_asked
from headwater.datasets.catalog import stub
from headwater.datasets.progress import Progress
from headwater.datasets.pushed import Pushed
from headwater.datasets.row_source import RowSource, Tables, as_source
from headwater.datasets.sending import Begun, put
from headwater.errors import Aborted, NotFound
from headwater.files.about import About
from headwater.files.manifest import SourceFile
from headwater.files.source import Source
from headwater.names import DEFAULT_PROJECT, check_segment

__all__ = ["Progress", "Pushed", "RowSource", "Tables", "push", "put"]

_FILES_PER_CALL = 5_000
_REBASES = 10


def push(
    connection: Connection,
    dataset: str,
    source: RowSource | Mapping[str, Any],
    *,
    project: str = DEFAULT_PROJECT,
    branch: str = "",
    rebase: bool = False,
    version: str = "",
    message: str = "",
    description: str = "",
    derived_from: Sequence[str] = (),
    about: About | None = None,
    dataflow: definitions_pb2.Dataflow | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Pushed:
    """Make a version of ``dataset`` with the rows of ``source``; the dataset is created when it is new.

    Args:
        source: files (``headwater.files.Source``), or a table, data frame or reader for each split.
        branch: where to commit; without it ``main``.
        rebase: whether to merge with what others have committed to the branch while the rows were being put.
        version: ``v1.2.3``, greater than every version so far; without it ``main`` gets the next one.
        description: about this version.
        derived_from: resource names of the dataset and pipeline versions that the rows come from.
        about: what is said about the rows; without it, what a metadata.json or dataset.yml of the source says.
        dataflow: the transformation that made the rows.
        on_progress: called whenever rows were sent, or found to be there.

    Raises:
        Aborted: reason BRANCH_MOVED, without ``rebase``: somebody else has committed in the meantime.
        FailedPrecondition: reason MERGE_CONFLICT, with ``rebase``: and has changed the same rows; or reason
            VERSION_NOT_GREATER, mostly before any row is sent.
        HeadwaterError: what the server says, or what reading the rows raises. Nothing is visible then; and not even an
            empty dataset is made when the schema or a split's name is none, or the first split cannot be read from its
            beginning.
    """
    rows = as_source(source)
    service, parent = stub(connection), references.dataset(dataset, project)
    about = about or (rows.about if isinstance(rows, Source) else None)
    said: dict[str, Any] = {"version": version, "message": message}
    if about is not None:
        said = documents.commit_fields(about, parent, version, message)
    if description:
        said["description"] = description
    tree.schema_digest(rows.schema)
    present = _present(service, str(parent))
    check_asked(connection, said["version"], present, branch)
    with contextlib.nullcontext() if present is not None else _begun(rows) as begun:
        upload = service.CreateUpload(
            datasets_pb2.CreateUploadRequest(parent=str(parent), branch=branch, request_id=str(uuid.uuid4()))
        ).name
        sent = _Sent(on_progress)
        results = put(connection, upload, rows, begun=begun, on_progress=sent)
    for files in _groups(rows.source_files(), _FILES_PER_CALL):
        named = [datasets_pb2.SourceFile(path=f.path, digest=f.digest, size_bytes=f.size_bytes) for f in files]
        service.AddSourceFiles(datasets_pb2.AddSourceFilesRequest(name=upload, source_files=named))
    if about is not None:
        file_bytes = getattr(rows, "file_bytes", {})
        documents.check_upload(about, service.GetUpload(datasets_pb2.GetUploadRequest(name=upload)), file_bytes)
    request = datasets_pb2.CommitUploadRequest(
        name=upload, derived_from=derived_from, dataflow=dataflow, request_id=str(uuid.uuid4()), **said
    )
    committed = _commit(connection, request, rebase=rebase)
    if about is not None:
        documents.keep(connection, about, committed)
    return Pushed(
        committed.dataset_version,
        committed.created,
        chunk_count=sum(result.chunk_count for result in results),
        new_chunk_count=sum(result.new_chunk_count for result in results),
        commit=committed.commit,
        sent_bytes=sent.bytes,
    )


def _present(service: Any, dataset: str) -> datasets_pb2.Dataset | None:
    try:
        found: datasets_pb2.Dataset = service.GetDataset(datasets_pb2.GetDatasetRequest(name=dataset))
    except NotFound:
        return None
    return found


@contextlib.contextmanager
def _begun(rows: RowSource) -> Iterator[Begun | None]:
    """Look at the rows before a dataset is made for them.

    Of one that is there, the upload is opened first: whoever commits while the rows are read is noticed then.
    """
    for split in rows.splits:
        check_segment(split, "split")
    if not rows.splits:
        yield None
        return
    with contextlib.closing(Begun(rows, rows.splits[0])) as begun:
        yield begun


def _commit(
    connection: Connection, request: datasets_pb2.CommitUploadRequest, *, rebase: bool
) -> datasets_pb2.CommitUploadResponse:
    service = stub(connection)
    for attempt in itertools.count(1):
        try:
            return service.CommitUpload(request)
        except Aborted as error:
            # With a busy branch somebody may be ahead again and again; in the end the caller should know.
            if error.reason != "BRANCH_MOVED" or not rebase or attempt > _REBASES:
                raise
        service.RebaseUpload(datasets_pb2.RebaseUploadRequest(name=request.name))
    raise AssertionError("counts for ever")


class _Sent:
    """Passes progress on, and remembers how much was sent."""

    def __init__(self, tell: Callable[[Progress], None] | None) -> None:
        self._tell = tell
        self.bytes = 0

    def __call__(self, progress: Progress) -> None:
        self.bytes = progress.sent_bytes
        if self._tell is not None:
            self._tell(progress)


def _groups(files: Iterable[SourceFile], size: int) -> Iterator[list[SourceFile]]:
    iterator = iter(files)
    while group := list(itertools.islice(iterator, size)):
        yield group
