"""Chunks and packs. Every transaction here that relies on a chunk's being there holds on (``postgres/locks.py``)."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.dataset.errors import Collected
from services.dataset.postgres.locks import hold_on
from services.dataset.postgres.packs import pack_key
from services.dataset.postgres.tables import PACKS, PINS
from services.dataset.store import NewChunk, PlacedChunk


class PostgresRows:
    """See ``services.dataset.store.Rows``."""

    _tx: AsyncConnection

    async def find_chunks(self, upload_uid: str, layout: bytes, digests: Sequence[bytes]) -> frozenset[bytes]:
        """See Rows."""
        return frozenset(await self.describe_chunks(upload_uid, layout, digests))

    async def describe_chunks(
        self, upload_uid: str, layout: bytes, digests: Sequence[bytes]
    ) -> Mapping[bytes, NewChunk]:
        """See Rows."""
        await hold_on(self._tx)
        values = {"upload": upload_uid, "layout": layout, "digests": list(digests)}
        found = [_new_chunk(row) for row in await self._tx.execute(sa.text(_FIND), values)]
        return {chunk.digest: chunk for chunk in found}

    async def begin_pack(self, upload_uid: str, pack: str, size_bytes: int) -> None:
        """See Rows."""
        await hold_on(self._tx)
        values = {"digest": pack_key(pack), "size_bytes": size_bytes, "state": "writing"}
        pack_id = (await self._tx.execute(PACKS.insert().values(values).returning(PACKS.c.id))).scalar_one()
        await self._tx.execute(PINS.insert().values(upload_uid=upload_uid, pack_id=pack_id))

    async def finish_pack(self, upload_uid: str, layout: bytes, pack: str, chunks: Sequence[PlacedChunk]) -> None:
        """See Rows."""
        await hold_on(self._tx)
        stored = PACKS.update().where(PACKS.c.digest == pack_key(pack), PACKS.c.state == "writing")
        content_bytes = sum(placed.chunk.size_bytes for placed in chunks)
        stored = stored.values(state="stored", content_bytes=content_bytes)
        pack_id = (await self._tx.execute(stored.returning(PACKS.c.id))).scalar_one_or_none()
        if pack_id is None:
            raise Collected(upload=upload_uid)
        values = {
            "pack_id": pack_id,
            "layout": layout,
            "digests": [placed.chunk.digest for placed in chunks],
            "row_counts": [placed.chunk.row_count for placed in chunks],
            "sizes": [placed.chunk.size_bytes for placed in chunks],
            "natural": [placed.chunk.ends_naturally for placed in chunks],
            "first_rows": [placed.chunk.first_row_bytes for placed in chunks],
            "statistics": [placed.chunk.statistics for placed in chunks],
            "blocks": [placed.placement.block for placed in chunks],
            "block_rows": [placed.placement.block_row for placed in chunks],
        }
        await self._tx.execute(sa.text(_ADD_CHUNKS), values)
        # Where another upload was first, its pack is the one to hold on to.
        await self.find_chunks(upload_uid, layout, values["digests"])

    async def note_damage(self, pack: str) -> None:
        """See Rows."""
        stored = PACKS.update().where(PACKS.c.digest == pack_key(pack), PACKS.c.state == "stored")
        await self._tx.execute(stored.values(state="damaged"))


def _new_chunk(row: Any) -> NewChunk:
    return NewChunk(bytes(row.digest), row.row_count, row.size_bytes, row.ends_naturally, row.first_row_bytes)


# A row has at least one byte, so 0 is a chunk whose details are not known.
_FIND = """
WITH found AS (
    SELECT chunks.digest, row_count, chunks.size_bytes, ends_naturally, first_row_bytes, pack_id
    FROM chunks JOIN packs ON packs.id = chunks.pack_id
    WHERE layout = :layout AND chunks.digest = ANY(CAST(:digests AS bytea[])) AND first_row_bytes > 0
      AND packs.state <> 'damaged'
), pinned AS (
    INSERT INTO pins (upload_uid, pack_id) SELECT DISTINCT CAST(:upload AS text), pack_id FROM found ORDER BY pack_id
    ON CONFLICT DO NOTHING
)
SELECT digest, row_count, size_bytes, ends_naturally, first_row_bytes FROM found
"""

# In the order of digests, so that two uploads with chunks in common wait for each other in one direction only.
_ADD_CHUNKS = """
INSERT INTO chunks (
    digest, layout, row_count, size_bytes, pack_id, block, block_row, ends_naturally, first_row_bytes, statistics
)
SELECT digest, CAST(:layout AS bytea), row_count, size_bytes, CAST(:pack_id AS bigint), block, block_row,
       ends_naturally, first_row_bytes, statistics
FROM unnest(
    CAST(:digests AS bytea[]), CAST(:row_counts AS bigint[]), CAST(:sizes AS bigint[]),
    CAST(:blocks AS integer[]), CAST(:block_rows AS bigint[]),
    CAST(:natural AS boolean[]), CAST(:first_rows AS bigint[]), CAST(:statistics AS bytea[])
) AS given (digest, row_count, size_bytes, block, block_row, ends_naturally, first_row_bytes, statistics)
ORDER BY digest
ON CONFLICT (digest, layout) DO UPDATE
SET ends_naturally = excluded.ends_naturally, first_row_bytes = excluded.first_row_bytes,
    statistics = excluded.statistics, pack_id = excluded.pack_id, block = excluded.block, block_row = excluded.block_row
WHERE chunks.first_row_bytes = 0
   OR EXISTS (SELECT FROM packs WHERE packs.id = chunks.pack_id AND packs.state = 'damaged')
"""
