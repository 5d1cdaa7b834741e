"""A folder of images with a folder for each class: one row for each file, its bytes unchanged."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from headwater.files.errors import SourceEmpty, SourceUnsupported
from headwater.files.groups import check_size, groups
from headwater.files.manifest import Manifest
from headwater.files.reader import select, select_files
from headwater.files.splits.rule import Choice
from headwater.files.walk import Found

EXTENSIONS = frozenset(
    {".bmp", ".dcm", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"},
)
SCHEMA = pa.schema({"image": pa.binary(), "label": pa.string(), "path": pa.string()})
_NAMED = frozenset({"label", "path"})


class ImageReader:
    """Rows of ``image`` (the file's bytes), ``label`` (the folder it is in) and ``path`` (as in the manifest).

    Nothing is decoded: an image that is cut off, or that claims to have 10^10 pixels, is bytes like any other.
    """

    schema = SCHEMA

    def __init__(self, files: Sequence[Found], manifest: Manifest, depth: int) -> None:
        """Check all files before any is read; ``depth`` folders stand above those of the classes.

        Raises:
            SourceUnsupported, SourceEmpty: naming the file.
        """
        self._manifest = manifest
        for file in files:
            _check(file, depth)

    def read(self, files: Sequence[Found], choice: Choice | None) -> Iterator[pa.RecordBatch]:
        """The chosen files as rows. A file is not even opened when its path or label is what it is chosen by."""
        if choice is not None and _NAMED.issuperset(choice.columns):
            files, choice = select_files(files, _named(files), choice), None
        for group in groups(files):
            images = pa.array([self._manifest.read(file) for file in group], pa.binary())
            yield select(pa.record_batch([images, *_named(group).columns], schema=SCHEMA), choice)

    def look(self, files: Sequence[Found], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """See Reader."""
        return iter([_named(files)]) if _NAMED.issuperset(columns) else self.read(files, None)


def _check(file: Found, depth: int) -> None:
    if len(file.parts) != depth + 2:
        form = "split/class/image" if depth else "class/image"
        raise SourceUnsupported(
            f"{file.location} is not where an image belongs: below the folder its path must be {form}.",
            path=file.location,
        )
    if file.size_bytes == 0:
        raise SourceEmpty(f"{file.location} is empty.", path=file.location)
    check_size(file, "an image")


def _named(files: Sequence[Found]) -> pa.RecordBatch:
    """What is known of files without reading them."""
    labels = pa.array([file.parts[-2] for file in files], pa.string())
    return pa.record_batch({"label": labels, "path": pa.array([file.name for file in files], pa.string())})
