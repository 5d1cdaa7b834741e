"""The use case of taking in OpenLineage events."""

import asyncio
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from chassis.clock import Clock
from chassis.ids import new_id
from headwater.names import ProjectName, RunName
from services.registry.events import event
from services.registry.lineage.model import Connections, Edge, NewEdge, Node, NodeKind, Role, kind_of
from services.registry.lineage.nodes import find_nodes
from services.registry.lineage.openlineage.model import (
    OURS,
    Dataset,
    Event,
    EventType,
    Job,
    external_dataset,
    external_job,
    our_name,
)
from services.registry.lineage.openlineage.reading import InvalidOpenLineage, read
from services.registry.origin import Origin
from services.registry.projects.model import Project
from services.registry.runs.model import OPEN, BriefRun, NewRun, Run, RunState
from services.registry.runs.starting import new_run
from services.registry.store import Store, Transaction
from services.registry.values import Json

_MAX_EDGES = 20_000
_MAX_DISPLAY_NAME = 255
_ENDS: Mapping[EventType, RunState] = {
    EventType.COMPLETE: RunState.SUCCEEDED,
    EventType.FAIL: RunState.FAILED,
    EventType.ABORT: RunState.CANCELLED,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Imported:
    """How many edges were new, and the run of each event that has one."""

    created: int
    runs: Sequence[RunName]


class OpenLineage:
    """Adds what events tell to the graph. What was told before changes nothing."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def take_in(self, parent: ProjectName, texts: Sequence[str], origin: Origin) -> Imported:
        """Add the events, all or none. Data and jobs that are unknown here become external nodes, and runs runs.

        Raises:
            InvalidOpenLineage: naming the event and the field.
            ProjectNotFound
            ProjectArchived: a run is new, and nothing new begins there.
            RunAlreadyExists: another project has a run of this id.
        """
        events = await asyncio.to_thread(lambda: [read(text, index) for index, text in enumerate(texts)])
        async with self._store.transaction() as tx:
            project = await tx.projects.get(parent.project)
            told = _Told(parent, (await find_nodes(tx, _ours(events))).keys(), events)
            changed = await tx.lineage.add_nodes(sorted(told.nodes.values(), key=lambda node: node.name))
            # Before the runs: who tells of the same run at the same time waits here, and finds it there then.
            edges = [Edge(new_id(), project.id, edge.first, edge.second, edge.run, edge.role) for edge in told.edges]
            created = await tx.lineage.add_edges(sorted(edges, key=lambda edge: (edge.second, edge.first, edge.run)))
            await self._keep_runs(tx, project, events, origin)
            if created or changed:
                new = Connections(list(told.nodes.values()), told.edges)
                await tx.events.append(event(origin.actor, "lineage.import", parent, None, new, self._clock.now()))
        return Imported(created, [RunName(parent.project, each.run.id) for each in events if each.run])

    async def _keep_runs(self, tx: Transaction, project: Project, events: Sequence[Event], origin: Origin) -> None:
        by_id: dict[str, list[Event]] = {}
        for each in sorted((each for each in events if each.run), key=lambda each: each.time):
            assert each.run is not None
            by_id.setdefault(each.run.id, []).append(each)
        wanted = {run_id for each in events if each.run for run_id in (each.run.id, each.run.parent_id) if run_id}
        names = [str(RunName(project.name, each)) for each in sorted(wanted)]
        known = {run.id: run for run in await tx.runs.find(names)}
        for run_id in _parents_first(by_id):
            if run_id not in known:
                added = await self._add(tx, project, by_id[run_id], known, origin)
                known[run_id] = added.brief
            await self._end(tx, known[run_id], by_id[run_id], origin)

    async def _add(
        self, tx: Transaction, project: Project, events: Sequence[Event], known: Mapping[str, BriefRun], origin: Origin
    ) -> Run:
        run, job = events[0].run, events[0].job
        assert run is not None
        assert job is not None
        parents = [each.run.parent_id for each in events if each.run and each.run.parent_id]
        parent = known.get(parents[0]) if parents else None
        annotations = {"openlineage.namespace": job.namespace, "openlineage.name": job.name}
        if parents and parent is None:
            annotations["openlineage.parent"] = parents[0]
        new = NewRun(
            display_name=job.name[:_MAX_DISPLAY_NAME],
            description="",
            parameters={},
            tags={},
            annotations=annotations,
            parent_run=str(parent.name) if parent else "",
            job="",
            start_time=events[0].time,
        )
        added = await new_run(tx, project, new, origin.actor, self._clock.now(), run.id)
        await tx.runs.add(added)
        await tx.events.append(event(origin.actor, "run.create", added.name, None, added, added.update_time))
        return added

    async def _end(self, tx: Transaction, run: BriefRun, events: Sequence[Event], origin: Origin) -> None:
        """End the run if an event says so and it has not ended."""
        last = next((each for each in reversed(events) if each.type in _ENDS), None)
        if last is None or last.run is None or run.state not in OPEN:
            return
        current = await tx.runs.get(RunName.parse(run.name), lock=True)
        if current.state not in OPEN:
            return
        now = self._clock.now()
        failure = last.run.failure if last.type is EventType.FAIL else ""
        end = max(last.time, current.start_time)
        ended = current.changed(now, state=_ENDS[last.type], failure=failure, end_time=end)
        await tx.runs.update(ended)
        await tx.events.append(event(origin.actor, "run.finish", ended.name, current, ended, now))


class _Told:
    """The nodes and edges that events tell of. ``known`` are the names of ours that are in the graph."""

    def __init__(self, parent: ProjectName, known: Iterable[str], events: Sequence[Event]) -> None:
        self._parent = parent
        self._known = frozenset(known)
        self.nodes: dict[str, Node] = {}
        self._edges: dict[NewEdge, None] = {}
        for index, each in enumerate(events):
            self._add(each)
            if len(self._edges) > _MAX_EDGES:
                raise InvalidOpenLineage(
                    f"event {index}: the events together have more than {_MAX_EDGES:,} edges; send fewer at once.",
                    event=index,
                )

    @property
    def edges(self) -> Sequence[NewEdge]:
        """Each edge once."""
        return list(self._edges)

    def _add(self, told: Event) -> None:
        inputs, outputs = list(map(self._dataset, told.inputs)), list(map(self._dataset, told.outputs))
        jobs = [name for name in [self._job(told.job)] if name] if told.job else []
        if told.run is None:
            for second in outputs:
                self._join(inputs, second, "", Role.INPUT)
                self._join(jobs, second, "", Role.EXECUTABLE)
            return
        run = str(RunName(self._parent.project, told.run.id))
        executables = [name for name in told.run.executables if name in self._known]
        self._join(inputs, run, run, Role.INPUT)
        self._join([*jobs, *executables], run, run, Role.EXECUTABLE)
        for second in outputs:
            self._join([run], second, run, Role.OUTPUT)

    def _join(self, firsts: Iterable[str], second: str, run: str, role: Role) -> None:
        for first in firsts:
            if first != second:
                self._edges[NewEdge(first, second, run, role)] = None

    def _dataset(self, dataset: Dataset) -> str:
        ours = our_name(dataset.namespace, dataset.name)
        if ours in self._known:
            return ours
        name = external_dataset(self._parent, dataset)
        annotations: dict[str, Json] = {"openlineage.namespace": dataset.namespace, "openlineage.name": dataset.name}
        if dataset.schema:
            annotations["openlineage.schema"] = dataset.schema
        if dataset.left_out:
            annotations["openlineage.schema.left_out"] = str(dataset.left_out)
        details = {
            "description": dataset.description,
            "source": dataset.source or f"{dataset.namespace}/{dataset.name}",
            "version": dataset.version,
        }
        self._keep(Node(name, NodeKind.DATA, new_id(), "", {**_said(details), "annotations": annotations}))
        return name

    def _job(self, job: Job) -> str:
        """Empty where the job is none: ours that stands for nothing but its run."""
        ours = our_name(job.namespace, job.name)
        if ours in self._known and kind_of(ours) is NodeKind.EXECUTABLE:
            return ours
        if job.namespace.startswith(OURS):
            return ""
        name = external_job(self._parent, job)
        details = {"description": job.description, "repository": job.repository, "version": job.version}
        annotations: dict[str, Json] = {"openlineage.namespace": job.namespace, "openlineage.name": job.name}
        self._keep(Node(name, NodeKind.EXECUTABLE, new_id(), "", {**_said(details), "annotations": annotations}))
        return name

    def _keep(self, node: Node) -> None:
        self.nodes.setdefault(node.name, node)


def _said(details: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in details.items() if value}


def _ours(events: Iterable[Event]) -> set[str]:
    """The names of ours that events say, whether they are known or not."""
    names = {our_name(each.job.namespace, each.job.name) for each in events if each.job}
    names |= {our_name(data.namespace, data.name) for each in events for data in (*each.inputs, *each.outputs)}
    executables = {name for each in events if each.run for name in each.run.executables}
    return {name for name in names - {""} if kind_of(name) is not NodeKind.RUN} | set(
        filter(_is_executable, executables)
    )


def _is_executable(name: str) -> bool:
    _, _, rest = name.partition("/")
    project, _, rest = rest.partition("/")
    ours = our_name(f"{OURS}{project}", rest)
    return ours == name and kind_of(name) is NodeKind.EXECUTABLE


def _parents_first(by_id: Mapping[str, Sequence[Event]]) -> Sequence[str]:
    """The ids of the runs, each after that of the run that started it where that is among them."""
    order: dict[str, None] = {}
    met: set[str] = set()
    waiting = list(by_id)[::-1]
    while waiting:
        run_id = waiting[-1]
        if run_id in met:
            order[waiting.pop()] = None
            continue
        met.add(run_id)
        parents = [each.run.parent_id for each in by_id[run_id] if each.run is not None]
        waiting += [parent for parent in parents if parent in by_id and parent not in met]
    return list(order)
