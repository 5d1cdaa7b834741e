"""Uploads and source files."""

import datetime
from collections.abc import AsyncIterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import DatasetName, UploadName
from services.dataset.errors import SourceFileConflict, UploadNotFound, UploadNotOpen
from services.dataset.model import TO_MAIN, SourceFile, Split, Upload, UploadState, UploadTarget
from services.dataset.postgres.catalog import is_named, split_of
from services.dataset.postgres.tables import DATASETS, SOURCE_FILES, UPLOAD_SPLITS, UPLOADS
from services.dataset.trees.tables import NODES

_PAGE = 5_000
_OPEN = UploadState.OPEN.value


class PostgresUploads:
    """See ``services.dataset.store.Uploads``."""

    _tx: AsyncConnection

    async def create_upload(
        self, uid: str, dataset: DatasetName, created_by: str, ttl_s: float, target: UploadTarget = TO_MAIN
    ) -> Upload:
        """See Uploads."""
        values = {
            "uid": uid,
            "dataset_uid": sa.select(DATASETS.c.uid).where(is_named(dataset)).scalar_subquery(),
            "state": _OPEN,
            "created_by": created_by,
            "branch": target.branch,
            "base_commit": target.base or None,
            "inherit": target.inherit,
        }
        await self._tx.execute(UPLOADS.insert().values(**values, expire_time=_after(ttl_s)))
        return await self.get_upload(UploadName(dataset.project, dataset.dataset, uid))

    async def get_upload(self, name: UploadName, *, lock: bool = False) -> Upload:
        """See Uploads."""
        dataset = DatasetName(name.project, name.dataset)
        # Expiry is decided here, by the database's clock, for the collector may come late.
        alive = sa.or_(UPLOADS.c.state != _OPEN, UPLOADS.c.expire_time > sa.func.now())
        query = sa.select(UPLOADS, alive.label("alive")).join(DATASETS, UPLOADS.c.dataset_uid == DATASETS.c.uid)
        query = query.where(UPLOADS.c.uid == name.upload, is_named(dataset))
        row = (await self._tx.execute(query.with_for_update(of=UPLOADS) if lock else query)).first()
        if row is None:
            raise UploadNotFound(upload=name)
        state = UploadState(row.state) if row.alive else UploadState.ABORTED
        splits = await self._splits(row.uid) if state is UploadState.OPEN else ()
        target = UploadTarget(row.branch, bytes(row.base_commit or b""), row.inherit)
        return Upload(row.uid, dataset, state, splits, row.create_time, row.expire_time, row.created_by, target)

    async def touch_upload(self, uid: str, ttl_s: float) -> None:
        """See Uploads."""
        is_open = sa.and_(UPLOADS.c.uid == uid, UPLOADS.c.state == _OPEN, UPLOADS.c.expire_time > sa.func.now())
        touched = await self._tx.execute(UPLOADS.update().where(is_open).values(expire_time=_after(ttl_s)))
        if touched.rowcount == 0:
            raise UploadNotOpen(upload=uid)

    async def set_base(self, uid: str, base: bytes) -> None:
        """See Uploads."""
        await self._tx.execute(UPLOADS.update().where(UPLOADS.c.uid == uid).values(base_commit=base))

    async def close_upload(self, uid: str, state: UploadState) -> None:
        """See Uploads."""
        await self._tx.execute(UPLOADS.update().where(UPLOADS.c.uid == uid).values(state=state.value))

    async def add_source_files(self, upload_uid: str, files: Sequence[SourceFile]) -> int:
        """See Uploads."""
        given = {
            "upload": upload_uid,
            "paths": [file.path for file in files],
            "digests": [file.digest for file in files],
            "sizes": [file.size_bytes for file in files],
        }
        conflict = (await self._tx.execute(sa.text(_CONFLICT), given)).scalar()
        if conflict is not None:
            raise SourceFileConflict(path=conflict)
        await self._tx.execute(sa.text(_ADD_FILES), given)
        count = sa.select(sa.func.count()).where(SOURCE_FILES.c.upload_uid == upload_uid)
        return int((await self._tx.execute(count)).scalar_one())

    async def list_source_files(self, upload_uid: str, after: str, limit: int) -> Sequence[SourceFile]:
        """See Uploads."""
        query = sa.select(SOURCE_FILES).where(SOURCE_FILES.c.upload_uid == upload_uid, SOURCE_FILES.c.path > after)
        rows = await self._tx.execute(query.order_by(SOURCE_FILES.c.path).limit(limit))
        return [_file(row) for row in rows]

    async def all_source_files(self, upload_uid: str) -> AsyncIterator[Sequence[SourceFile]]:
        """See Uploads."""
        after = ""
        while page := await self.list_source_files(upload_uid, after, _PAGE):
            yield page
            after = page[-1].path

    async def _splits(self, upload_uid: str) -> tuple[Split, ...]:
        query = sa.select(UPLOAD_SPLITS, NODES).join(NODES, NODES.c.id == UPLOAD_SPLITS.c.root_id)
        query = query.where(UPLOAD_SPLITS.c.upload_uid == upload_uid).order_by(UPLOAD_SPLITS.c.number)
        # The last put of each name counts.
        splits = {row.name: split_of(row) for row in await self._tx.execute(query)}
        return tuple(splits[name] for name in sorted(splits))


def _after(ttl_s: float) -> Any:
    return sa.func.now() + sa.literal(datetime.timedelta(seconds=ttl_s), sa.Interval)


def _file(row: Any) -> SourceFile:
    return SourceFile(row.path, bytes(row.digest), row.size_bytes)


# One array a column: as fast as COPY, and it needs no table of its own.
_GIVEN = """
WITH given AS (
    SELECT DISTINCT path COLLATE "C" AS path, digest, size_bytes
    FROM unnest(CAST(:paths AS text[]), CAST(:digests AS bytea[]), CAST(:sizes AS bigint[]))
        AS given (path, digest, size_bytes)
)
"""

# A path that comes twice in one call with two contents is a conflict as well.
_CONFLICT = f"""
{_GIVEN} SELECT path FROM (
    SELECT path, digest, size_bytes FROM given
    UNION
    SELECT path, digest, size_bytes FROM source_files WHERE upload_uid = :upload AND path IN (SELECT path FROM given)
) AS named GROUP BY path HAVING count(*) > 1 ORDER BY path LIMIT 1
"""  # noqa: S608

_ADD_FILES = f"""
{_GIVEN} INSERT INTO source_files (upload_uid, path, digest, size_bytes)
SELECT CAST(:upload AS text), path, digest, size_bytes FROM given
ON CONFLICT (upload_uid, path) DO NOTHING
"""  # noqa: S608
