"""Writes incidents down, off the path of requests, and lets people look after them."""

import asyncio
import collections
import dataclasses
from collections.abc import Sequence

import structlog

from chassis.clock import Clock
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.errors import HeadwaterError
from headwater.names import DeploymentName, IncidentName
from services.inference.incidents.model import ITSELF, Event, Incident, IncidentNotFound, Kind, State
from services.inference.incidents.store import IncidentStore, Wanted
from services.inference.kept import OfLaterRelease

_MAX_PENDING = 256
_RETRY_S = 1.0
_CLOSE_S = 3.0

_log = structlog.get_logger("inference.incidents")


@dataclasses.dataclass(slots=True)
class _Pending:
    """What is not written yet of one incident: itself, or only what has happened since it was."""

    name: IncidentName
    incident: Incident | None = None
    events: list[Event] = dataclasses.field(default_factory=list)
    state: State | None = None


class IncidentLog:
    """The incidents of this process and of all others. To be used in one event loop, which runs :meth:`run`.

    What begins here is in memory at once and in the store a moment later. While the store is away it waits; up to 256
    incidents do, more are told to the log only and counted in ``lost``.
    """

    def __init__(self, store: IncidentStore, clock: Clock) -> None:
        self.begun: collections.Counter[tuple[str, Kind]] = collections.Counter()
        """How many have begun in this process, by deployment and kind."""
        self.lost = 0
        self._store = store
        self._clock = clock
        self._pending: dict[IncidentName, _Pending] = {}
        self._wake = asyncio.Event()
        self._flushing = asyncio.Lock()

    def begin(self, incident: Incident) -> None:
        """Write it down soon."""
        self.begun[str(DeploymentName(incident.project, incident.deployment)), incident.kind] += 1
        _log.warning(
            "an incident has begun",
            incident=str(incident.name),
            kind=incident.kind.value,
            deployment=incident.deployment,
            reason=incident.reason,
        )
        if len(self._pending) >= _MAX_PENDING:
            self.lost += 1
            _log.error("an incident is lost: too many wait to be written", incident=str(incident.name))
            return
        self._pending[incident.name] = _Pending(incident.name, incident)
        self._wake.set()

    def note(self, name: IncidentName, what: str, state: State | None = None, *, actor: str = ITSELF) -> None:
        """Add to its timeline what happened now, and let it go over to ``state``."""
        pending = self._pending.setdefault(name, _Pending(name))
        event = Event(self._clock.now(), what, actor)
        if pending.incident is not None:
            pending.incident = pending.incident.after([event], state)
        else:
            pending.events.append(event)
            pending.state = state or pending.state
        self._wake.set()

    async def get(self, name: IncidentName) -> Incident:
        """The incident as of now; raises IncidentNotFound."""
        await self.flush()
        return await self._store.get(name)

    async def page(self, wanted: Wanted, size: int, token: str) -> Page[Incident]:
        """Incidents of a project, newest first."""
        size, query = page_size(size), query_digest("ListIncidents", wanted.project, wanted.deployment, wanted.state)
        after = decode_token(token, query, (int,))
        await self.flush()
        found = await self._store.page(wanted, int(after[0]) if after else None, size + 1)
        return page_of(found, size, key=lambda incident: (incident.sequence,), query=query)

    async def acknowledge(self, name: IncidentName, actor: str, note: str) -> Incident:
        """Note that ``actor`` looks after it; raises IncidentNotFound, IncidentResolved."""
        await self.flush()
        return await self._store.change(name, lambda found: found.acknowledged(actor, note, self._clock.now()))

    async def resolve(self, name: IncidentName, actor: str, note: str) -> Incident:
        """Note that ``actor`` says nothing is left to do; raises IncidentNotFound, IncidentResolved."""
        await self.flush()
        return await self._store.change(name, lambda found: found.resolved(actor, note, self._clock.now()))

    async def flush(self) -> None:
        """Write everything that waits.

        Raises:
            Unavailable: the store is away; nothing is lost.
        """
        async with self._flushing:
            while self._pending:
                await self._write(next(iter(self._pending)))

    async def run(self) -> None:
        """Write what there is to write, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
            except HeadwaterError as error:
                _log.warning("incidents cannot be written", waiting=len(self._pending), reason=error.reason)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def close(self) -> None:
        """Write what is left, unless the store is away."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.flush()
        except (TimeoutError, HeadwaterError):
            _log.error("incidents are lost: the store was away until the end", lost=len(self._pending))

    async def _write(self, name: IncidentName) -> None:
        pending = self._pending.pop(name)  # what comes while it is written waits for the next turn
        try:
            if pending.incident is not None:
                await self._store.insert(pending.incident)
            else:
                await self._store.change(name, lambda found: found.after(pending.events, pending.state))
        except IncidentNotFound:  # it was lost, or is one of a project that is gone
            _log.warning("nothing can be added to an incident that is not there", incident=str(name))
        except OfLaterRelease as error:  # it must not hold up what is to be written of all others
            _log.warning("nothing can be added to an incident", incident=str(name), why=error.message)
        except BaseException:
            self._keep(pending)
            raise

    def _keep(self, pending: _Pending) -> None:
        """Put back what could not be written, before what has come since."""
        later = self._pending.get(pending.name)
        if later is not None:
            events: Sequence[Event] = later.events
            if pending.incident is not None:
                pending.incident = pending.incident.after(events, later.state)
            else:
                pending.events.extend(events)
                pending.state = later.state or pending.state
        self._pending[pending.name] = pending
