"""What must be remembered of versions."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import ModelName, ModelVersionName
from services.registry.models.model import Model
from services.registry.versions.model import ModelVersion, View, Which


class VersionStore(Protocol):
    """Versions of models, as one transaction sees them."""

    async def add(self, version: ModelVersion) -> None:
        """Add a version; its number is new because its model is locked."""

    async def get(self, name: ModelName, which: Which, *, view: View = View.FULL) -> ModelVersion:
        """The version of the model of this name or, whatever its state, of this id; or raise ModelVersionNotFound."""

    async def find(self, names: Sequence[ModelVersionName]) -> Sequence[ModelVersion]:
        """Those of the versions that exist, in no particular order, in a BASIC view."""

    async def page(
        self, model: Model, *, before: int | None, limit: int, show_inactive: bool = True, view: View = View.FULL
    ) -> Sequence[ModelVersion]:
        """Versions with a number below ``before``, newest first; only those in use unless ``show_inactive``."""

    async def update(self, version: ModelVersion) -> None:
        """Store the states of ``version``, whose model is locked, and what is said of it."""
