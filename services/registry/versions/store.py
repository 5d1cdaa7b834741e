"""What must be remembered of versions."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import ModelName, ModelVersionName, ProjectName
from services.registry.models.model import Model
from services.registry.search.pages import Position
from services.registry.versions.model import ModelVersion, View, Which
from services.registry.versions.searching import Search


class VersionStore(Protocol):
    """Versions of models, as one transaction sees them."""

    async def add(self, version: ModelVersion) -> None:
        """Add a version; its number is new because its model is locked."""

    async def get(self, name: ModelName, which: Which, *, view: View = View.FULL) -> ModelVersion:
        """The version of the model of this name or, whatever its state, of this id; or raise ModelVersionNotFound."""

    async def find(self, names: Sequence[ModelVersionName], *, view: View = View.BASIC) -> Sequence[ModelVersion]:
        """Those of the versions that exist, in no particular order."""

    async def search(
        self, scope: Model | ProjectName, search: Search, *, view: View = View.FULL
    ) -> Sequence[tuple[ModelVersion, Position]]:
        """Versions of a model, or of all models of a project, each with its position. What is equal in the order is by
        number in a model, by id in a project."""

    async def update(self, version: ModelVersion) -> None:
        """Store the states of ``version``, whose model is locked, and what is said of it."""
