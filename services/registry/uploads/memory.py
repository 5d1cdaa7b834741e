"""Uploads in memory."""

import dataclasses
import datetime
from collections.abc import Collection, Sequence

from headwater.names import ArtifactUploadName
from services.registry.uploads.errors import UploadNotFound
from services.registry.uploads.model import Part, Upload, UploadState
from services.registry.uploads.store import UploadStore


class MemoryUploads(UploadStore):
    """See UploadStore."""

    def __init__(self, uploads: dict[str, Upload], parts: dict[str, tuple[Part, ...]]) -> None:
        self._uploads = uploads
        self._parts = parts

    async def add(self, upload: Upload) -> None:
        """See UploadStore."""
        self._uploads[upload.id] = upload

    async def get(self, name: ArtifactUploadName, *, lock: bool = False) -> Upload:
        """See UploadStore."""
        upload = self._uploads.get(name.artifact_upload)
        if upload is None or upload.project != name.project:
            raise UploadNotFound(upload=name)
        return upload

    async def add_part(self, upload: Upload, part: Part) -> None:
        """See UploadStore."""
        self._parts[upload.id] = (*self._parts.get(upload.id, ()), part)

    async def parts(self, upload: Upload) -> Sequence[Part]:
        """See UploadStore."""
        return self._parts.get(upload.id, ())

    async def count_parts(self, upload: Upload) -> int:
        """See UploadStore."""
        return len(self._parts.get(upload.id, ()))

    async def count_open(self, project_id: str, most: int) -> int:
        """See UploadStore."""
        uploads = self._uploads.values()
        return min(most, sum(each.project_id == project_id and each.state is UploadState.OPEN for each in uploads))

    async def update(self, upload: Upload) -> None:
        """See UploadStore."""
        self._uploads[upload.id] = dataclasses.replace(upload)

    async def expired(self, now: datetime.datetime, limit: int) -> Sequence[Upload]:
        """See UploadStore."""
        over = [each for each in self._uploads.values() if each.state is UploadState.OPEN and each.expire_time <= now]
        return over[:limit]

    async def open_ids(self, ids: Collection[str]) -> frozenset[str]:
        """See UploadStore."""
        return frozenset(
            each.id for each in self._uploads.values() if each.id in ids and each.state is UploadState.OPEN
        )
