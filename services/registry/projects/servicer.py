"""ProjectService: convert, call, convert."""

from typing import Any

from headwater.artifact.v1 import artifact_pb2
from headwater.names import ProjectName
from headwater.registry.v1 import projects_pb2, projects_pb2_grpc
from services.registry.convert import origin
from services.registry.projects import convert
from services.registry.projects.lifecycle import Lifecycle
from services.registry.projects.projects import Projects


class ProjectServicer(projects_pb2_grpc.ProjectServiceServicer):
    """See protos/headwater/registry/v1/projects.proto."""

    def __init__(self, projects: Projects, lifecycle: Lifecycle) -> None:
        self._projects = projects
        self._lifecycle = lifecycle

    async def CreateProject(self, request: projects_pb2.CreateProjectRequest, _context: Any) -> artifact_pb2.Project:
        """See the proto."""
        made = await self._projects.create(convert.new_project(request), origin(request, request.request_id))
        return convert.to_proto(made)

    async def GetProject(self, request: projects_pb2.GetProjectRequest, _context: Any) -> artifact_pb2.Project:
        """See the proto."""
        return convert.to_proto(await self._projects.get(ProjectName.parse(request.name)))

    async def UpdateProject(self, request: projects_pb2.UpdateProjectRequest, _context: Any) -> artifact_pb2.Project:
        """See the proto."""
        name = ProjectName.parse(request.project.name, "project.name")
        return convert.to_proto(await self._projects.describe(name, convert.changes(request), origin(request)))

    async def ArchiveProject(self, request: projects_pb2.ArchiveProjectRequest, _context: Any) -> artifact_pb2.Project:
        """See the proto."""
        return convert.to_proto(await self._lifecycle.archive(ProjectName.parse(request.name), origin(request)))

    async def ReactivateProject(
        self, request: projects_pb2.ReactivateProjectRequest, _context: Any
    ) -> artifact_pb2.Project:
        """See the proto."""
        return convert.to_proto(await self._lifecycle.reactivate(ProjectName.parse(request.name), origin(request)))

    async def ListProjects(
        self, request: projects_pb2.ListProjectsRequest, _context: Any
    ) -> projects_pb2.ListProjectsResponse:
        """See the proto."""
        page = await self._projects.page(request.page_size, request.page_token, show_inactive=request.show_inactive)
        return projects_pb2.ListProjectsResponse(
            projects=[convert.to_proto(project) for project in page.items], next_page_token=page.next_page_token
        )
