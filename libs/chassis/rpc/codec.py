"""Messages that a servicer takes apart and puts together by itself, because copying them is what they cost."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any


class Pieces:
    """A message that lies in several places of memory and is sent from there. None of them may change afterwards."""

    __slots__ = ("_size", "parts")

    def __init__(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self.parts = [memoryview(part) for part in parts]
        """The bytes of the message, in order."""
        self._size = sum([part.nbytes for part in self.parts])

    def __len__(self) -> int:
        return self._size


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """How the messages of one method with one request and one answer are read and written.

    Attributes:
        parse: gets a request as it came, and raises HeadwaterError (see ``validation.parse``) if it is none.
        write: gets what the method has returned.
    """

    parse: Callable[[bytes | memoryview], Any]
    write: Callable[[Any], bytes | Pieces]
