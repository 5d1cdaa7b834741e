"""The use cases of runs: starting, finding and ending them, and recording what they measure."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from chassis.clock import Clock
from chassis.paging import Page, page_size, query_digest
from headwater.names import ProjectName, RunName
from services.registry.events import Event, event
from services.registry.metrics.model import Log, MetricBatch
from services.registry.origin import Origin, once
from services.registry.pages import CHARACTERS, fitting, read_by_weight
from services.registry.runs.errors import RunFinished
from services.registry.runs.fields import FIELDS
from services.registry.runs.model import ALLOWED, OPEN, NewRun, Run, RunState
from services.registry.runs.starting import new_run
from services.registry.runs.store import RunQuery
from services.registry.runs.wanted import Wanted
from services.registry.search import pages
from services.registry.search.filters import parse_filter
from services.registry.search.orders import parse_order
from services.registry.search.pages import Position
from services.registry.store import Store
from services.registry.values import Json


class Runs:
    """Starts, finds, lists and ends runs, and records what they measure."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, parent: ProjectName, new: NewRun, origin: Origin) -> Run:
        """Start a run, or say that it will be.

        Raises:
            ProjectNotFound, ProjectArchived, ExperimentNotFound, ExperimentArchived
            RunNotFound: the parent run does not exist.
            TooManyParameters, TooManyTags
            RequestIdReused: the request id came before with another body.
        """
        async with self._store.transaction() as tx:

            async def add() -> str:
                project = await tx.projects.get(parent.project)
                run = await new_run(tx, project, new, origin.actor, self._clock.now())
                await tx.runs.add(run)
                await tx.events.append(event(origin.actor, "run.create", run.name, None, run, run.update_time))
                return str(run.name)

            return await tx.runs.get(RunName.parse(await once(tx, origin, add)), whole=True)

    async def get(self, name: RunName) -> Run:
        """The run with all that is known of it but its history, or raise RunNotFound."""
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name, whole=True)
            links = await tx.run_links.of([run.id])
            return dataclasses.replace(run, links=links.get(run.id, run.links))

    async def page(self, parent: ProjectName, wanted: Wanted, size: int, token: str) -> Page[Run]:
        """The runs of a project that are wanted.

        Raises:
            ProjectNotFound, ExperimentNotFound
            InvalidFilter, InvalidOrder, InvalidPageToken
        """
        condition, order = parse_filter(wanted.filter, FIELDS), parse_order(wanted.order_by, FIELDS)
        size, query = page_size(size), query_digest("runs", parent, wanted)
        after = pages.decode(token, query, order, str if order.keys else int)
        async with self._store.transaction() as tx:
            project = await tx.projects.get(parent.project)
            experiments = [(await tx.experiments.get(name)).id for name in wanted.experiments]
            within = experiments if wanted.experiments else None
            parent_run = str(wanted.parent_run or "")
            search = RunQuery(project.id, condition, order, within, parent_run, wanted.lifecycle)

            async def read(limit: int, after: Position | None) -> Sequence[tuple[Run, Position]]:
                found = await tx.runs.search(search, after=after, limit=limit)
                if not wanted.links:
                    return found
                links = await tx.run_links.of([run.id for run, _position in found], brief=True)
                return [
                    (dataclasses.replace(run, links=links.get(run.id, run.links)), position) for run, position in found
                ]

            rows = await read_by_weight(read, size + 1, after, _weight)
        return pages.page_of_found(rows, fitting([run for run, _position in rows], size, _weight), query)

    async def finish(
        self, name: RunName, state: RunState, failure: str, origin: Origin, *, time: datetime.datetime | None = None
    ) -> Run:
        """End a run, now or when ``time`` says; ending it again in the same state changes nothing.

        Raises:
            RunNotFound
            RunFinished: it has ended in another state.
        """
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name, lock=True)
            if run.state is state:
                return run
            if run.state not in OPEN or state not in ALLOWED[run.state]:
                raise RunFinished(run=name, state=run.state.name)
            now = self._clock.now()
            ended = run.changed(now, state=state, failure=failure, end_time=time or now)
            await tx.runs.update(ended)
            await tx.events.append(event(origin.actor, "run.finish", name, run, ended, now))
            return ended

    async def log(
        self,
        name: RunName,
        batch: MetricBatch,
        parameters: Mapping[str, Json],
        origin: Origin,
        *,
        tags: Mapping[str, str] | None = None,
    ) -> int:
        """Record points, parameters and tags; returns how many points were new.

        Raises:
            RunNotFound, RunFinished, RunArchived
            ParameterConflict, TooManyParameters, TooManyTags: nothing is recorded.
        """
        log = Log(batch, parameters, tags or {})
        record = Event(origin.actor, "run.log", str(name), "", log.digest, self._clock.now())
        return await self._store.metrics.record(name, log, record)


def _weight(run: Run) -> int:
    # As weight_of, in a third of the time: a page has a thousand of them.
    texts = (run.description, run.failure, *run.tags.values(), *run.annotations.values())
    characters = sum(map(len, texts)) + sum(map(len, map(str, run.parameters.values())))
    entries = len(run.parameters) + len(run.tags) + len(run.metrics) + run.links.entries
    return 2 * entries + characters // CHARACTERS
