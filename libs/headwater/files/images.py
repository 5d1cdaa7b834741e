"""A folder of images with a folder for each class: one row for each file, its bytes unchanged."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from headwater.files.batches import MAX_BYTES, MIN_BYTES
from headwater.files.errors import SourceEmpty, SourceUnsupported
from headwater.files.manifest import Manifest
from headwater.files.reader import select
from headwater.files.splits import Selection
from headwater.files.walk import Found

EXTENSIONS = frozenset(
    {".bmp", ".dcm", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"},
)
SCHEMA = pa.schema({"image": pa.binary(), "label": pa.string(), "path": pa.string()})
MAX_IMAGE_BYTES = 8_000_000
"""A row may have 8 MiB; what is left is for label and path."""


class ImageReader:
    """Rows of ``image`` (the file's bytes), ``label`` (the folder it is in) and ``path`` (as in the manifest)."""

    schema = SCHEMA

    def __init__(self, files: Sequence[Found], manifest: Manifest, depth: int) -> None:
        """Check all files before any is read; ``depth`` folders stand above those of the classes.

        Raises:
            SourceUnsupported, SourceEmpty: naming the file.
        """
        self._manifest = manifest
        for file in files:
            _check(file, depth)

    def read(self, files: Sequence[Found], selection: Selection | None) -> Iterator[pa.RecordBatch]:
        """The chosen files as rows. A file is not even opened when its path or label is what it is chosen by."""
        if selection is not None and selection.column in ("path", "label"):
            chosen = selection.mask(_named(files)).tolist()
            files, selection = [file for file, keep in zip(files, chosen, strict=True) if keep], None
        for group in _groups(files):
            images = [self._manifest.read(file) for file in group]
            batch = pa.record_batch([pa.array(images, pa.binary()), *_named(group).columns], schema=SCHEMA)
            yield select(batch, selection)


def _check(file: Found, depth: int) -> None:
    if file.extension not in EXTENSIONS:
        raise SourceUnsupported(f"{file.path} is not an image that is known by its extension.", path=file.path)
    if len(file.parts) != depth + 2:
        form = "split/class/image" if depth else "class/image"
        raise SourceUnsupported(
            f"{file.path} is not where an image belongs: below the folder its path must be {form}.", path=file.path
        )
    if file.size_bytes == 0:
        raise SourceEmpty(f"{file.path} is empty.", path=file.path)
    if file.size_bytes > MAX_IMAGE_BYTES:
        raise SourceUnsupported(
            f"{file.path} has {file.size_bytes} bytes; an image may have {MAX_IMAGE_BYTES}.", path=file.path
        )


def _named(files: Sequence[Found]) -> pa.RecordBatch:
    """What is known of files without reading them."""
    labels = pa.array([file.parts[-2] for file in files], pa.string())
    return pa.record_batch({"label": labels, "path": pa.array([file.name for file in files], pa.string())})


def _groups(files: Sequence[Found]) -> Iterator[list[Found]]:
    """Files that make batches of 1 to 4 MiB."""
    group: list[Found] = []
    size_bytes = 0
    for file in files:
        if group and (size_bytes >= MIN_BYTES or size_bytes + file.size_bytes > MAX_BYTES):
            yield group
            group, size_bytes = [], 0
        group.append(file)
        size_bytes += file.size_bytes
    if group:
        yield group
