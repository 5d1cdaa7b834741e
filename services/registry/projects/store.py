"""What must be remembered of projects."""

from collections.abc import Sequence
from typing import Protocol

from services.registry.projects.model import Project


class ProjectStore(Protocol):
    """Projects, as one transaction sees them."""

    async def add(self, project: Project) -> None:
        """Add a project; its ``sequence`` is given by the store.

        Raises:
            ProjectAlreadyExists: the name is taken, whatever its case.
        """

    async def get(self, name: str, *, lock: bool = False) -> Project:
        """The project of this name, or raise ProjectNotFound. With ``lock`` nobody else changes it until the end."""

    async def update(self, project: Project) -> None:
        """Store what is said of ``project``, which is locked, and its state."""

    async def page(self, *, after: int, limit: int, show_inactive: bool = False) -> Sequence[Project]:
        """Projects younger than the one with sequence ``after``, oldest first; only those in use unless
        ``show_inactive``."""
