"""The bytes of an HDF5 file, read within limits: what is read of one file is bounded, whatever it says."""

import struct

from services.registry.formats.content import Content, Truncated

UNDEFINED = 2**64 - 1  # an address that is none
_MAX_READ_BYTES = 96 * 2**20
_MAX_STEPS = 2_000_000


class BadHdf5(ValueError):
    """It breaks a rule of the format, or is larger than is read; the text says which."""


class Source:
    """Reads parts, and counts what was read."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self._bytes_left = _MAX_READ_BYTES
        self._steps_left = _MAX_STEPS

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return self._content.size

    def read(self, begin: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``begin``.

        Raises:
            BadHdf5: they are not there, or too much was read already.
        """
        self.spend()
        self._bytes_left -= length
        if self._bytes_left < 0:
            raise BadHdf5(f"more than {_MAX_READ_BYTES} bytes would have to be read beside the data")
        try:
            return bytes(self._content.read(begin, length))
        except Truncated as error:
            raise BadHdf5("a part of it lies outside of the file") from error

    def spend(self) -> None:
        """Count a step: a read, or a message or a link out of what was read.

        Raises:
            BadHdf5: there were too many.
        """
        self._steps_left -= 1
        if self._steps_left < 0:
            raise BadHdf5(f"it has more than {_MAX_STEPS} parts")

    def unpack(self, form: struct.Struct, begin: int) -> tuple[int, ...]:
        """The numbers that lie at ``begin``."""
        return form.unpack(self.read(begin, form.size))


class Cursor:
    """Takes numbers and bytes one after the other out of what was read."""

    def __init__(self, content: bytes, position: int = 0) -> None:
        self._content = content
        self.position = position

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._content) - self.position

    def number(self, size: int) -> int:
        """The little-endian number in the next ``size`` bytes."""
        return int.from_bytes(self.bytes(size), "little")

    def bytes(self, size: int) -> bytes:
        """The next ``size`` bytes.

        Raises:
            BadHdf5: there are not as many.
        """
        if not 0 <= size <= self.left:
            raise BadHdf5("a part of it is cut off")
        self.position += size
        return self._content[self.position - size : self.position]
