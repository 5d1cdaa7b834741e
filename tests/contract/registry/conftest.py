"""Every store of the registry, and the use cases over it: what holds for one holds for all."""

import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from chassis.blobs import MemoryBlobs, Staging, staging_from_url
from chassis.db.engine import Database
from chassis.testing import ManualClock
from headwater.names import ProjectName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.artifacts.sources import Sources
from services.registry.experiments.experiments import Experiments
from services.registry.experiments.lifecycle import Lifecycle as ExperimentLifecycle
from services.registry.lineage.lineage import Lineages
from services.registry.logged_models.logged_models import LoggedModels
from services.registry.memory import MemoryStore
from services.registry.metrics.history import MetricHistory
from services.registry.models.lifecycle import Lifecycle
from services.registry.models.models import Models
from services.registry.moves.aliases import Aliases
from services.registry.moves.resolving import Resolver
from services.registry.moves.stages import Stages
from services.registry.origin import Origin
from services.registry.postgres import PostgresStore
from services.registry.projects.lifecycle import Lifecycle as ProjectLifecycle
from services.registry.projects.projects import Projects
from services.registry.run_artifacts.run_artifacts import RunArtifacts
from services.registry.run_links.run_links import LinksOfRuns
from services.registry.runs.changes import RunChanges
from services.registry.runs.runs import Runs
from services.registry.store import Store
from services.registry.uploads.uploads import Uploads
from services.registry.versions.inspection import Inspector
from services.registry.versions.versions import Versions

DEFAULT = ProjectName("default")


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store with the project ``default`` and nothing else."""
    if request.param == "memory":
        yield MemoryStore()
        return
    database = Database(request.getfixturevalue("postgres_url"), "registry")
    yield PostgresStore(database)
    await database.close()


@pytest.fixture
def me() -> Origin:
    """A caller who gives no request id."""
    return Origin("tester", "Test")


@pytest.fixture
def projects(store: Store, clock: ManualClock) -> Projects:
    """The use cases of projects."""
    return Projects(store, clock)


@pytest.fixture
def project_lifecycle(store: Store, clock: ManualClock) -> ProjectLifecycle:
    """The use cases of a project's life."""
    return ProjectLifecycle(store, clock)


@pytest.fixture
def runs(store: Store, clock: ManualClock) -> Runs:
    """The use cases of runs."""
    return Runs(store, clock)


@pytest.fixture
def run_changes(store: Store, clock: ManualClock) -> RunChanges:
    """The use cases of what changes of runs."""
    return RunChanges(store, clock)


@pytest.fixture
def history(store: Store) -> MetricHistory:
    """The use cases of what runs measured."""
    return MetricHistory(store)


@pytest.fixture
def experiments(store: Store, clock: ManualClock) -> Experiments:
    """The use cases of experiments."""
    return Experiments(store, clock)


@pytest.fixture
def experiment_lifecycle(store: Store, clock: ManualClock) -> ExperimentLifecycle:
    """The use cases of an experiment's life."""
    return ExperimentLifecycle(store, clock)


@pytest.fixture
def blobs() -> MemoryBlobs:
    """Where bytes are kept."""
    return MemoryBlobs()


@pytest.fixture
def artifacts(store: Store, blobs: MemoryBlobs, clock: ManualClock) -> Artifacts:
    """The use cases of artifacts, of at most a mebibyte."""
    return Artifacts(store, blobs, Sources([]), clock, max_bytes=2**20)


@pytest.fixture(params=["memory", "file"])
def staging(request: pytest.FixtureRequest, tmp_path: Path) -> Staging:
    """Where parts of uploads are kept."""
    return staging_from_url("memory://" if request.param == "memory" else tmp_path.as_uri(), "registry")


@pytest.fixture
def uploads(store: Store, blobs: MemoryBlobs, staging: Staging, clock: ManualClock) -> Uploads:
    """The use cases of uploads that may be left alone for an hour, of at most a mebibyte."""
    return Uploads(store, blobs, staging, clock, lifetime=datetime.timedelta(hours=1), max_bytes=2**20, part_bytes=1000)


@pytest.fixture
def run_artifacts(store: Store, clock: ManualClock) -> RunArtifacts:
    """The use cases of what runs made."""
    return RunArtifacts(store, clock)


@pytest.fixture
def models(store: Store, clock: ManualClock) -> Models:
    """The use cases of models."""
    return Models(store, clock)


@pytest.fixture
def versions(store: Store, blobs: MemoryBlobs, clock: ManualClock) -> Versions:
    """The use cases of versions."""
    return Versions(store, Inspector(blobs, 2), clock)


@pytest.fixture
def lifecycle(store: Store, clock: ManualClock) -> Lifecycle:
    """The use cases of a model's life."""
    return Lifecycle(store, clock)


@pytest.fixture
def stages(store: Store) -> Stages:
    """The use cases of stages."""
    return Stages(store)


@pytest.fixture
def aliases(store: Store) -> Aliases:
    """The use cases of aliases."""
    return Aliases(store)


@pytest.fixture
def resolver(store: Store) -> Resolver:
    """What follows stages and aliases."""
    return Resolver(store)


@pytest.fixture
def lineages(store: Store, clock: ManualClock) -> Lineages:
    """The use cases of lineage."""
    return Lineages(store, clock)


@pytest.fixture
def run_links(store: Store, clock: ManualClock) -> LinksOfRuns:
    """The use cases of what runs read and made."""
    return LinksOfRuns(store, clock)


@pytest.fixture
def logged_models(store: Store, clock: ManualClock) -> LoggedModels:
    """The use cases of logged models."""
    return LoggedModels(store, clock)
