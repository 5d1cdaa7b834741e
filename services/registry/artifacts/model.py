"""Artifacts as values."""

import dataclasses
import datetime

from headwater.names import ArtifactName, InvalidName

_PREFIX = "sha256:"


@dataclasses.dataclass(frozen=True, slots=True)
class Artifact:
    """Immutable bytes that a project has. ``digest`` is ``sha256:`` and 64 hex digits."""

    id: str
    project: str
    project_id: str
    digest: str
    size_bytes: int
    filename: str
    create_time: datetime.datetime
    created_by: str

    @property
    def name(self) -> ArtifactName:
        """Its resource name."""
        return ArtifactName(self.project, self.digest.removeprefix(_PREFIX))


def digest_in(name: ArtifactName) -> str:
    """The digest that an artifact is named by.

    Raises:
        InvalidName: the last segment is not 64 lower-case hex digits.
    """
    if len(name.artifact) != 64 or not set(name.artifact) <= set("0123456789abcdef"):
        raise InvalidName("An artifact is named by 64 lower-case hex digits.", field="name")
    return _PREFIX + name.artifact
