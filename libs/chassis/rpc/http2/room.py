"""The memory that messages take while they come, of all clients of a server together.

Credentials are looked at when a call begins, which needs its message: without a bound, whoever reaches the port could
take all memory there is by messages that never end.
"""

from typing import Final, Protocol

import grpc

from chassis.rpc.http2.inbox import Refused

SLOW_S: Final = 30.0
"""Who needs so long for a message gives way to others when there is no room."""


class Full(Refused):
    """There is no room for more; later there may be."""

    def __init__(self) -> None:
        super().__init__(grpc.StatusCode.RESOURCE_EXHAUSTED, "The service is busy: too much is being sent at once.")


class Holder(Protocol):
    """A call of which part of a message has come."""

    def give_way(self) -> None:
        """End, and hold nothing any more."""


class Room:
    """So many bytes. Who came first is first to have them, unless it is slow."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._held: dict[Holder, int] = {}  # in the order in which they began
        self._since: dict[Holder, float] = {}
        self.taken_bytes = 0

    def hold(self, holder: Holder, size_bytes: int, now: float) -> None:
        """From now on ``holder`` holds so many; 0 for none. ``now`` is a reading of a monotonic clock.

        Raises:
            Full: it cannot; it holds them all the same until it says that it does not.
        """
        held = self._held.get(holder)
        self.taken_bytes += size_bytes - (held or 0)
        if not size_bytes:
            self._held.pop(holder, None)
            self._since.pop(holder, None)
            return
        self._held[holder] = size_bytes
        if held is None:
            self._since[holder] = now
        while self.taken_bytes > self._max_bytes:
            oldest, since = next(iter(self._since.items()))
            if oldest is holder or now - since < SLOW_S:
                raise Full
            oldest.give_way()
