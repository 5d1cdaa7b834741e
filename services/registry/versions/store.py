"""What must be remembered of versions."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import ModelName, ModelVersionName
from services.registry.models.model import Model
from services.registry.versions.model import ModelVersion, Transition, View, Which


class VersionStore(Protocol):
    """Versions of models and their moves between stages, as one transaction sees them."""

    async def add(self, version: ModelVersion) -> None:
        """Add a version; its number is new because its model is locked."""

    async def get(self, name: ModelName, which: Which, *, view: View = View.FULL) -> ModelVersion:
        """The version, or raise ModelVersionNotFound."""

    async def find(self, names: Sequence[ModelVersionName]) -> Sequence[ModelVersion]:
        """Those of the versions that exist, in no particular order, in a BASIC view."""

    async def page(
        self, model: Model, *, before: int | None, limit: int, show_inactive: bool = True, view: View = View.FULL
    ) -> Sequence[ModelVersion]:
        """Versions with a number below ``before``, newest first; only those in use unless ``show_inactive``."""

    async def update(self, version: ModelVersion) -> None:
        """Store the states of ``version``, whose model is locked, and what is said of it."""

    async def add_transition(self, model: Model, transition: Transition) -> None:
        """Add a move; its ``sequence`` is given by the store."""

    async def transitions(self, model: Model, *, before: int | None, limit: int) -> Sequence[Transition]:
        """Moves older than the one with sequence ``before``, newest first."""
