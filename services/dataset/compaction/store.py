"""What compaction needs of the store, as a Protocol.

A chunk is live when a tree refers to it. A pack that an upload pins is left alone: the upload may rely on chunks in it
that no tree refers to yet.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from services.dataset.model import Placement


@dataclasses.dataclass(frozen=True, slots=True)
class LiveChunk:
    """A chunk that a tree refers to, and where it lies."""

    digest: bytes
    row_count: int
    size_bytes: int
    placement: Placement


@dataclasses.dataclass(frozen=True, slots=True)
class SparsePack:
    """A pack of which little is live."""

    pack: str
    layout: bytes
    chunks: tuple[LiveChunk, ...]
    """At least one, in the order in which they lie."""

    @property
    def live_bytes(self) -> int:
        """Their canonical bytes."""
        return sum(chunk.size_bytes for chunk in self.chunks)


@dataclasses.dataclass(frozen=True, slots=True)
class SparsePage:
    """What was found among a number of packs."""

    packs: tuple[SparsePack, ...]
    last: int | None
    """Where the next page begins; None: there are no more packs."""


class Compactions(Protocol):
    """Finding packs of which little is live, and replacing them."""

    async def claim_compaction(self, owner: str, ttl_s: float) -> bool:
        """Whether nobody else is at it; then nobody else begins for ``ttl_s``, 0 if the owner has ended. It saves work:
        what is done by two at the same time is right, too.
        """
        ...

    async def sparse_packs(self, after: int, at_once: int, older_than_s: float, max_live_share: float) -> SparsePage:
        """Look at the next ``at_once`` packs after ``after`` (0: the first) for those that are stored for
        ``older_than_s``, that nobody pins, and of whose bytes at most the share is live.
        """
        ...

    async def begin_compacted(self, pack: str, size_bytes: int) -> None:
        """Note that a pack is about to be stored to which chunks are to move, so that it is collected whatever happens
        next.
        """
        ...

    async def replace_packs(
        self, old: Sequence[SparsePack], new: str, moved: Sequence[LiveChunk], ttl_s: float
    ) -> bool:
        """Let the live chunks of ``old`` lie where ``moved`` says, in a pack that is durable; drop the others, and
        retire the old packs: their bytes stay for ``ttl_s``, for readers who know nothing of it yet.

        False, and nothing has happened, unless all is as it was when the packs were found: nobody pins them, and their
        live chunks are those of ``moved``; or if the new pack was collected.
        """
        ...

    async def give_up_compacted(self, pack: str, ttl_s: float) -> bool:
        """Let the pack be removed in ``ttl_s`` if no chunks have moved to it; false if nobody knows of the pack."""
        ...

    async def retire_abandoned_packs(self, write_timeout_s: float, ttl_s: float) -> None:
        """Let the packs be removed in ``ttl_s`` that no upload pins and that have been in writing for longer than
        ``write_timeout_s``: who wrote them has died. Their bytes may still appear.
        """
        ...
