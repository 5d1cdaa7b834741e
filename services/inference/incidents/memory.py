"""Incidents in memory; same contract as postgres.py."""

import dataclasses
from collections.abc import Callable, Sequence

from headwater.errors import Unavailable
from headwater.names import IncidentName
from services.inference.incidents.model import Incident, IncidentNotFound
from services.inference.incidents.store import IncidentStore, Wanted


class MemoryIncidents(IncidentStore):
    """See IncidentStore. ``away`` makes it unreachable, for tests of what happens then."""

    def __init__(self) -> None:
        self.away = False
        self._incidents: dict[str, Incident] = {}

    async def insert(self, incident: Incident) -> None:
        """See IncidentStore."""
        self._reach()
        numbered = dataclasses.replace(incident, sequence=len(self._incidents) + 1)
        self._incidents.setdefault(incident.id, numbered)

    async def change(self, name: IncidentName, change: Callable[[Incident], Incident]) -> Incident:
        """See IncidentStore."""
        changed = change(await self.get(name))
        self._incidents[name.incident] = changed
        return changed

    async def get(self, name: IncidentName) -> Incident:
        """See IncidentStore."""
        self._reach()
        incident = self._incidents.get(name.incident)
        if incident is None or incident.project != name.project:
            raise IncidentNotFound(incident=name)
        return incident

    async def page(self, wanted: Wanted, before: int | None, limit: int) -> Sequence[Incident]:
        """See IncidentStore."""
        self._reach()
        found = [
            incident
            for incident in reversed(self._incidents.values())
            if incident.project == wanted.project
            and wanted.deployment in ("", incident.deployment)
            and wanted.state in (None, incident.state)
            and (before is None or incident.sequence < before)
        ]
        return found[:limit]

    def _reach(self) -> None:
        if self.away:
            raise Unavailable("The incidents cannot be reached.")
