"""What must be remembered of models."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import ModelName
from services.registry.models.model import Model, Objective, Stage
from services.registry.models.searching import Search
from services.registry.search.pages import Position


class ModelStore(Protocol):
    """Models and their objectives, as one transaction sees them."""

    async def add(self, model: Model) -> bool:
        """Add a model unless its project has one of the same name, whatever its case; whether it was added."""

    async def get(self, name: ModelName, *, lock: bool = False, settled: bool = False) -> Model:
        """The model of this name or, whatever its state, of this id; or raise ModelNotFound.

        With ``lock`` nobody else changes it until the transaction ends; with ``settled`` changes that are under way are
        waited for, and none begins until then.
        """

    async def search(self, project: str, search: Search) -> Sequence[tuple[Model, Position]]:
        """Models of a project, each with its position. What is equal in the order is by id."""

    async def update(self, model: Model) -> None:
        """Store what may change of ``model``, which is locked; its name stays."""

    async def rename(self, model: Model, before: ModelName) -> None:
        """Store ``model``, which is locked and was called ``before``. Replacements that say that name follow.

        Raises:
            ModelAlreadyExists: the name is taken, whatever its case.
        """

    async def add_objective(self, objective: Objective) -> bool:
        """Add an objective unless the model has one of the same name, whatever its case; whether it was added."""

    async def objectives(
        self, model: Model, *, stage: Stage | None = None, after: str = "", limit: int | None = None
    ) -> Sequence[Objective]:
        """Objectives of a stage, or of all, whose name in lower case comes after ``after``, by that name."""
