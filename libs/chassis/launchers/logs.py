"""What a gang prints, kept within a bound."""

from pathlib import Path

_CUT = b"\n[The log is full; the rest is dropped.]\n"


class BoundedLog:
    """Appends to ``path`` up to ``max_bytes``, then says so once and drops the rest. Without a path it drops all."""

    def __init__(self, path: Path | None, max_bytes: int) -> None:
        self._file = None if path is None else path.open("ab", buffering=0)
        self._room = max_bytes

    def write(self, data: bytes) -> None:
        """Append what there is room for."""
        if self._file is None:
            return
        self._file.write(data[: self._room])
        self._room -= len(data)
        if self._room < 0:
            self._file.write(_CUT)
            self.close()

    def close(self) -> None:
        """Close the file; what is written after is dropped."""
        if self._file is not None:
            self._file.close()
            self._file = None
