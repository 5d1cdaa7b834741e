"""What must be remembered of uploads; their parts' bytes are staged beside the blob store."""

import datetime
from collections.abc import Collection, Sequence
from typing import Protocol

from headwater.names import ArtifactUploadName
from services.registry.uploads.model import Part, Upload


class UploadStore(Protocol):
    """Uploads, as one transaction sees them."""

    async def add(self, upload: Upload) -> None:
        """Add an upload."""

    async def get(self, name: ArtifactUploadName, *, lock: bool = False) -> Upload:
        """The upload, or raise UploadNotFound. With ``lock`` nobody else changes it until the transaction ends."""

    async def add_part(self, upload: Upload, part: Part) -> None:
        """Add a part at the end of ``upload``, which is locked."""

    async def parts(self, upload: Upload) -> Sequence[Part]:
        """The parts in their order."""

    async def count_parts(self, upload: Upload) -> int:
        """How many parts there are."""

    async def count_open(self, project_id: str, most: int) -> int:
        """How many open uploads the project has; counted up to ``most``."""

    async def update(self, upload: Upload) -> None:
        """Store what can change of ``upload``, which is locked: stored bytes, state, expire time, artifact."""

    async def expired(self, now: datetime.datetime, limit: int) -> Sequence[Upload]:
        """Open uploads whose time is over, locked; those that somebody else has locked are left out."""

    async def open_ids(self, ids: Collection[str]) -> frozenset[str]:
        """Those of the ids that belong to open uploads."""
