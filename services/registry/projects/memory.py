"""Projects in memory."""

import dataclasses
from collections.abc import Sequence

from services.registry.projects.errors import ProjectAlreadyExists, ProjectNotFound
from services.registry.projects.model import Project
from services.registry.projects.store import ProjectStore
from services.registry.states import State


class MemoryProjects(ProjectStore):
    """See ProjectStore."""

    def __init__(self, projects: dict[str, Project]) -> None:
        self._projects = projects  # by name in lower case, oldest first

    async def add(self, project: Project) -> None:
        """See ProjectStore."""
        if project.name.lower() in self._projects:
            raise ProjectAlreadyExists(project=project.name)
        self._projects[project.name.lower()] = dataclasses.replace(project, sequence=len(self._projects) + 1)

    async def get(self, name: str, *, lock: bool = False) -> Project:
        """See ProjectStore."""
        project = self._projects.get(name.lower())
        if project is None or project.name != name:
            raise ProjectNotFound(project=name)
        return project

    async def update(self, project: Project) -> None:
        """See ProjectStore."""
        self._projects[project.name.lower()] = project

    async def page(self, *, after: int, limit: int, show_inactive: bool = False) -> Sequence[Project]:
        """See ProjectStore."""
        return [
            project
            for project in self._projects.values()
            if project.sequence > after and (show_inactive or project.state is State.ACTIVE)
        ][:limit]
