"""Finding and removing what dead uploads left."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.dataset.model import UploadState
from services.dataset.postgres.locks import hold_alone
from services.dataset.postgres.packs import pack_key, pack_name
from services.dataset.postgres.tables import PACKS, UPLOADS


class PostgresCollector:
    """See ``services.dataset.store.Collector``."""

    _tx: AsyncConnection

    async def expire_uploads(self) -> None:
        """See Collector."""
        expired = sa.and_(UPLOADS.c.state == UploadState.OPEN.value, UPLOADS.c.expire_time <= sa.func.now())
        await self._tx.execute(UPLOADS.update().where(expired).values(state=UploadState.ABORTED.value))
        await self._tx.execute(sa.text(_DROP_UPLOADS))

    async def release_dead_upload(self, write_timeout_s: float) -> bool:
        """See Collector."""
        # No writer can be between finding a chunk and pinning its pack, or a node and referring to it.
        await hold_alone(self._tx)
        uid = (await self._tx.execute(sa.text(_DEAD), {"write_timeout_s": write_timeout_s})).scalar_one_or_none()
        if uid is None:
            return False
        packs = await self._ids(_UNPIN, upload=uid)
        roots = await self._ids(_DROP_SPLITS, upload=uid)
        await self._free(roots, packs)
        await self._tx.execute(sa.text(_DROP_FILES), {"upload": uid})
        await self._tx.execute(UPLOADS.update().where(UPLOADS.c.uid == uid).values(released=True))
        return True

    async def drop_unreachable_commit(self, ttl_s: float) -> bool:
        """See Collector."""
        await hold_alone(self._tx)
        loose = (await self._tx.execute(sa.text(_LOOSE), {"ttl_s": ttl_s})).scalar_one_or_none()
        if loose is None:
            return False
        # The dataset is locked, so that no name and no child can come while we look, in a snapshot of its own.
        commit = {"commit": loose}
        if (await self._tx.execute(sa.text(_IS_NEEDED), commit)).scalar_one():
            await self._tx.execute(sa.text(_TIGHTEN), commit)
            return True
        await self._tx.execute(sa.text(_LOOSEN_PARENTS), commit)
        roots = await self._ids(_DROP_COMMIT_SPLITS, **commit)
        for statement in (_DROP_PARENTS, _TIGHTEN):
            await self._tx.execute(sa.text(statement), commit)
        upload = (await self._tx.execute(sa.text(_DROP_COMMIT), commit)).scalar_one()
        await self._tx.execute(sa.text(_DROP_FILES), {"upload": upload})
        await self._free(roots, [])
        return True

    async def _free(self, roots: Sequence[int], packs: Sequence[int]) -> None:
        """Drop those of the nodes that nothing refers to, and what only they refer to; condemn those of the packs that
        nobody needs, and those that nobody needs now that the nodes are gone."""
        freed: set[int] = set(packs)
        nodes = list(roots)
        while nodes:  # level by level, so that it takes as many statements as the trees have levels
            below = (await self._tx.execute(sa.text(_DROP_NODES), {"nodes": nodes})).all()
            freed.update(row.pack_id for row in below if row.pack_id is not None)
            nodes = [row.child_id for row in below if row.child_id is not None]
        condemned = await self._ids(_CONDEMN, packs=sorted(freed))
        await self._tx.execute(sa.text(_DROP_CHUNKS), {"packs": condemned})

    async def condemned_packs(self, limit: int) -> Sequence[str]:
        """See Collector."""
        is_retired = sa.and_(PACKS.c.state == "retired", PACKS.c.remove_time <= sa.func.now())
        due = sa.select(PACKS.c.digest).where(sa.or_(PACKS.c.state == "condemned", is_retired))
        return [pack_name(bytes(row.digest)) for row in await self._tx.execute(due.order_by(PACKS.c.id).limit(limit))]

    async def forget_packs(self, packs: Sequence[str]) -> None:
        """See Collector."""
        await self._tx.execute(PACKS.delete().where(PACKS.c.digest.in_([pack_key(pack) for pack in packs])))

    async def _ids(self, statement: str, **values: object) -> list[int]:
        return [int(row[0]) for row in await self._tx.execute(sa.text(statement), values)]


# While a pack is being written its bytes may appear at any moment, so its upload has to wait.
_DEAD = """
SELECT uid FROM uploads
WHERE state <> 'open' AND NOT released AND NOT EXISTS (
    SELECT FROM pins JOIN packs ON packs.id = pins.pack_id
    WHERE pins.upload_uid = uploads.uid AND packs.state = 'writing'
      AND packs.create_time > now() - make_interval(secs => :write_timeout_s)
)
ORDER BY uid LIMIT 1 FOR UPDATE SKIP LOCKED
"""

# Dead uploads can be looked at for a week.
_DROP_UPLOADS = """
DELETE FROM uploads
WHERE state <> 'open' AND released AND expire_time < now() - interval '7 days'
  AND NOT EXISTS (SELECT FROM commits WHERE upload_uid = uploads.uid)
"""

_UNPIN = "DELETE FROM pins WHERE upload_uid = :upload RETURNING pack_id"

_DROP_SPLITS = "DELETE FROM upload_splits WHERE upload_uid = :upload RETURNING root_id"

# Gives what was below the nodes that went: nodes, and the packs of chunks. All that refers to roots is named here.
_DROP_NODES = """
WITH dropped AS (
    DELETE FROM nodes
    WHERE id = ANY(CAST(:nodes AS bigint[]))
      AND NOT EXISTS (SELECT FROM commit_splits WHERE root_id = nodes.id)
      AND NOT EXISTS (SELECT FROM upload_splits WHERE root_id = nodes.id)
      AND NOT EXISTS (SELECT FROM checkpoint_splits WHERE root_id = nodes.id)
      AND NOT EXISTS (SELECT FROM node_children WHERE child_id = nodes.id)
    RETURNING id
)
SELECT DISTINCT node_children.child_id, chunks.pack_id FROM dropped
JOIN node_children ON node_children.node_id = dropped.id LEFT JOIN chunks ON chunks.id = node_children.chunk_id
"""

_CONDEMN = """
UPDATE packs SET state = 'condemned'
WHERE (id = ANY(CAST(:packs AS bigint[])) OR state = 'damaged')
  AND NOT EXISTS (SELECT FROM pins WHERE pack_id = packs.id)
  AND NOT EXISTS (
      SELECT FROM chunks JOIN node_children ON node_children.chunk_id = chunks.id WHERE chunks.pack_id = packs.id
  )
RETURNING id
"""

_DROP_CHUNKS = "DELETE FROM chunks WHERE pack_id = ANY(CAST(:packs AS bigint[]))"

_DROP_FILES = """
DELETE FROM source_files
WHERE upload_uid = :upload AND NOT EXISTS (SELECT FROM commits WHERE upload_uid = :upload)
"""

# Datasets that somebody is changing are left for later, so that nobody waits for anybody in a circle. Uploads hold on
# to their bases as long as they are open.
_LOOSE = """
SELECT loose_commits.commit_id
FROM loose_commits JOIN commits ON commits.id = loose_commits.commit_id
JOIN datasets ON datasets.uid = commits.dataset_uid
WHERE loose_commits.since <= now() - make_interval(secs => :ttl_s)
  AND NOT EXISTS (SELECT FROM uploads WHERE base_commit = loose_commits.commit_id AND state = 'open')
ORDER BY loose_commits.since LIMIT 1 FOR UPDATE OF datasets SKIP LOCKED
"""

_IS_NEEDED = """
SELECT EXISTS (SELECT FROM branches WHERE head = :commit)
    OR EXISTS (SELECT FROM tags WHERE target = :commit)
    OR EXISTS (SELECT FROM versions WHERE commit_id = :commit)
    OR EXISTS (SELECT FROM commit_parents WHERE parent_id = :commit)
"""

_TIGHTEN = "DELETE FROM loose_commits WHERE commit_id = :commit"

# Whatever led to the parents, this commit did until now, so they have been unreachable at least as long as it has.
_LOOSEN_PARENTS = """
INSERT INTO loose_commits (commit_id, since)
SELECT commit_parents.parent_id, loose_commits.since
FROM loose_commits JOIN commit_parents ON commit_parents.commit_id = loose_commits.commit_id
WHERE loose_commits.commit_id = :commit
ON CONFLICT (commit_id) DO UPDATE SET since = greatest(loose_commits.since, excluded.since)
"""

_DROP_COMMIT_SPLITS = "DELETE FROM commit_splits WHERE commit_id = :commit RETURNING root_id"

_DROP_PARENTS = "DELETE FROM commit_parents WHERE commit_id = :commit"

_DROP_COMMIT = "DELETE FROM commits WHERE id = :commit RETURNING upload_uid"
