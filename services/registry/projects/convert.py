"""Projects between proto and domain."""

from collections.abc import Mapping
from typing import Any

from chassis.update_masks import masked
from headwater.artifact.v1 import artifact_pb2
from headwater.names import ProjectName, check_segment
from headwater.registry.v1 import projects_pb2
from services.registry import convert
from services.registry.projects.model import NewProject, Project

_GIVEN = ("display_name", "description", "annotations")


def new_project(request: projects_pb2.CreateProjectRequest) -> NewProject:
    """What the request says of the project to be, checked."""
    project = request.project
    convert.refuse_other_fields(project, _GIVEN, "project")
    return NewProject(name=check_segment(request.project_id, "project_id"), **_described(project))


def changes(request: projects_pb2.UpdateProjectRequest) -> Mapping[str, Any]:
    """The fields that an update is about, with the values that they are to have.

    Raises:
        InvalidUpdateMask, InvalidField
    """
    if not request.update_mask.paths:  # else the mask says what is meant, and the rest of what was read may come along
        convert.refuse_other_fields(request.project, ("name", *_GIVEN), "project")
    said = _described(request.project)
    return {field: said[field] for field in masked(request.project, request.update_mask.paths, _GIVEN)}


def to_proto(project: Project) -> artifact_pb2.Project:
    """The project as a message."""
    return artifact_pb2.Project(
        id=convert.uuid(project.id, artifact_pb2.UUID.TYPE_PROJECT),
        name=str(ProjectName(project.name)),
        description=project.description,
        annotations=project.annotations,
        display_name=project.display_name,
        create_time=convert.timestamp(project.create_time),
        state=artifact_pb2.Project.State.ValueType(project.state),
    )


def _described(project: artifact_pb2.Project) -> Mapping[str, Any]:
    return {
        "display_name": convert.text(project.display_name, "project.display_name", convert.MAX_DISPLAY_NAME),
        "description": convert.text(project.description, "project.description", convert.MAX_DESCRIPTION),
        "annotations": convert.pairs(project.annotations, "project.annotations"),
    }
