"""Files as they are, of whatever kind: one row for each."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from headwater.files.groups import check_size, groups
from headwater.files.manifest import Manifest
from headwater.files.reader import select, select_files
from headwater.files.splits.rule import Choice
from headwater.files.walk import Found

SCHEMA = pa.schema({"path": pa.string(), "data": pa.binary()})


class FileReader:
    """Rows of ``path`` (as in the manifest) and ``data`` (the file's bytes)."""

    schema = SCHEMA

    def __init__(self, files: Sequence[Found], manifest: Manifest) -> None:
        """Check all files before any is read.

        Raises:
            SourceUnsupported: naming the file that is larger than a row can be.
        """
        self._manifest = manifest
        for file in files:
            check_size(file, "a file that becomes a row")

    def read(self, files: Sequence[Found], choice: Choice | None) -> Iterator[pa.RecordBatch]:
        """The chosen files as rows; when their paths are all that counts, the others are not opened."""
        if choice is not None and {"path"}.issuperset(choice.columns):
            files, choice = select_files(files, _named(files), choice), None
        for group in groups(files):
            contents = pa.array([self._manifest.read(file) for file in group], pa.binary())
            yield select(pa.record_batch([_named(group).column(0), contents], schema=SCHEMA), choice)

    def look(self, files: Sequence[Found], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See Reader."""
        return iter([_named(files)]) if {"path"}.issuperset(columns) else self.read(files, None)


def _named(files: Sequence[Found]) -> pa.RecordBatch:
    """What is known of files without reading them."""
    return pa.record_batch({"path": pa.array([file.name for file in files], pa.string())})
