"""How much a zip archive's directory holds, before anything reads all of it."""

import struct
from typing import IO

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_COMMENT_BYTES = 1 << 16
_ENTRY_BYTES = 46 + 1024
"""A directory entry with a long name."""


def check_directory(stream: IO[bytes], size_bytes: int, max_entries: int) -> None:
    """Raise ValueError when an archive claims more entries than it may have: reading them would take memory."""
    stream.seek(max(0, size_bytes - _END.size - _COMMENT_BYTES - _LOCATOR.size))
    tail = stream.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(tail):
        raise ValueError("it has no directory at its end")
    *_, entries, directory_bytes, _offset, _comment = _END.unpack_from(tail, at)
    if at >= _LOCATOR.size and tail[at - _LOCATOR.size :].startswith(b"PK\6\7"):
        stream.seek(_LOCATOR.unpack_from(tail, at - _LOCATOR.size)[2])
        end = stream.read(_END_64.size)
        if len(end) < _END_64.size or not end.startswith(b"PK\6\6"):
            raise ValueError("its directory is damaged")
        entries, directory_bytes = _END_64.unpack(end)[7:9]
    if entries > max_entries or directory_bytes > max_entries * _ENTRY_BYTES:
        raise ValueError(f"its directory has {entries} entries in {directory_bytes} bytes; at most {max_entries}")
    stream.seek(0)
