"""Uploads in PostgreSQL."""

import datetime
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.names import ArtifactUploadName
from services.registry.ids import is_id
from services.registry.tables import artifact_upload_parts, artifact_uploads, projects
from services.registry.uploads.errors import UploadNotFound
from services.registry.uploads.model import Part, Upload, UploadState
from services.registry.uploads.store import UploadStore


class PostgresUploads(UploadStore):
    """See UploadStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, upload: Upload) -> None:
        """See UploadStore."""
        row = {
            "id": upload.id,
            "project_id": upload.project_id,
            "filename": upload.filename,
            "digest": upload.digest,
            "size_bytes": upload.size_bytes,
            "create_time": upload.create_time,
            "created_by": upload.created_by,
            **_changing(upload),
        }
        await self._connection.execute(insert(artifact_uploads).values(row))

    async def get(self, name: ArtifactUploadName, *, lock: bool = False) -> Upload:
        """See UploadStore."""
        if not is_id(name.artifact_upload):
            raise UploadNotFound(upload=name)
        query = _uploads().where(artifact_uploads.c.id == name.artifact_upload, projects.c.name == name.project)
        if lock:
            query = query.with_for_update(of=artifact_uploads)
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            raise UploadNotFound(upload=name)
        return _upload(row)

    async def add_part(self, upload: Upload, part: Part) -> None:
        """See UploadStore."""
        row = {"upload_id": upload.id, "begin": part.begin, "size_bytes": part.size_bytes, "name": part.name}
        await self._connection.execute(insert(artifact_upload_parts).values(row))

    async def parts(self, upload: Upload) -> Sequence[Part]:
        """See UploadStore."""
        part = artifact_upload_parts.c
        rows = await self._connection.execute(
            select(part.begin, part.size_bytes, part.name).where(part.upload_id == upload.id).order_by(part.begin)
        )
        return [Part(*row) for row in rows]

    async def count_parts(self, upload: Upload) -> int:
        """See UploadStore."""
        part = artifact_upload_parts.c
        query = select(func.count()).select_from(artifact_upload_parts).where(part.upload_id == upload.id)
        return (await self._connection.execute(query)).scalar_one()

    async def count_open(self, project_id: str, most: int) -> int:
        """See UploadStore."""
        upload = artifact_uploads.c
        some = select(upload.id).where(upload.state == UploadState.OPEN, upload.project_id == project_id).limit(most)
        return (await self._connection.execute(select(func.count()).select_from(some.subquery()))).scalar_one()

    async def update(self, upload: Upload) -> None:
        """See UploadStore."""
        table = artifact_uploads
        await self._connection.execute(table.update().where(table.c.id == upload.id).values(_changing(upload)))

    async def expired(self, now: datetime.datetime, limit: int) -> Sequence[Upload]:
        """See UploadStore."""
        upload = artifact_uploads.c
        rows = await self._connection.execute(
            _uploads()
            .where(upload.state == UploadState.OPEN, upload.expire_time <= now)
            .limit(limit)
            .with_for_update(of=artifact_uploads, skip_locked=True)
        )
        return [_upload(row) for row in rows]

    async def open_ids(self, ids: Collection[str]) -> frozenset[str]:
        """See UploadStore."""
        upload = artifact_uploads.c
        wanted = [each for each in ids if is_id(each)]
        rows = await self._connection.execute(
            select(upload.id).where(upload.id.in_(wanted), upload.state == UploadState.OPEN)
        )
        return frozenset(rows.scalars())


def _uploads() -> Select[Any]:
    return select(artifact_uploads, projects.c.name.label("project")).join(projects)


def _changing(upload: Upload) -> dict[str, Any]:
    return {
        "stored_bytes": upload.stored_bytes,
        "state": upload.state,
        "expire_time": upload.expire_time,
        "artifact": upload.artifact,
    }


def _upload(row: Row[Any]) -> Upload:
    return Upload(
        id=row.id,
        project=row.project,
        project_id=row.project_id,
        filename=row.filename,
        digest=row.digest,
        size_bytes=row.size_bytes,
        create_time=row.create_time,
        created_by=row.created_by,
        expire_time=row.expire_time,
        stored_bytes=row.stored_bytes,
        state=UploadState(row.state),
        artifact=row.artifact,
    )
