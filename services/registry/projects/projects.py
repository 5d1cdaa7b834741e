"""The use cases of projects."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from chassis.clock import Clock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_size, query_digest
from headwater.names import ProjectName
from services.registry.events import event
from services.registry.experiments.model import default_of
from services.registry.origin import Origin, once
from services.registry.pages import weighed_page, weight_of
from services.registry.projects.model import NewProject, Project
from services.registry.store import Store


class Projects:
    """Creates, finds, lists and describes projects."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, new: NewProject, origin: Origin) -> Project:
        """Create a project, with its default experiment.

        Raises:
            ProjectAlreadyExists: the name is taken, whatever its case.
            RequestIdReused: the request id came before with another body.
        """
        async with self._store.transaction() as tx:

            async def add() -> str:
                now = self._clock.now()
                project = Project(new_id(), new.name, new.display_name, new.description, new.annotations, now)
                await tx.projects.add(project)
                await tx.experiments.add(default_of(project, origin.actor, now))
                await tx.events.append(event(origin.actor, "project.create", ProjectName(new.name), None, project, now))
                return new.name

            return await tx.projects.get(await once(tx, origin, add))

    async def get(self, name: ProjectName) -> Project:
        """The project, or raise ProjectNotFound."""
        async with self._store.transaction() as tx:
            return await tx.projects.get(name.project)

    async def describe(self, name: ProjectName, values: Mapping[str, Any], origin: Origin) -> Project:
        """Change what is said of a project: ``values`` by field of Project. Where all stays the same, nothing changes.

        Raises:
            ProjectNotFound
        """
        async with self._store.transaction() as tx:
            project = await tx.projects.get(name.project, lock=True)
            changed = dataclasses.replace(project, **values)
            if changed != project:
                await tx.projects.update(changed)
                record = event(origin.actor, "project.update", name, project, changed, self._clock.now())
                await tx.events.append(record)
            return changed

    async def page(self, size: int, token: str, *, show_inactive: bool = False) -> Page[Project]:
        """The projects that are in use, or all, oldest first."""
        size, query = page_size(size), query_digest("projects", show_inactive)
        after = decode_token(token, query, (int,))
        async with self._store.transaction() as tx:
            begin = int(after[0]) if after else 0
            rows = await tx.projects.page(after=begin, limit=size + 1, show_inactive=show_inactive)
        return weighed_page(rows, size, key=lambda row: (row.sequence,), query=query, weight=_weight)


def _weight(project: Project) -> int:
    return 5 + weight_of(project.description, dict(project.annotations))
