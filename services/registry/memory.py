"""The registry's store in memory: for tests of the domain, held to the same contract as PostgreSQL."""

import asyncio
import contextlib
import copy
import dataclasses
import datetime
from collections.abc import AsyncIterator

from chassis.db.requests import MemoryRequests
from chassis.ids import new_id
from headwater.names import DEFAULT_PROJECT, ArtifactName, ModelName
from services.registry.artifacts.memory import MemoryArtifacts
from services.registry.artifacts.model import Artifact
from services.registry.events import Event, EventStore
from services.registry.experiments.memory import MemoryExperiments
from services.registry.experiments.model import Experiment, default_of
from services.registry.lineage.memory import EdgeKey, MemoryLineage
from services.registry.lineage.model import Edge, Node
from services.registry.logged_models.memory import MemoryLoggedModels
from services.registry.logged_models.model import LoggedModel
from services.registry.metrics.memory import MemoryMetrics
from services.registry.models.errors import ModelNotFound
from services.registry.models.memory import MemoryModels
from services.registry.models.model import Model, Objective, Stage
from services.registry.moves.memory import AliasChanges, MemoryMoves, MemoryPointers, Transitions
from services.registry.moves.model import Pointer
from services.registry.origin import Origin
from services.registry.projects.memory import MemoryProjects
from services.registry.projects.model import Project
from services.registry.run_artifacts.memory import MemoryRunArtifacts
from services.registry.run_artifacts.model import RunArtifact
from services.registry.run_links.memory import MemoryRunLinks
from services.registry.run_links.model import RunLinks
from services.registry.runs.memory import MemoryRuns, Objects, Points
from services.registry.runs.model import Run
from services.registry.store import Store
from services.registry.store import Transaction as StoreTransaction
from services.registry.uploads.memory import MemoryUploads
from services.registry.uploads.model import Part, Upload
from services.registry.versions.memory import MemoryVersions, VersionKey
from services.registry.versions.model import ModelVersion, View


@dataclasses.dataclass(slots=True)
class _State:
    projects: dict[str, Project] = dataclasses.field(default_factory=dict)
    experiments: dict[str, Experiment] = dataclasses.field(default_factory=dict)
    runs: dict[str, Run] = dataclasses.field(default_factory=dict)
    points: Points = dataclasses.field(default_factory=dict)
    objects: Objects = dataclasses.field(default_factory=dict)
    artifacts: dict[ArtifactName, Artifact] = dataclasses.field(default_factory=dict)
    uploads: dict[str, Upload] = dataclasses.field(default_factory=dict)
    upload_parts: dict[str, tuple[Part, ...]] = dataclasses.field(default_factory=dict)
    run_artifacts: dict[tuple[str, str], RunArtifact] = dataclasses.field(default_factory=dict)
    run_links: dict[str, RunLinks] = dataclasses.field(default_factory=dict)
    logged_models: dict[str, LoggedModel] = dataclasses.field(default_factory=dict)
    models: dict[str, Model] = dataclasses.field(default_factory=dict)
    objectives: dict[tuple[str, str], Objective] = dataclasses.field(default_factory=dict)
    versions: dict[VersionKey, ModelVersion] = dataclasses.field(default_factory=dict)
    transitions: Transitions = dataclasses.field(default_factory=list)
    alias_changes: AliasChanges = dataclasses.field(default_factory=list)
    nodes: dict[str, Node] = dataclasses.field(default_factory=dict)
    edges: dict[EdgeKey, Edge] = dataclasses.field(default_factory=dict)
    events: list[Event] = dataclasses.field(default_factory=list)

    def draft(self) -> "_State":
        """A copy whose containers can be changed; the frozen values in them are shared."""
        return _State(*(copy.copy(getattr(self, field.name)) for field in dataclasses.fields(self)))


class MemoryStore(Store):
    """See Store. One transaction at a time; it works on a copy that takes the place of the state when it ends well."""

    def __init__(self) -> None:
        self._state = _State()
        self._requests = MemoryRequests()
        self._one_at_a_time = asyncio.Lock()
        now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        default = Project(new_id(), DEFAULT_PROJECT, "Default", "", {}, now, sequence=1)
        self._state.projects[DEFAULT_PROJECT] = default  # as the migrations do
        experiment = dataclasses.replace(default_of(default, "", now), sequence=1)
        self._state.experiments[experiment.id] = experiment

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator["MemoryTransaction"]:
        """See Store."""
        async with self._one_at_a_time:
            draft = self._state.draft()
            yield MemoryTransaction(draft, self._requests)
            self._state = draft

    @property
    def metrics(self) -> MemoryMetrics:
        """See Store."""
        return MemoryMetrics(self._for_metrics)

    @property
    def pointers(self) -> MemoryPointers:
        """See Store."""
        return MemoryPointers(self._pointed_to)

    @property
    def events(self) -> list[Event]:
        """Every event so far."""
        return self._state.events

    async def _pointed_to(self, name: ModelName, pointer: Pointer, view: View) -> ModelVersion | None:
        async with self.transaction() as tx:
            with contextlib.suppress(ModelNotFound):
                model = await tx.models.get(name)
                number = model.stages.get(pointer) if isinstance(pointer, Stage) else model.aliases.get(pointer)
                return await tx.versions.get(model.name, number, view=view) if number else None
        return None

    @contextlib.asynccontextmanager
    async def _for_metrics(self) -> AsyncIterator[tuple[MemoryRuns, EventStore]]:
        async with self.transaction() as tx:
            yield tx.runs, tx.events


class MemoryTransaction(StoreTransaction):
    """See Transaction."""

    def __init__(self, state: _State, requests: MemoryRequests) -> None:
        self._state = state
        self._requests = requests

    @property
    def projects(self) -> MemoryProjects:
        """See Transaction."""
        return MemoryProjects(self._state.projects)

    @property
    def experiments(self) -> MemoryExperiments:
        """See Transaction."""
        return MemoryExperiments(self._state.experiments)

    @property
    def runs(self) -> MemoryRuns:
        """See Transaction."""
        state = self._state
        return MemoryRuns(state.runs, state.points, state.objects, state.experiments, state.run_links)

    @property
    def artifacts(self) -> MemoryArtifacts:
        """See Transaction."""
        return MemoryArtifacts(self._state.artifacts)

    @property
    def uploads(self) -> MemoryUploads:
        """See Transaction."""
        return MemoryUploads(self._state.uploads, self._state.upload_parts)

    @property
    def run_artifacts(self) -> MemoryRunArtifacts:
        """See Transaction."""
        return MemoryRunArtifacts(self._state.run_artifacts)

    @property
    def run_links(self) -> MemoryRunLinks:
        """See Transaction."""
        return MemoryRunLinks(self._state.run_links)

    @property
    def logged_models(self) -> MemoryLoggedModels:
        """See Transaction."""
        return MemoryLoggedModels(self._state.logged_models, self._state.versions, self._state.experiments)

    @property
    def models(self) -> MemoryModels:
        """See Transaction."""
        return MemoryModels(self._state.models, self._state.versions, self._state.objectives)

    @property
    def versions(self) -> MemoryVersions:
        """See Transaction."""
        return MemoryVersions(self._state.versions, self._state.models)

    @property
    def moves(self) -> MemoryMoves:
        """See Transaction."""
        return MemoryMoves(self._state.transitions, self._state.alias_changes, self.models.set_alias)

    @property
    def lineage(self) -> MemoryLineage:
        """See Transaction."""
        return MemoryLineage(self._state.nodes, self._state.edges)

    @property
    def events(self) -> "MemoryEvents":
        """See Transaction."""
        return MemoryEvents(self._state.events)

    async def now(self) -> datetime.datetime:
        """See Transaction."""
        return datetime.datetime.now(datetime.UTC)

    async def first_answer(self, origin: Origin) -> str | None:
        """See Answers."""
        return await self._requests.first_result(None, origin.method, origin.request_id, origin.body_digest)

    async def remember(self, origin: Origin, answer: str) -> None:
        """See Answers."""
        await self._requests.remember(None, origin.method, origin.request_id, origin.body_digest, answer)

    async def forget_old_answers(self) -> None:
        """See Answers. Nothing is remembered for longer than the process lives."""


class MemoryEvents(EventStore):
    """See EventStore."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    async def append(self, event: Event) -> None:
        """See EventStore."""
        self._events.append(event)
