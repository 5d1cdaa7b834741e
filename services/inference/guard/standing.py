"""What is remembered of a deployment's versions, for it to go back: which were good, and whether one is set aside."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

from headwater.names import IncidentName
from services.inference.models.source import ModelVersion

_MAX_GOOD = 5


@dataclasses.dataclass(frozen=True, slots=True)
class GoodVersion:
    """A version that has served well: its number, the digest of its files, and what decides its answers."""

    number: str
    digest: str
    content: str

    @classmethod
    def of(cls, version: ModelVersion) -> Self:
        """What is remembered of ``version``."""
        return cls(version.name.version, version.digest, version.content)


@dataclasses.dataclass(frozen=True, slots=True)
class SetAside:
    """That what the selector chose is not served, but an earlier version.

    Attributes:
        selector: what chose the version; a deployment that goes by another one is not held to this.
        content: of the version that is set aside, and no other one: the same files behind another pipeline are not it.
        number: its number.
        instead: what is served.
        reason: why.
        actor: who did it.
        time: when.
        incident: the incident of it.
    """

    selector: str
    content: str
    number: str
    instead: GoodVersion
    reason: str
    actor: str
    time: datetime.datetime
    incident: IncidentName


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """Of one deployment, by its uid. ``revision`` counts the changes; 0: nothing is kept yet."""

    uid: str
    good: tuple[GoodVersion, ...] = ()
    """The last versions that served well, the newest first."""
    set_aside: SetAside | None = None
    revision: int = 0
    is_unread: bool = False
    """Whether something is kept that this release cannot read: it goes by nothing, and leaves that as it is until an
    operator decides."""

    def with_good(self, version: GoodVersion) -> Self:
        """This one has served well now."""
        others = [each for each in self.good if each.content != version.content]
        return dataclasses.replace(self, good=(version, *others)[:_MAX_GOOD])


class StandingStore(Protocol):
    """Where standings are kept. tests/contract/inference/test_incident_store.py holds both stores to it."""

    async def all(self, uids: Sequence[str]) -> Mapping[str, Standing]:
        """The standings of these deployments, by uid; of which nothing is kept, they are not among them."""

    async def replace(self, standing: Standing) -> bool:
        """Keep this as the next revision; False if another one than ``standing.revision`` is kept by now. What a later
        release has added to it stays; of what is kept in a form that this release cannot read, nothing does."""


class MemoryStandings(StandingStore):
    """In memory; same contract as postgres.py."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}

    async def all(self, uids: Sequence[str]) -> Mapping[str, Standing]:
        """See StandingStore."""
        return {uid: self._standings[uid] for uid in uids if uid in self._standings}

    async def replace(self, standing: Standing) -> bool:
        """See StandingStore."""
        kept = self._standings.get(standing.uid)
        if (kept.revision if kept else 0) != standing.revision:
            return False
        self._standings[standing.uid] = dataclasses.replace(standing, revision=standing.revision + 1)
        return True
