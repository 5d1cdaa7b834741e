"""Goes through the head of a GGUF file: numbers and texts, one after the other."""

import struct

from services.registry.formats.content import Content

_WINDOW_BYTES = 128 * 1024
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")


class Broken(ValueError):
    """The head breaks a rule of the format; the text says which."""


class Cursor:
    """Reads what comes next, and stands behind it then.

    Raises:
        Broken: by every method, if there is less, or if it is longer than is read.
    """

    def __init__(self, content: Content, position: int) -> None:
        self._content = content
        self._window = b""
        self._begin = 0
        self.position = position

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes, of which there may be as many as a window has."""
        at = self._at(count)
        self.position += count
        return self._window[at : at + count]

    def u32(self) -> int:
        """A number of four bytes."""
        at = self._at(4)
        self.position += 4
        return int(_U32.unpack_from(self._window, at)[0])

    def u64(self) -> int:
        """A number of eight bytes."""
        at = self._at(8)
        self.position += 8
        return int(_U64.unpack_from(self._window, at)[0])

    def text(self, longest: int) -> str:
        """A text of at most ``longest`` bytes, without NUL."""
        length = self.u64()
        if length > longest:
            raise Broken(f"a text of {length} bytes is where at most {longest} may be")
        try:
            text = self.take(length).decode()
        except UnicodeDecodeError as error:
            raise Broken("a text is not UTF-8") from error
        if "\0" in text:
            raise Broken("a text contains NUL")
        return text

    def skip(self, count: int) -> None:
        """Go past ``count`` bytes."""
        if count > self._content.size - self.position:
            raise Broken(f"it ends within {count} bytes that should come at byte {self.position}")
        self.position += count

    def skip_texts(self, count: int) -> None:
        """Go past ``count`` texts. A vocabulary has 100,000s: only their lengths are looked at."""
        unpack, position = _U64.unpack_from, self.position
        while count:
            self.position = position
            at = self._at(8)
            window, last = self._window, len(self._window) - 8
            while count and at <= last:
                at += 8 + unpack(window, at)[0]
                count -= 1
            position = self._begin + at
            if position > self._content.size:
                raise Broken(f"it ends within the texts that should come at byte {self.position}")
        self.position = position

    def _at(self, count: int) -> int:
        """Where in the window the next ``count`` bytes are."""
        at = self.position - self._begin
        if at < 0 or at + count > len(self._window):
            left = self._content.size - self.position
            if count > min(left, _WINDOW_BYTES):
                raise Broken(f"it ends within {count} bytes that should come at byte {self.position}")
            self._window = bytes(self._content.read(self.position, min(left, _WINDOW_BYTES)))
            self._begin, at = self.position, 0
        return at
