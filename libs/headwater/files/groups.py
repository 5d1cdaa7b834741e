"""Files that are a row each, read a few mebibytes at a time."""

from collections.abc import Iterator, Sequence

from headwater.files.batches import MAX_BYTES, MIN_BYTES
from headwater.files.errors import SourceUnsupported
from headwater.files.walk import Found

MAX_FILE_BYTES = 8_000_000
"""A row may have 8 MiB; what is left is for the other columns."""


def groups(files: Sequence[Found]) -> Iterator[list[Found]]:
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


def check_size(file: Found, what: str) -> None:
    """Raise SourceUnsupported when the file does not fit into a row."""
    if file.size_bytes > MAX_FILE_BYTES:
        raise SourceUnsupported(
            f"{file.location} has {file.size_bytes} bytes; {what} may have {MAX_FILE_BYTES}.", path=file.location
        )
