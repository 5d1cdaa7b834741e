"""The memory that prepared rows of one version may take while they wait for each other."""

import threading
from typing import Final

from services.inference.errors import QueueFull
from services.inference.preparing.errors import RawRefused

RETRY_MS: Final = 100


class Room:
    """So many bytes, for all requests together. Usable by any thread."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.taken = 0
        self.lock = threading.Lock()


class Place:
    """What one request has taken of it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0
        self._left = False

    def reserve(self, size_bytes: int) -> None:
        """Take so many bytes more.

        Raises:
            RawRefused: the request alone needs more than there is. QueueFull: together with the others.
        """
        room = self._room
        with room.lock:
            if self._left:
                return  # a thread that was still at a row when its request went away
            if self._taken + size_bytes > room.max_bytes:
                raise RawRefused(f"`raw`: the rows become more than {room.max_bytes:,} bytes; send fewer at a time.")
            if room.taken + size_bytes > room.max_bytes:
                raise QueueFull(retry_after_ms=RETRY_MS)
            self._taken += size_bytes
            room.taken += size_bytes

    def leave(self) -> None:
        """Give everything back."""
        with self._room.lock:
            self._room.taken -= self._taken
            self._taken, self._left = 0, True
