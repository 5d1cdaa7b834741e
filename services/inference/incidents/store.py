"""What must be remembered of incidents. tests/contract/inference/test_incident_store.py holds both stores to it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from headwater.names import IncidentName
from services.inference.incidents.model import Incident, State


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """Which incidents of a project; an empty deployment and no state stand for all."""

    project: str
    deployment: str = ""
    state: State | None = None


class IncidentStore(Protocol):
    """Where incidents are kept. Every call is one transaction.

    What a later release has added to an incident stays when it is changed. One that only a later release understands
    raises OfLaterRelease.
    """

    async def insert(self, incident: Incident) -> None:
        """Add it, unless one of its id is there: what was sent before is sent again after a lost answer."""

    async def change(self, name: IncidentName, change: Callable[[Incident], Incident]) -> Incident:
        """Put what ``change`` makes of it in its place, with nobody else changing it meanwhile; returns that.

        Raises:
            IncidentNotFound
            whatever ``change`` raises; then nothing has changed.
        """

    async def get(self, name: IncidentName) -> Incident:
        """The incident; raises IncidentNotFound."""

    async def page(self, wanted: Wanted, before: int | None, limit: int) -> Sequence[Incident]:
        """Incidents, newest first, those with a sequence below ``before``."""
