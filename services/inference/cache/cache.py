"""Answers of one model version, kept in memory by what was asked.

- Equal questions that come while the first of them is computed wait for its answer: it is computed once, and if that
  fails all of them have failed with it, each with a copy of the error. Only where the failure is the first one's alone
  (its caller went away, or there was no room or no time left for it) is the next of them computed while the others go
  on waiting: never more than one at a time.
- Bounded by bytes and by entries; what was not asked for longest goes first. An answer that alone would take more than
  a quarter of the bytes is not kept.
- Each process and each version has its own. What a process answers from its memory needs no round trip and is never
  away; a second process computes an answer once more, and is right, too.
"""

import asyncio
import collections
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import numpy as np

from services.inference.cache.options import Caching
from services.inference.errors import OutOfTime, QueueFull, QueueTimedOut, own_error
from services.inference.tensors.model import Tensor, size_bytes

_OVERHEAD_BYTES = 1024  # of an entry beside its elements: key, arrays, tensors
_LARGEST_SHARE = 4
_ITS_OWN = (QueueFull, QueueTimedOut, OutOfTime)
"""What says nothing of an equal question: that may find room, or has more time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """An answer: its outputs and how many rows it has."""

    outputs: Sequence[Tensor]
    rows: int


@dataclasses.dataclass(slots=True)
class CacheCounts:
    """Questions since the version was loaded. ``_s`` are the seconds that finding them, or not, took."""

    hits: int = 0
    hit_rows: int = 0
    hit_s: float = 0.0
    misses: int = 0
    miss_s: float = 0.0
    evicted: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    kept: Kept
    size_bytes: int
    until: float


_Outcome: TypeAlias = Kept | Exception | None
"""What who waits is told: the answer, why there is none, or None: compute it now."""
_Waiting: TypeAlias = collections.deque[asyncio.Future[_Outcome]]


class ResponseCache:
    """See above. To be used in one event loop."""

    def __init__(self, caching: Caching, now: Callable[[], float] = time.monotonic) -> None:
        self.counts = CacheCounts()
        self.size_bytes = 0
        self._caching = caching
        self._now = now
        self._entries: collections.OrderedDict[bytes, _Entry] = collections.OrderedDict()
        self._computing: dict[bytes, _Waiting] = {}
        """Who waits for what is computed now, the first that came first."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def enabled(self) -> bool:
        """Whether answers are kept."""
        return self._caching.enabled

    def configure(self, caching: Caching) -> None:
        """Go on with other bounds; what does not fit in is forgotten."""
        if caching == self._caching:
            return
        self._caching = caching
        if not caching.enabled:
            self._entries.clear()
            self.size_bytes = 0
        self._shrink()

    async def answer(self, key: Callable[[], bytes], compute: Callable[[], Awaitable[Kept]]) -> tuple[Kept, bool]:
        """The answer to what ``key`` stands for, and whether it comes from the cache; raises what computing does."""
        begun = time.perf_counter()
        digest = key()
        kept = self._find(digest)
        waiting = self._computing.get(digest)
        looked_s = time.perf_counter() - begun
        if kept is None and waiting is not None:
            kept = await self._wait(digest, waiting)
        elif kept is None:
            self._computing[digest] = collections.deque()
        if kept is not None:
            self.counts.hits += 1
            self.counts.hit_rows += kept.rows
            self.counts.hit_s += looked_s
            return kept, True
        self.counts.misses += 1
        self.counts.miss_s += looked_s
        return await self._compute(digest, compute), False

    async def _wait(self, digest: bytes, waiting: _Waiting) -> Kept | None:
        """The answer that another one computes; None where it is this one's turn to compute it."""
        told: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        waiting.append(told)
        try:
            outcome = await told
        except asyncio.CancelledError:
            if not told.cancelled() and told.result() is None:  # it went away just as its turn had come
                self._pass_on(digest)
            raise
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _compute(self, digest: bytes, compute: Callable[[], Awaitable[Kept]]) -> Kept:
        try:
            kept = await compute()
            self._keep(digest, kept)
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, _ITS_OWN):
                self._tell_all(digest, error)
            else:
                self._pass_on(digest)
            raise
        self._tell_all(digest, kept)
        return kept

    def _tell_all(self, digest: bytes, outcome: Kept | Exception) -> None:
        waiting = [told for told in self._computing[digest] if not told.done()]
        # All made before anybody is told: nobody is left waiting if one cannot be.
        outcomes = [outcome if isinstance(outcome, Kept) else own_error(outcome) for _ in waiting]
        del self._computing[digest]
        for told, own in zip(waiting, outcomes, strict=True):
            told.set_result(own)

    def _pass_on(self, digest: bytes) -> None:
        """Let the next one compute, of those that still wait."""
        waiting = self._computing[digest]
        while waiting:
            told = waiting.popleft()
            if not told.done():
                told.set_result(None)
                return
        del self._computing[digest]

    def _find(self, digest: bytes) -> Kept | None:
        entry = self._entries.get(digest)
        if entry is None:
            return None
        if entry.until <= self._now():
            self._forget(digest)
            return None
        self._entries.move_to_end(digest)
        return entry.kept

    def _keep(self, digest: bytes, kept: Kept) -> None:
        caching = self._caching
        needed = sum(size_bytes(tensor.array) for tensor in kept.outputs) + _OVERHEAD_BYTES
        if not caching.enabled or needed > caching.max_bytes / _LARGEST_SHARE:
            return
        begun = time.perf_counter()
        until = self._now() + caching.ttl_s if caching.ttl_s else float("inf")
        self._entries[digest] = _Entry(_own(kept), needed, until)
        self.size_bytes += needed
        self._shrink()
        self.counts.miss_s += time.perf_counter() - begun

    def _shrink(self) -> None:
        while self.size_bytes > self._caching.max_bytes or len(self._entries) > self._caching.max_entries:
            self._forget(next(iter(self._entries)))
            self.counts.evicted += 1

    def _forget(self, digest: bytes) -> None:
        self.size_bytes -= self._entries.pop(digest).size_bytes


def _own(kept: Kept) -> Kept:
    """The same with arrays of its own: a slice of a batch would keep all of the batch in memory."""
    tensors = [
        dataclasses.replace(tensor, array=np.array(tensor.array) if tensor.array.base is not None else tensor.array)
        for tensor in kept.outputs
    ]
    for tensor in tensors:
        tensor.array.flags.writeable = False
    return Kept(tensors, kept.rows)
