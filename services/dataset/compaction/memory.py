"""Compaction in memory."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Protocol

from services.dataset.compaction.store import LiveChunk, SparsePack, SparsePage
from services.dataset.store import PlacedChunk
from services.dataset.trees.memory import Key, TreeState


@dataclasses.dataclass
class MemoryPack:
    """A pack as it is remembered."""

    number: int
    state: str
    create_time: datetime.datetime
    content_bytes: int = 0
    remove_time: datetime.datetime | None = None


class Stored(Protocol):
    """What is remembered of packs and of what is in them."""

    packs: dict[str, MemoryPack]
    pins: set[tuple[str, str]]
    chunks: dict[Key, PlacedChunk]
    trees: TreeState
    compacting: tuple[str, datetime.datetime] | None


class MemoryCompactions:
    """See ``services.dataset.compaction.store.Compactions``."""

    _state: Stored
    _now: datetime.datetime

    async def claim_compaction(self, owner: str, ttl_s: float) -> bool:
        """See Compactions."""
        held = self._state.compacting
        if held is not None and held[0] != owner and held[1] > self._now:
            return False
        self._state.compacting = (owner, self._now + datetime.timedelta(seconds=ttl_s))
        return True

    async def sparse_packs(self, after: int, at_once: int, older_than_s: float, max_live_share: float) -> SparsePage:
        """See Compactions."""
        packs = sorted(self._state.packs.items(), key=lambda item: item[1].number)
        looked_at = [(name, pack) for name, pack in packs if pack.number > after][:at_once]
        if not looked_at:
            return SparsePage((), None)
        stored_until = self._now - datetime.timedelta(seconds=older_than_s)
        old = [(self._live(name), pack) for name, pack in looked_at if pack.create_time <= stored_until]
        found = [
            live for live, pack in old if live is not None and live.live_bytes <= max_live_share * pack.content_bytes
        ]
        return SparsePage(tuple(found), looked_at[-1][1].number)

    async def begin_compacted(self, pack: str, size_bytes: int) -> None:
        """See Compactions."""
        self._state.packs[pack] = MemoryPack(next_number(self._state.packs), "writing", self._now)

    async def replace_packs(
        self, old: Sequence[SparsePack], new: str, moved: Sequence[LiveChunk], ttl_s: float
    ) -> bool:
        """See Compactions."""
        state = self._state
        found = [self._live(sparse.pack) for sparse in old]
        live = {chunk.digest for sparse in found if sparse is not None for chunk in sparse.chunks}
        if None in found or live != {chunk.digest for chunk in moved}:
            return False
        if new not in state.packs or state.packs[new].state != "writing":
            return False
        (layout,) = {sparse.layout for sparse in old}
        for chunk in moved:
            key = (chunk.digest, layout)
            state.chunks[key] = dataclasses.replace(state.chunks[key], placement=chunk.placement)
        replaced = {sparse.pack for sparse in old}
        state.chunks = {key: placed for key, placed in state.chunks.items() if placed.placement.pack not in replaced}
        state.packs[new].state = "stored"
        state.packs[new].content_bytes = sum(chunk.size_bytes for chunk in moved)
        for pack in replaced:
            self._retire(state.packs[pack], ttl_s)
        return True

    async def give_up_compacted(self, pack: str, ttl_s: float) -> bool:
        """See Compactions."""
        known = self._state.packs.get(pack)
        if known is not None and known.state == "writing":
            self._retire(known, ttl_s)
        return known is not None

    async def retire_abandoned_packs(self, write_timeout_s: float, ttl_s: float) -> None:
        """See Compactions."""
        pinned = {pack for _, pack in self._state.pins}
        begun_until = self._now - datetime.timedelta(seconds=write_timeout_s)
        for name, pack in self._state.packs.items():
            if name not in pinned and pack.state == "writing" and pack.create_time <= begun_until:
                self._retire(pack, ttl_s)

    def _retire(self, pack: MemoryPack, ttl_s: float) -> None:
        pack.state, pack.remove_time = "retired", self._now + datetime.timedelta(seconds=ttl_s)

    def _live(self, pack: str) -> SparsePack | None:
        """What is live of a pack, if it is stored, nobody pins it, and something is."""
        state = self._state
        is_pinned = any(pinned == pack for _, pinned in state.pins)
        if is_pinned or pack not in state.packs or state.packs[pack].state != "stored":
            return None
        used = {
            (child.digest, layout)
            for (_, layout), node in state.trees.nodes.items()
            if node.level == 1
            for child in node.children
        }
        held = {key: state.chunks[key] for key in used if key in state.chunks}
        chunks = [
            LiveChunk(digest, placed.chunk.row_count, placed.chunk.size_bytes, placed.placement)
            for (digest, _), placed in held.items()
            if placed.placement.pack == pack
        ]
        layouts = {layout for (_, layout), placed in held.items() if placed.placement.pack == pack}
        if not chunks:
            return None
        (layout,) = layouts
        chunks.sort(key=lambda chunk: (chunk.placement.block, chunk.placement.block_row))
        return SparsePack(pack, layout, tuple(chunks))


def next_number(packs: dict[str, MemoryPack]) -> int:
    """The number of a pack that comes after all these."""
    return 1 + max((pack.number for pack in packs.values()), default=0)
