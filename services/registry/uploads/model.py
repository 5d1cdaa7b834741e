"""Uploads as values."""

import dataclasses
import datetime
import enum

from headwater.names import ArtifactUploadName


class UploadState(enum.IntEnum):
    """How far an upload has come; the numbers are those of ``ArtifactUpload.State``."""

    OPEN = 1
    FINISHED = 2
    ABORTED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class NewUpload:
    """What a caller says of bytes to come; ``digest`` is empty and ``size_bytes`` 0 where they are not known."""

    filename: str
    digest: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Upload:
    """Bytes on their way in. ``artifact`` is the digest of what it became, empty until then."""

    id: str
    project: str
    project_id: str
    filename: str
    digest: str
    size_bytes: int
    create_time: datetime.datetime
    created_by: str
    expire_time: datetime.datetime
    stored_bytes: int = 0
    state: UploadState = UploadState.OPEN
    artifact: str = ""

    @property
    def name(self) -> ArtifactUploadName:
        """Its resource name; the last segment is its id."""
        return ArtifactUploadName(self.project, self.id)


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """Bytes of an upload that are durable: ``size_bytes`` from ``begin``, staged under ``name``."""

    begin: int
    size_bytes: int
    name: str
