"""What the header of an image says, and what every reader of headers has in common.

Nothing is decoded: an image that claims 10^10 pixels costs no more than one with ten. That an image is cut off is found
where the format says how it ends or how long it is.
"""

import dataclasses
from collections.abc import Callable
from typing import TypeAlias


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """Format, size in pixels and colour space, in the words of Pillow's ``Image.mode``."""

    format: str
    width: int
    height: int
    colour_space: str


class Unreadable(Exception):
    """The bytes begin like an image, and are none or only a part of one."""


Reader: TypeAlias = Callable[[memoryview], Header]
"""Returns the header, or raises Unreadable, or IndexError or ``struct.error`` where the bytes end too early."""


def check(condition: bool) -> None:
    """Go on if it holds, or Unreadable."""
    if not condition:
        raise Unreadable


def ends_with(data: memoryview, end: bytes, after: int) -> bool:
    """Whether ``end`` is the end of the data or, where something follows the image, stands behind ``after``."""
    return bytes(data[-len(end) :]) == end or bytes(data).rfind(end, after) >= 0
