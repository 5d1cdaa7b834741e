"""The use cases of a project's life: out of use, and back (M-04…M-09). Nothing is ever deleted.

A project keeps its name for good: datasets, jobs and deployments, which other services keep, are called by it.
"""

import dataclasses

from chassis.clock import Clock
from headwater.names import DEFAULT_PROJECT, ProjectName
from services.registry.events import event
from services.registry.origin import Origin
from services.registry.projects.errors import DefaultProject
from services.registry.projects.model import Project
from services.registry.states import State, check_transition
from services.registry.store import Store


class Lifecycle:
    """Archives and reactivates projects."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def archive(self, name: ProjectName, origin: Origin) -> Project:
        """Take a project out of use: nothing new begins in it, and all of it is read as before.

        Raises:
            ProjectNotFound
            DefaultProject
            TransitionNotAllowed: it is archived already.
        """
        if name.project == DEFAULT_PROJECT:
            raise DefaultProject(project=name)
        return await self._come(name, State.ARCHIVED, "project.archive", origin)

    async def reactivate(self, name: ProjectName, origin: Origin) -> Project:
        """Put a project back into use.

        Raises:
            ProjectNotFound
            TransitionNotAllowed: it is in use.
        """
        return await self._come(name, State.ACTIVE, "project.reactivate", origin)

    async def _come(self, name: ProjectName, state: State, kind: str, origin: Origin) -> Project:
        async with self._store.transaction() as tx:
            project = await tx.projects.get(name.project, lock=True)
            check_transition(name, project.state, state)
            changed = dataclasses.replace(project, state=state)
            await tx.projects.update(changed)
            await tx.events.append(event(origin.actor, kind, name, project, changed, self._clock.now()))
            return changed
