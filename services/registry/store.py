"""What the registry must remember, as a Protocol: one transaction over all nouns.

tests/contract/registry holds every implementation to it.
"""

import datetime
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.registry.artifacts.store import ArtifactStore
from services.registry.events import EventStore
from services.registry.experiments.store import ExperimentStore
from services.registry.lineage.store import LineageStore
from services.registry.logged_models.store import LoggedModelStore
from services.registry.metrics.store import MetricSink
from services.registry.models.store import ModelStore
from services.registry.moves.store import MoveStore, PointerReader
from services.registry.origin import Answers
from services.registry.projects.store import ProjectStore
from services.registry.run_artifacts.store import RunArtifactStore
from services.registry.run_links.store import RunLinkStore
from services.registry.runs.store import RunStore
from services.registry.uploads.store import UploadStore
from services.registry.versions.store import VersionStore


class Transaction(Answers, Protocol):
    """One transaction: all of what is done in it is remembered, or nothing."""

    @property
    def projects(self) -> ProjectStore:
        """Projects."""

    @property
    def experiments(self) -> ExperimentStore:
        """Experiments."""

    @property
    def runs(self) -> RunStore:
        """Runs."""

    @property
    def artifacts(self) -> ArtifactStore:
        """Artifacts."""

    @property
    def uploads(self) -> UploadStore:
        """Bytes on their way in."""

    @property
    def run_artifacts(self) -> RunArtifactStore:
        """What runs made."""

    @property
    def run_links(self) -> RunLinkStore:
        """What runs read and made, as they told."""

    @property
    def logged_models(self) -> LoggedModelStore:
        """What runs make before anything of it is registered."""

    @property
    def models(self) -> ModelStore:
        """Models and objectives."""

    @property
    def versions(self) -> VersionStore:
        """Versions of models."""

    @property
    def moves(self) -> MoveStore:
        """Stages and aliases, and their histories."""

    @property
    def lineage(self) -> LineageStore:
        """The graph."""

    @property
    def events(self) -> EventStore:
        """The record of every change."""

    async def now(self) -> datetime.datetime:
        """The time by the clock that all processes share, whatever their own clocks say (promise 18)."""


class Store(Protocol):
    """Remembers everything but the bytes of artifacts."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that ends with the block: kept when it ends well, undone when it raises."""

    @property
    def metrics(self) -> MetricSink:
        """The hot path of metric points."""

    @property
    def pointers(self) -> PointerReader:
        """The hot path of who follows a stage or an alias."""
