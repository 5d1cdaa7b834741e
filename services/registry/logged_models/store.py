"""What must be remembered of logged models."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import LoggedModelName
from services.registry.logged_models.model import DataMetric, LoggedModel
from services.registry.logged_models.searching import Search
from services.registry.search.pages import Position


class LoggedModelStore(Protocol):
    """Logged models, as one transaction sees them."""

    async def add(self, logged: LoggedModel) -> None:
        """Add one; its ``sequence`` is given by the store."""

    async def get(self, name: LoggedModelName, *, lock: bool = False) -> LoggedModel:
        """It with its metrics (the last point of each on each data by each run) and the versions made from it, or raise
        LoggedModelNotFound.

        With ``lock`` nobody else changes it until the transaction ends, and it comes without metrics: what is added to
        it costs the same however many there are.
        """

    async def search(self, project: str, search: Search) -> Sequence[tuple[LoggedModel, Position]]:
        """Logged models of the project that are looked for, each with its position in the order."""

    async def update(self, logged: LoggedModel) -> None:
        """Store all of ``logged``, which is locked, but what never changes and its metrics."""

    async def add_metrics(self, logged: LoggedModel, metrics: Sequence[DataMetric]) -> int:
        """Add points about ``logged``; a point that is there already stays. Returns how many were new."""
