"""What must be remembered of models and their versions."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import ModelName, ModelVersionName
from services.registry.models.model import Model, ModelVersion, Objective, Stage, Transition


class ModelStore(Protocol):
    """Models, their aliases and objectives, as one transaction sees them."""

    async def add(self, model: Model) -> bool:
        """Add a model unless its project has one of the same name, whatever its case; whether it was added."""

    async def get(self, name: ModelName, *, lock: bool = False) -> Model:
        """The model, or raise ModelNotFound. With ``lock`` nobody else changes it until the transaction ends."""

    async def page(self, project: str, *, after: str, limit: int) -> Sequence[Model]:
        """Models whose name in lower case comes after ``after``, by that name."""

    async def update(self, model: Model) -> None:
        """Store latest version and revision of ``model``, which is locked."""

    async def set_alias(self, model: Model, alias: str, version: int | None) -> None:
        """Point ``alias`` at ``version``, or remove it."""

    async def add_objective(self, objective: Objective) -> bool:
        """Add an objective unless the model has one of the same name, whatever its case; whether it was added."""

    async def objectives(
        self, model: Model, *, stage: Stage | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[Objective]:
        """Objectives of a stage, or of all, whose name in lower case comes after ``after``, by that name."""


class VersionStore(Protocol):
    """Versions of models and their moves between stages, as one transaction sees them."""

    async def add(self, version: ModelVersion) -> None:
        """Add a version; its number is new because its model is locked."""

    async def get(self, name: ModelName, number: int) -> ModelVersion:
        """The version, or raise ModelVersionNotFound."""

    async def find(self, names: Sequence[ModelVersionName]) -> Sequence[ModelVersion]:
        """Those of the versions that exist, in no particular order, without the tensors of their files."""

    async def page(self, model: Model, *, before: int | None, limit: int) -> Sequence[ModelVersion]:
        """Versions with a number below ``before``, newest first."""

    async def move(self, version: ModelVersion) -> None:
        """Store stage and revision of ``version``, whose model is locked."""

    async def add_transition(self, model: Model, transition: Transition) -> None:
        """Add a move; its ``sequence`` is given by the store."""

    async def transitions(self, model: Model, *, before: int | None, limit: int) -> Sequence[Transition]:
        """Moves older than the one with sequence ``before``, newest first."""
