"""Chunks, packs and trees.

Every transaction here that relies on a chunk's being there holds the advisory lock in shared mode, and the collector
holds it exclusively while it decides what nobody relies on. A row lock would not do: the collector would have to see
pins that are not committed yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.dataset.errors import Collected
from services.dataset.model import Chunk, Placement, Split, Tree
from services.dataset.postgres.packs import pack_key, pack_name
from services.dataset.postgres.tables import PACKS, PINS, TREES, UPLOAD_SPLITS
from services.dataset.store import NewChunk, PlacedChunk

# The lock belongs to the database, so its key says whose it is.
LOCK_KEY = int.from_bytes(b"dataset1", "big")


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
        await self._share()
        values = {"upload": upload_uid, "layout": layout, "digests": list(digests)}
        found = [_new_chunk(row) for row in await self._tx.execute(sa.text(_FIND), values)]
        return {chunk.digest: chunk for chunk in found}

    async def begin_pack(self, upload_uid: str, pack: str, size_bytes: int) -> None:
        """See Rows."""
        await self._share()
        values = {"digest": pack_key(pack), "size_bytes": size_bytes, "state": "writing"}
        pack_id = (await self._tx.execute(PACKS.insert().values(values).returning(PACKS.c.id))).scalar_one()
        await self._tx.execute(PINS.insert().values(upload_uid=upload_uid, pack_id=pack_id))

    async def finish_pack(self, upload_uid: str, layout: bytes, pack: str, chunks: Sequence[PlacedChunk]) -> None:
        """See Rows."""
        await self._share()
        stored = PACKS.update().where(PACKS.c.digest == pack_key(pack), PACKS.c.state == "writing")
        pack_id = (await self._tx.execute(stored.values(state="stored").returning(PACKS.c.id))).scalar_one_or_none()
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

    async def record_split(self, upload_uid: str, split: Split, chunks: Sequence[NewChunk]) -> None:
        """See Rows."""
        await self._share()
        tree_id = await self._tree(split.tree) or await self._add_tree(upload_uid, split.tree, chunks)
        values = {"upload_uid": upload_uid, "name": split.name, "tree_id": tree_id}
        await self._tx.execute(UPLOAD_SPLITS.insert().values(**values, arrow_schema=split.arrow_schema))

    async def list_chunks(
        self, tree: Tree, first_row: int, end_row: int, limit: int | None, *, with_statistics: bool = False
    ) -> Sequence[Chunk]:
        """See Rows."""
        values = {"root": tree.root, "layout": tree.layout, "first_row": first_row, "end_row": end_row, "limit": limit}
        rows = await self._tx.execute(sa.text(_LIST_CHUNKS), values | {"with_statistics": with_statistics})
        return [_chunk(row) for row in rows]

    async def _tree(self, tree: Tree) -> int | None:
        query = sa.select(TREES.c.id).where(TREES.c.root == tree.root, TREES.c.layout == tree.layout)
        return (await self._tx.execute(query)).scalar_one_or_none()

    async def _add_tree(self, upload_uid: str, tree: Tree, chunks: Sequence[NewChunk]) -> int:
        values = {
            "root": tree.root,
            "layout": tree.layout,
            "row_count": tree.row_count,
            "size_bytes": tree.size_bytes,
            "chunk_count": tree.chunk_count,
        }
        added = insert(TREES).values(values).on_conflict_do_nothing().returning(TREES.c.id)
        tree_id = (await self._tx.execute(added)).scalar_one_or_none()
        if tree_id is None:  # somebody else has added it, chunks and all, since we looked
            known = await self._tree(tree)
            assert known is not None
            return known
        first_rows, row = [], 0
        for chunk in chunks:
            first_rows.append(row)
            row += chunk.row_count
        linked = await self._tx.execute(
            sa.text(_LINK_CHUNKS),
            {
                "tree_id": tree_id,
                "layout": tree.layout,
                "digests": [chunk.digest for chunk in chunks],
                "first_rows": first_rows,
            },
        )
        if linked.rowcount != len(chunks):
            raise Collected(upload=upload_uid)
        return int(tree_id)

    async def _share(self) -> None:
        await self._tx.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(LOCK_KEY)))


def _chunk(row: Any) -> Chunk:
    placement = Placement(pack_name(bytes(row.pack)), row.block, row.block_row)
    return Chunk(
        digest=bytes(row.digest),
        first_row=row.first_row,
        row_count=row.row_count,
        size_bytes=row.size_bytes,
        placement=placement,
        ends_naturally=row.ends_naturally,
        first_row_bytes=row.first_row_bytes,
        statistics=bytes(row.statistics),
    )


def _new_chunk(row: Any) -> NewChunk:
    return NewChunk(bytes(row.digest), row.row_count, row.size_bytes, row.ends_naturally, row.first_row_bytes)


# A row has at least one byte, so 0 is a chunk whose details are not known.
_FIND = """
WITH found AS (
    SELECT digest, row_count, size_bytes, ends_naturally, first_row_bytes, pack_id FROM chunks
    WHERE layout = :layout AND digest = ANY(CAST(:digests AS bytea[])) AND first_row_bytes > 0
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
    statistics = excluded.statistics
WHERE chunks.first_row_bytes = 0
"""

_LINK_CHUNKS = """
INSERT INTO tree_chunks (tree_id, first_row, chunk_id)
SELECT CAST(:tree_id AS bigint), given.first_row, chunks.id
FROM unnest(CAST(:digests AS bytea[]), CAST(:first_rows AS bigint[])) AS given (digest, first_row)
JOIN chunks ON chunks.digest = given.digest AND chunks.layout = :layout
"""

# The chunk that holds first_row begins at or before it: the last such one is where the range begins.
_LIST_CHUNKS = """
WITH tree AS (SELECT id FROM trees WHERE root = :root AND layout = :layout)
SELECT tree_chunks.first_row, chunks.digest, chunks.row_count, chunks.size_bytes, chunks.block, chunks.block_row,
       chunks.ends_naturally, chunks.first_row_bytes,
       CASE WHEN :with_statistics THEN chunks.statistics ELSE '' END AS statistics, packs.digest AS pack
FROM tree_chunks JOIN chunks ON chunks.id = tree_chunks.chunk_id JOIN packs ON packs.id = chunks.pack_id
WHERE tree_chunks.tree_id = (SELECT id FROM tree)
  AND tree_chunks.first_row >= coalesce((
      SELECT max(before.first_row) FROM tree_chunks AS before
      WHERE before.tree_id = (SELECT id FROM tree) AND before.first_row <= CAST(:first_row AS bigint)
  ), 0)
  AND tree_chunks.first_row < CAST(:end_row AS bigint)
ORDER BY tree_chunks.first_row
LIMIT CAST(:limit AS bigint)
"""
