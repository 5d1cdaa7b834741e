"""The use cases of runs."""

import dataclasses
from collections.abc import Mapping, Sequence

from chassis.clock import Clock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import ProjectName, RunName
from services.registry.events import Event, event
from services.registry.metrics.model import MetricBatch, MetricPoint, ObjectPoint, log_digest
from services.registry.origin import Origin, once
from services.registry.pages import weighed_page
from services.registry.runs.errors import RunFinished
from services.registry.runs.model import ALLOWED, NewRun, Run, RunState
from services.registry.runs.parameters import merged
from services.registry.store import Store
from services.registry.values import Json


class Runs:
    """Starts, finds, lists and ends runs, and records what they measure."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, parent: ProjectName, new: NewRun, origin: Origin) -> Run:
        """Start a run.

        Raises:
            ProjectNotFound
            RunNotFound: the parent run does not exist.
            TooManyParameters
            RequestIdReused: the request id came before with another body.
        """
        async with self._store.transaction() as tx:

            async def add() -> str:
                project = await tx.projects.get(parent.project)
                if new.parent_run:
                    await tx.runs.get(RunName.parse(new.parent_run))
                run = Run(
                    id=new_id(),
                    project=project.name,
                    project_id=project.id,
                    display_name=new.display_name,
                    description=new.description,
                    state=RunState.RUNNING,
                    start_time=self._clock.now(),
                    end_time=None,
                    parameters=merged({}, new.parameters),
                    tags=new.tags,
                    annotations=new.annotations,
                    parent_run=new.parent_run,
                    created_by=origin.actor,
                    failure="",
                    job=new.job,
                )
                await tx.runs.add(run)
                await tx.events.append(event(origin.actor, "run.create", run.name, None, run, run.start_time))
                return str(run.name)

            return await tx.runs.get(RunName.parse(await once(tx, origin, add)))

    async def get(self, name: RunName) -> Run:
        """The run with the last value of each of its metrics, or raise RunNotFound."""
        async with self._store.transaction() as tx:
            return await tx.runs.get(name)

    async def page(self, parent: ProjectName, size: int, token: str) -> Page[Run]:
        """The runs of a project, newest first, or raise ProjectNotFound."""
        size, query = page_size(size), query_digest("runs", parent)
        before = decode_token(token, query, (int,))
        async with self._store.transaction() as tx:
            await tx.projects.get(parent.project)
            rows = await tx.runs.page(parent.project, before=int(before[0]) if before else None, limit=size + 1)
        return weighed_page(
            rows,
            size,
            key=lambda run: (run.sequence,),
            query=query,
            weight=lambda run: len(run.parameters) + len(run.latest_metrics),
        )

    async def finish(self, name: RunName, state: RunState, failure: str, origin: Origin) -> Run:
        """End a run; ending it again in the same state changes nothing.

        Raises:
            RunNotFound
            RunFinished: it has ended in another state.
        """
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name, lock=True)
            if run.state is state:
                return run
            if state not in ALLOWED[run.state]:
                raise RunFinished(run=name, state=run.state.name)
            now = self._clock.now()
            ended = dataclasses.replace(run, state=state, failure=failure, end_time=now)
            await tx.runs.finish(ended)
            await tx.events.append(event(origin.actor, "run.finish", name, run, ended, now))
            return ended

    async def log(self, name: RunName, batch: MetricBatch, parameters: Mapping[str, Json], origin: Origin) -> int:
        """Record points and parameters; returns how many points were new.

        Raises:
            RunNotFound, RunFinished, ParameterConflict, TooManyParameters: nothing is recorded.
        """
        record = Event(origin.actor, "run.log", str(name), "", log_digest(batch, parameters), self._clock.now())
        return await self._store.metrics.record(name, batch, parameters, record)

    async def points(self, name: RunName, key: str, size: int, token: str) -> Page[MetricPoint | ObjectPoint]:
        """The points of one metric by step, then time: numbers or, where there is none, arrays and objects.

        Raises:
            RunNotFound
        """
        size, query = page_size(size), query_digest("points", name, key)
        after = decode_token(token, query, (int, int))
        position = (int(after[0]), int(after[1])) if after else None
        async with self._store.transaction() as tx:
            run = await tx.runs.get(name)
            rows: Sequence[MetricPoint | ObjectPoint] = []
            if key in run.metrics:
                rows = await tx.runs.points(run, key, after=position, limit=size + 1)
            else:
                rows = await tx.runs.object_points(run, key, after=position, limit=size + 1)
        return page_of(rows, size, key=lambda point: (point.step, point.time_us), query=query)
