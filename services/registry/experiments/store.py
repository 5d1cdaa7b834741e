"""What must be remembered of experiments."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import ExperimentName
from services.registry.experiments.model import Experiment
from services.registry.search.orders import Order
from services.registry.search.pages import Position
from services.registry.search.tree import Condition


class ExperimentStore(Protocol):
    """Experiments, as one transaction sees them."""

    async def add(self, experiment: Experiment) -> None:
        """Add an experiment; its ``sequence`` is given by the store.

        Raises:
            ExperimentAlreadyExists: a name of it is taken.
        """

    async def get(self, name: ExperimentName, *, lock: bool = False, settled: bool = False) -> Experiment:
        """The experiment of this name or, whatever its state, of this id; or raise ExperimentNotFound.

        With ``lock`` nobody else changes it until the transaction ends; with ``settled`` changes that are under way are
        waited for, and none begins until then.
        """

    async def search(
        self, project: str, condition: Condition, order: Order, *, after: Position | None, limit: int
    ) -> Sequence[tuple[Experiment, Position]]:
        """Experiments of a project for which the condition is true, in this order, each with its position."""

    async def update(self, experiment: Experiment, before: ExperimentName) -> None:
        """Store ``experiment``, which is locked and was called ``before``. Replacements that say that name follow.

        Raises:
            ExperimentAlreadyExists: a name of it is taken.
        """
