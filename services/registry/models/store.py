"""What must be remembered of models."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import ModelName
from services.registry.models.model import Model, Objective, Stage


class ModelStore(Protocol):
    """Models, their aliases and objectives, as one transaction sees them."""

    async def add(self, model: Model) -> bool:
        """Add a model unless its project has one of the same name, whatever its case; whether it was added."""

    async def get(self, name: ModelName, *, lock: bool = False) -> Model:
        """The model, or raise ModelNotFound. With ``lock`` nobody else changes it until the transaction ends."""

    async def page(self, project: str, *, after: str, limit: int) -> Sequence[Model]:
        """Models whose name in lower case comes after ``after``, by that name."""

    async def update(self, model: Model) -> None:
        """Store latest versions and revision of ``model``, which is locked."""

    async def set_alias(self, model: Model, alias: str, version: int | None) -> None:
        """Point ``alias`` at ``version``, or remove it."""

    async def add_objective(self, objective: Objective) -> bool:
        """Add an objective unless the model has one of the same name, whatever its case; whether it was added."""

    async def objectives(
        self, model: Model, *, stage: Stage | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[Objective]:
        """Objectives of a stage, or of all, whose name in lower case comes after ``after``, by that name."""
