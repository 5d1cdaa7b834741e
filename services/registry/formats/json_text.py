"""Reads JSON piece by piece, so that of a large file only what is asked for is in memory.

Values come in the order of the file; what is not asked for is gone past without being built or checked beyond its
brackets and texts. The cost grows with the text that is gone past, which JSON leaves no way around: it is bounded.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from services.registry.formats.content import Content

MAX_TEXT = 65_536
MAX_STEPS = 2_000_000
"""Texts, brackets and what is between them that are gone through in one file: a second or two."""
_WINDOW_BYTES = 4 * MAX_TEXT
_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\.)*"', re.DOTALL)
_IN_STRING = re.compile(rb'[^"\\]*')
_PLAIN = re.compile(rb'[^"\[\]{}]+')
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]+")


class NotJson(ValueError):
    """The text is not JSON, or there is more of it, or it is larger in one piece, than is read."""


class JsonReader:
    """Goes through JSON text, of which it reads ``max_bytes`` at most.

    Raises:
        NotJson: by every method.
    """

    def __init__(self, content: Content, max_bytes: int) -> None:
        self._content = content
        self._end = min(content.size, max_bytes)
        self._steps_left = MAX_STEPS
        self._position = 0
        self._window = b""
        self._window_begin = 0

    def members(self, *, entered: bool = False) -> Iterator[str]:
        """The names in the object that comes next; each time the reader stands before that member's value.

        It is gone past if nobody takes it; who takes a part of it takes it all. ``entered`` when the reader is in the
        object already: before a member, a comma or its end.
        """
        if not entered:
            self._expect(b"{")
        first = True
        while self._next_is_not(b"}"):
            if not first or (entered and self._peek() == b","):
                self._expect(b",")
            first = False
            name = self.value()
            if not isinstance(name, str):
                raise self._error("a name")
            self._expect(b":")
            yield from self._each(name)

    def elements(self) -> Iterator[None]:
        """As :meth:`members`, of the array that comes next."""
        self._expect(b"[")
        first = True
        while self._next_is_not(b"]"):
            if not first:
                self._expect(b",")
            first = False
            yield from self._each(None)

    def value(self, longest: int = MAX_TEXT) -> Any:
        """The value that comes next, of at most ``longest`` bytes."""
        is_text = self._peek() == b'"'
        begin = self._position
        match = _STRING.match(self._window, begin - self._window_begin) if is_text else None
        if match is not None and b"\\" not in match[0] and match.end() - match.start() <= longest:
            self._position += match.end() - match.start()
            return self._decoded(match[0][1:-1], begin)
        self.skip()
        if self._position - begin > longest:
            raise self._error(f"a value of at most {longest} bytes", begin)
        try:
            text = self._decoded(bytes(self._content.read(begin, self._position - begin)), begin)
            return json.loads(text, parse_constant=_no_constant)
        except NotJson:
            raise
        except (ValueError, RecursionError) as error:
            raise self._error("a value", begin) from error

    def skip(self) -> None:
        """Go past the value that comes next."""
        depth = 0
        while True:
            character = self._peek()
            if character == b'"':
                self._skip_string()
            elif character in (b"{", b"["):
                depth += 1
                self._position += 1
                continue
            elif character in (b"}", b"]"):
                depth -= 1
                self._position += 1
                if depth < 0:
                    raise self._error("a value", self._position - 1)
            elif depth:
                self._skip_run(_PLAIN)  # numbers, commas, colons
            else:
                self._skip_run(_SCALAR)
            if depth == 0:
                return

    def _each(self, item: Any) -> Iterator[Any]:
        before = self._position
        yield item
        if self._position == before:
            self.skip()

    def _next_is_not(self, bracket: bytes) -> bool:
        if self._peek() != bracket:
            return True
        self._position += 1
        return False

    def _expect(self, character: bytes) -> None:
        if self._peek() != character:
            raise self._error(character.decode())
        self._position += 1

    def _peek(self) -> bytes:
        """The next character that is no space; the reader stands before it."""
        self._steps_left -= 1
        if self._steps_left < 0:
            raise NotJson("it has more values than are read")
        self._skip_run(_SPACE)
        return self._ahead()

    def _ahead(self) -> bytes:
        if self._position >= self._end:
            raise NotJson(f"it ends, or is read no further, at byte {self._position}, within a value")
        at = self._position - self._window_begin
        if not 0 <= at < len(self._window):
            self._window = bytes(self._content.read(self._position, min(_WINDOW_BYTES, self._end - self._position)))
            self._window_begin, at = self._position, 0
        return self._window[at : at + 1]

    def _skip_run(self, run: re.Pattern[bytes]) -> None:
        """Go past what ``run`` matches, which may be longer than the window."""
        begin = self._position
        while True:
            self._ahead()
            match = run.match(self._window, self._position - self._window_begin)
            if match is None:
                if self._position > begin:
                    return
                raise self._error("a value")
            self._position += match.end() - match.start()
            if match.end() < len(self._window) or self._position == self._end:
                return

    def _skip_string(self) -> None:
        match = _STRING.match(self._window, self._position - self._window_begin)
        if match is not None:
            self._position += match.end() - match.start()
            return
        self._position += 1
        while self._ahead() != b'"':  # it goes beyond the window, or has characters that it may not have
            if self._ahead() == b"\\":
                self._position += 2
            else:
                self._skip_run(_IN_STRING)
        self._position += 1

    def _decoded(self, text: bytes, begin: int) -> str:
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise self._error("a text in UTF-8", begin) from error

    def _error(self, wanted: str, position: int | None = None) -> NotJson:
        return NotJson(f"{wanted} is missing at byte {self._position if position is None else position}")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
