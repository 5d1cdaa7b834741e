"""What a file is: by its extension, and by its first bytes where the extension is missing or says something else."""

import json
import zlib

from headwater.files.errors import SourceUnsupported
from headwater.files.images import EXTENSIONS as IMAGES
from headwater.files.manifest import reading
from headwater.files.walk import Found

BY_EXTENSION = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".npy": "npy",
    ".npz": "npz",
    ".tar": "tar",
    ".tar.gz": "tar.gz",
    ".tgz": "tar.gz",
    **dict.fromkeys(IMAGES, "image"),
}
"""The formats, by the extensions of their files."""

_HEAD_BYTES = 4096
_MAGIC = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),
    (b"\x93NUMPY", "npy"),
    (b"PK\x03\x04", "npz"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
)


def format_of(file: Found, notes: list[str]) -> str:
    """The file's format, one of those in BY_EXTENSION. What its content decides against its name is noted.

    An image is believed by its extension, since its bytes are kept as they are; any other file is looked into.

    Raises:
        SourceUnsupported: neither says anything that is known.
    """
    extension = ".tar.gz" if file.name.lower().endswith(".tar.gz") else file.extension
    said = BY_EXTENSION.get(extension)
    if said == "image":
        return said
    with reading(file), open(file.location, "rb") as stream:
        seen = recognise(stream.read(_HEAD_BYTES))
    if seen is None or seen == said:
        if said is None:
            known = ", ".join(sorted(BY_EXTENSION))
            raise SourceUnsupported(
                f"{file.location} has none of the extensions that are read, and its content is of no kind that is"
                f" known: {known}.",
                path=file.location,
            )
        return said
    why = f"its name says {said}" if said else "its name does not say"
    notes.append(f"{file.location} is read as {seen}, which its content is; {why}.")
    return seen


def recognise(head: bytes) -> str | None:
    """What begins with these bytes; None when they say nothing, as those of CSV files do."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if head[257:262] == b"ustar":
        return "tar"
    if head[:3] == b"\x1f\x8b\x08":
        return "tar.gz" if _unzipped(head)[257:262] == b"ustar" else None
    return "jsonl" if _is_json_line(head) else None


def _unzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 512)
    except zlib.error:
        return b""


def _is_json_line(head: bytes) -> bool:
    """Whether the first line is a JSON object, as far as it can be seen."""
    line, newline, _ = head.lstrip().partition(b"\n")
    if not line.startswith(b"{"):
        return False
    if not newline and len(head) == _HEAD_BYTES:
        return line[1:].lstrip().startswith((b'"', b"}"))
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
