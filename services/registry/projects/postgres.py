"""Projects in PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.registry.projects.errors import ProjectAlreadyExists, ProjectNotFound
from services.registry.projects.model import Project
from services.registry.projects.store import ProjectStore
from services.registry.states import State
from services.registry.tables import projects


class PostgresProjects(ProjectStore):
    """See ProjectStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, project: Project) -> None:
        """See ProjectStore."""
        row = {
            "id": project.id,
            "name": project.name,
            "name_key": project.name.lower(),
            "display_name": project.display_name,
            "description": project.description,
            "annotations": dict(project.annotations),
            "state": project.state,
            "create_time": project.create_time,
        }
        added = await self._connection.execute(insert(projects).values(row).on_conflict_do_nothing())
        if added.rowcount == 0:
            raise ProjectAlreadyExists(project=project.name)

    async def get(self, name: str, *, lock: bool = False) -> Project:
        """See ProjectStore."""
        query = select(projects).where(projects.c.name_key == name.lower(), projects.c.name == name)
        row = (await self._connection.execute(query.with_for_update() if lock else query)).one_or_none()
        if row is None:
            raise ProjectNotFound(project=name)
        return _project(row)

    async def update(self, project: Project) -> None:
        """See ProjectStore."""
        said = {
            "display_name": project.display_name,
            "description": project.description,
            "annotations": dict(project.annotations),
            "state": project.state,
        }
        await self._connection.execute(projects.update().where(projects.c.id == project.id).values(said))

    async def page(self, *, after: int, limit: int, show_inactive: bool = False) -> Sequence[Project]:
        """See ProjectStore."""
        query = select(projects).where(projects.c.sequence > after)
        if not show_inactive:
            query = query.where(projects.c.state == State.ACTIVE)
        rows = await self._connection.execute(query.order_by(projects.c.sequence).limit(limit))
        return [_project(row) for row in rows]


def _project(row: Row[Any]) -> Project:
    return Project(
        row.id,
        row.name,
        row.display_name,
        row.description,
        row.annotations,
        row.create_time,
        sequence=row.sequence,
        state=State(row.state),
    )
