"""Whether something new may begin in a project (M-06)."""

from services.registry.projects.errors import ProjectArchived
from services.registry.projects.model import Project
from services.registry.states import State
from services.registry.store import Transaction


async def project_in_use(tx: Transaction, name: str) -> Project:
    """The project, in which something new may begin.

    Raises:
        ProjectNotFound, ProjectArchived
    """
    project = await tx.projects.get(name)
    check_in_use(project)
    return project


def check_in_use(project: Project) -> None:
    """Go on if something new may begin in ``project``. What is being made while it is archived may still come in.

    Raises:
        ProjectArchived
    """
    if project.state is State.ARCHIVED:
        raise ProjectArchived(project=project.name)
