"""Compaction in PostgreSQL."""

import itertools
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.lease import PostgresLeases
from services.dataset.compaction.store import LiveChunk, SparsePack, SparsePage
from services.dataset.model import Placement
from services.dataset.postgres.locks import hold_alone
from services.dataset.postgres.packs import pack_key, pack_name
from services.dataset.postgres.tables import PACKS

_LEASES = PostgresLeases()
_LEASE = "compaction"


class PostgresCompactions:
    """See ``services.dataset.compaction.store.Compactions``."""

    _tx: AsyncConnection

    async def claim_compaction(self, owner: str, ttl_s: float) -> bool:
        """See Compactions."""
        return await _LEASES.claim(self._tx, _LEASE, owner, ttl_s) is not None

    async def sparse_packs(self, after: int, at_once: int, older_than_s: float, max_live_share: float) -> SparsePage:
        """See Compactions."""
        page = {"after": after, "at_once": at_once}
        last = (await self._tx.execute(sa.text(_LAST), page)).scalar_one()
        if last is None:
            return SparsePage((), None)
        values = {"after": after, "last": last, "older_than_s": older_than_s, "max_live_share": max_live_share}
        rows = await self._tx.execute(sa.text(_SPARSE), values)
        packs = [
            SparsePack(pack_name(pack), layout, tuple(_live_chunk(row) for row in chunks))
            for (pack, layout), chunks in itertools.groupby(rows, lambda row: (bytes(row.pack), bytes(row.layout)))
        ]
        return SparsePage(tuple(packs), last)

    async def begin_compacted(self, pack: str, size_bytes: int) -> None:
        """See Compactions."""
        values = {"digest": pack_key(pack), "size_bytes": size_bytes, "state": "writing"}
        await self._tx.execute(PACKS.insert().values(values))

    async def replace_packs(
        self, old: Sequence[SparsePack], new: str, moved: Sequence[LiveChunk], ttl_s: float
    ) -> bool:
        """See Compactions."""
        # No writer can be between finding a chunk and pinning its pack, or between a chunk and its node.
        await hold_alone(self._tx)
        packs = {"packs": await self._ids(_UNPINNED, packs=[pack_key(sparse.pack) for sparse in old])}
        (layout,) = {sparse.layout for sparse in old}
        live = {(bytes(row.digest), bytes(row.layout)) for row in await self._tx.execute(sa.text(_LIVE), packs)}
        if len(packs["packs"]) != len(old) or live != {(chunk.digest, layout) for chunk in moved}:
            return False
        content_bytes = sum(chunk.size_bytes for chunk in moved)
        store = PACKS.update().where(PACKS.c.digest == pack_key(new), PACKS.c.state == "writing")
        stored = store.values(state="stored", content_bytes=content_bytes).returning(PACKS.c.id)
        new_id = (await self._tx.execute(stored)).scalar_one_or_none()
        if new_id is None:
            return False
        values = {
            "digests": [chunk.digest for chunk in moved],
            "row_counts": [chunk.row_count for chunk in moved],
            "blocks": [chunk.placement.block for chunk in moved],
            "block_rows": [chunk.placement.block_row for chunk in moved],
        }
        placed = await self._tx.execute(sa.text(_MOVE), packs | values | {"layout": layout, "pack_id": new_id})
        if placed.rowcount != len(moved):
            # Nothing of it happens: no chunk may be dropped that has not moved.
            raise RuntimeError(f"{placed.rowcount} of {len(moved)} chunks have moved")
        await self._tx.execute(sa.text(_DROP), packs)
        await self._tx.execute(sa.text(_RETIRE), packs | {"ttl_s": ttl_s})
        return True

    async def give_up_compacted(self, pack: str, ttl_s: float) -> bool:
        """See Compactions."""
        values = {"pack": pack_key(pack), "ttl_s": ttl_s}
        await self._tx.execute(sa.text(_GIVE_UP), values)
        known = sa.select(PACKS.c.id).where(PACKS.c.digest == pack_key(pack))
        return (await self._tx.execute(known)).first() is not None

    async def retire_abandoned_packs(self, write_timeout_s: float, ttl_s: float) -> None:
        """See Compactions."""
        await self._tx.execute(sa.text(_RETIRE_ABANDONED), {"write_timeout_s": write_timeout_s, "ttl_s": ttl_s})

    async def _ids(self, statement: str, **values: object) -> list[int]:
        return [int(row[0]) for row in await self._tx.execute(sa.text(statement), values)]


def _live_chunk(row: Any) -> LiveChunk:
    place = Placement(pack_name(bytes(row.pack)), row.block, row.block_row)
    return LiveChunk(bytes(row.digest), row.row_count, row.size_bytes, place)


_LAST = "SELECT max(id) FROM (SELECT id FROM packs WHERE id > :after ORDER BY id LIMIT :at_once) AS looked_at"

# In canonical bytes, of which a pack's file has more or fewer than its size. Where it was not noted how many it has (an
# older release wrote it), those of the chunks that are found in it count.
_SPARSE = """
WITH old_packs AS (
    SELECT id, digest, content_bytes FROM packs
    WHERE id > :after AND id <= :last AND state = 'stored'
      AND create_time <= now() - make_interval(secs => :older_than_s)
      AND NOT EXISTS (SELECT FROM pins WHERE pack_id = packs.id)
), held AS (
    SELECT chunks.*, EXISTS (SELECT FROM node_children WHERE chunk_id = chunks.id) AS is_live
    FROM old_packs JOIN chunks ON chunks.pack_id = old_packs.id
), sparse AS (
    SELECT old_packs.id, old_packs.digest FROM old_packs JOIN held ON held.pack_id = old_packs.id
    GROUP BY old_packs.id, old_packs.digest, old_packs.content_bytes
    HAVING sum(held.size_bytes) FILTER (WHERE held.is_live)
        <= CAST(:max_live_share AS float8) * coalesce(old_packs.content_bytes, sum(held.size_bytes))
)
SELECT sparse.digest AS pack, held.layout, held.digest, held.row_count, held.size_bytes, held.block, held.block_row
FROM sparse JOIN held ON held.pack_id = sparse.id
WHERE held.is_live ORDER BY sparse.id, held.layout, held.block, held.block_row
"""

# The rows stay locked, so that no collector of an older release comes in between.
_UNPINNED = """
SELECT id FROM packs
WHERE digest = ANY(CAST(:packs AS bytea[])) AND state = 'stored'
  AND NOT EXISTS (SELECT FROM pins WHERE pack_id = packs.id)
ORDER BY id FOR UPDATE
"""

_LIVE = """
SELECT digest, layout FROM chunks
WHERE pack_id = ANY(CAST(:packs AS bigint[])) AND EXISTS (SELECT FROM node_children WHERE chunk_id = chunks.id)
"""

# What else is known of a chunk stays.
_MOVE = """
UPDATE chunks SET pack_id = :pack_id, block = given.block, block_row = given.block_row
FROM unnest(
    CAST(:digests AS bytea[]), CAST(:row_counts AS bigint[]), CAST(:blocks AS integer[]), CAST(:block_rows AS bigint[])
) AS given (digest, row_count, block, block_row)
WHERE chunks.layout = :layout AND chunks.digest = given.digest AND chunks.row_count = given.row_count
  AND chunks.pack_id = ANY(CAST(:packs AS bigint[]))
"""

_DROP = "DELETE FROM chunks WHERE pack_id = ANY(CAST(:packs AS bigint[]))"

_RETIRED = "UPDATE packs SET state = 'retired', remove_time = now() + make_interval(secs => :ttl_s)"

_RETIRE = f"{_RETIRED} WHERE id = ANY(CAST(:packs AS bigint[]))"

_GIVE_UP = f"{_RETIRED} WHERE digest = :pack AND state = 'writing'"

_RETIRE_ABANDONED = f"""
{_RETIRED}
WHERE state = 'writing' AND create_time <= now() - make_interval(secs => :write_timeout_s)
  AND NOT EXISTS (SELECT FROM pins WHERE pack_id = packs.id)
"""
