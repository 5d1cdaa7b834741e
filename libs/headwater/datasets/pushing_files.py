"""Pushing files, of which those are not read again that did not change since they were pushed last.

Nothing but names and stat data is looked at when all files are as they were and the branch has their rows. What reads
and sends rows is only imported when that is needed, so that this case is over in a moment.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, history_pb2
from headwater.datasets.catalog import history_stub, stub
from headwater.datasets.pushed import Pushed
from headwater.datasets.stat_cache import RACY_NS, Seal, StatCache, key_of
from headwater.errors import NotFound
from headwater.files.walk import Found, find_files, stamp
from headwater.names import DEFAULT_PROJECT

if TYPE_CHECKING:
    import pyarrow as pa

    from headwater.datasets.progress import Progress
    from headwater.files.source import Source


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """Files to be pushed, and how they become rows."""

    path: Path
    split_by: str = ""
    """A rule (docs/reference/formats.md); without it, what the files say themselves."""
    kind: str = ""
    """``files``: each file is one row, whatever it is."""
    types: "pa.Schema | None" = None
    """What columns of tables are converted to."""

    @property
    def key(self) -> str:
        """What they are remembered under."""
        return key_of(self.path, {"split_by": self.split_by, "kind": self.kind, "types": str(self.types or "")})


def push_files(
    connection: Connection,
    dataset: str,
    files: Files,
    *,
    project: str = DEFAULT_PROJECT,
    branch: str = "",
    cache: StatCache | None = None,
    on_source: "Callable[[Source], object] | None" = None,
    on_progress: "Callable[[Progress], None] | None" = None,
    **said: Any,
) -> Pushed:
    """As ``push``, of files; ``said`` is what else that takes.

    Args:
        cache: what remembers the files; without it all of them are read.
        on_source: called with the files as they are understood, unless nothing of them is looked at.

    Raises:
        What ``push`` and ``headwater.files.Source`` raise.
    """
    looked_ns = time.time_ns()
    found = find_files(files.path, empty_folders=files.kind == "files")
    seal = cache.seal(files.key) if cache is not None else None
    if seal is not None and not _says_more(said) and seal.stamp == stamp(found):
        head = _head(connection, str(references.dataset(dataset, project)), branch or "main")
        if head is not None and head.digest == seal.digest and not head.definition.WhichOneof("kind"):
            return _unchanged(connection, head)
    return _push(connection, dataset, files, found, looked_ns, cache, on_source, project=project, branch=branch,
                 on_progress=on_progress, **said)  # fmt: skip


def _says_more(said: dict[str, Any]) -> bool:
    """Whether a push of rows that are there would do anything."""
    return any(value for name, value in said.items() if name not in ("message", "rebase"))


def _head(connection: Connection, dataset: str, branch: str) -> history_pb2.Commit | None:
    try:
        return history_stub(connection).GetCommit(history_pb2.GetCommitRequest(name=f"{dataset}/branches/{branch}"))
    except NotFound:
        return None


def _unchanged(connection: Connection, head: history_pb2.Commit) -> Pushed:
    version = datasets_pb2.DatasetVersion()
    if head.version:
        name = f"{head.name.partition('/commits/')[0]}/versions/{head.version}"
        version = stub(connection).GetDatasetVersion(datasets_pb2.GetDatasetVersionRequest(name=name))
    chunks = sum(split.chunk_count for split in head.splits)
    return Pushed(version, created=False, chunk_count=chunks, new_chunk_count=0, commit=head)


def _push(
    connection: Connection,
    dataset: str,
    files: Files,
    found: Sequence[Found],
    looked_ns: int,
    cache: StatCache | None,
    on_source: "Callable[[Source], object] | None",
    **said: Any,
) -> Pushed:
    from headwater.datasets.file_rows import FileRows, KnownRows
    from headwater.datasets.pushing import push
    from headwater.files import split_by
    from headwater.files.source import Source

    source = Source(found, split_by(files.split_by) if files.split_by else None, files.types, kind=files.kind)
    if on_source is not None:
        on_source(source)
    if cache is None:
        return push(connection, dataset, source, **said)
    rows: Source | FileRows = source
    if all(source.files_of(split) is not None for split in source.splits):
        rows = FileRows(source, KnownRows.parse(cache.load(f"{files.key}.rows")), looked_ns)
    pushed = push(connection, dataset, rows, about=source.about, **said)
    newest = max(max(file.changed_ns, file.modified_ns) for file in found)
    if isinstance(rows, FileRows):
        cache.save(f"{files.key}.rows", rows.learned().serialize())
    if newest < looked_ns - RACY_NS and source.about is None:
        cache.remember(files.key, Seal(stamp(found), pushed.commit.digest))
    return pushed
