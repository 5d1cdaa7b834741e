"""What runs made, as values."""

import dataclasses
import datetime
import enum

from headwater.names import ArtifactName, DatastoreName, RunArtifactName, RunName


class Kind(enum.IntEnum):
    """What it is to people; the numbers are those of ``RunArtifact.Kind``."""

    ANYTHING = 0
    LOG = 1
    MODEL = 2
    DATA = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place in a datastore of the dataset service, which alone knows what lies there."""

    datastore: DatastoreName
    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class NewRunArtifact:
    """What a caller says of something that a run made."""

    path: str
    kind: Kind
    place: ArtifactName | Place
    media_type: str


@dataclasses.dataclass(frozen=True, slots=True)
class RunArtifact:
    """Something that a run made. ``size_bytes`` is 0 for a place."""

    id: str
    run_id: str
    run: RunName
    path: str
    kind: Kind
    place: ArtifactName | Place
    media_type: str
    size_bytes: int
    create_time: datetime.datetime
    created_by: str

    @property
    def name(self) -> RunArtifactName:
        """Its resource name; the last segment is its id."""
        return RunArtifactName(self.run.project, self.run.run, self.id)

    @property
    def told(self) -> NewRunArtifact:
        """What its maker said of it."""
        return NewRunArtifact(self.path, self.kind, self.place, self.media_type)


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """A page of what a run made, and the folders that lie directly in the folder asked for."""

    items: list[RunArtifact]
    folders: list[str]
    next_page_token: str
