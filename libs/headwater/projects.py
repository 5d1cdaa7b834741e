"""Projects from Python: workspaces, the scope of every other name (docs/reference/projects.md)."""

import uuid
from collections.abc import Iterator, Mapping

from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.names import ProjectName
from headwater.pages import pages
from headwater.registry.v1 import projects_pb2, projects_pb2_grpc

_PAGE = 200


def create(
    connection: Connection,
    project: ProjectName,
    *,
    display_name: str = "",
    description: str = "",
    annotations: Mapping[str, str] | None = None,
) -> artifact_pb2.Project:
    """Create a project."""
    request = projects_pb2.CreateProjectRequest(
        project_id=project.project,
        project=artifact_pb2.Project(display_name=display_name, description=description, annotations=annotations),
        request_id=str(uuid.uuid4()),
    )
    return _stub(connection).CreateProject(request)


def get(connection: Connection, project: ProjectName) -> artifact_pb2.Project:
    """The project, whatever its state."""
    return _stub(connection).GetProject(projects_pb2.GetProjectRequest(name=str(project)))


def list_(connection: Connection, *, show_inactive: bool = False) -> Iterator[artifact_pb2.Project]:
    """The projects that are in use, or all, oldest first; asked for page by page as they are read."""
    request = projects_pb2.ListProjectsRequest(page_size=_PAGE, show_inactive=show_inactive)
    for page in pages(_stub(connection).ListProjects, request):
        yield from page.projects


def describe(
    connection: Connection,
    project: ProjectName,
    *,
    display_name: str | None = None,
    description: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> artifact_pb2.Project:
    """Change what is said of a project. What is None stays as it is; ``annotations`` replace all that there are."""
    given = {"display_name": display_name, "description": description, "annotations": annotations}
    changed = [field for field, value in given.items() if value is not None]
    said = artifact_pb2.Project(
        name=str(project), display_name=display_name or "", description=description or "", annotations=annotations or {}
    )
    request = projects_pb2.UpdateProjectRequest(project=said)
    request.update_mask.paths.extend(changed)
    return _stub(connection).UpdateProject(request) if changed else get(connection, project)


def archive(connection: Connection, project: ProjectName) -> artifact_pb2.Project:
    """Take a project out of use: nothing new begins in it, and all of it is read as before.

    Raises:
        FailedPrecondition: reason DEFAULT_PROJECT, or STATE_TRANSITION_NOT_ALLOWED where it is archived already.
    """
    return _stub(connection).ArchiveProject(projects_pb2.ArchiveProjectRequest(name=str(project)))


def reactivate(connection: Connection, project: ProjectName) -> artifact_pb2.Project:
    """Put an archived project back into use."""
    return _stub(connection).ReactivateProject(projects_pb2.ReactivateProjectRequest(name=str(project)))


def _stub(connection: Connection) -> projects_pb2_grpc.ProjectServiceStub:
    return projects_pb2_grpc.ProjectServiceStub(connection.channel("registry"))
