"""Projects, over every store."""

import pytest

from chassis.db.requests import RequestIdReused
from headwater.names import ProjectName
from services.registry.origin import Origin
from services.registry.projects.errors import ProjectAlreadyExists, ProjectNotFound
from services.registry.projects.model import NewProject
from services.registry.projects.projects import Projects


def _named(name: str) -> NewProject:
    return NewProject(name, "A name for people", "What it is for", {"team": "vision"})


async def test_the_default_project_is_always_there(projects: Projects) -> None:
    assert (await projects.get(ProjectName("default"))).name == "default"


async def test_a_created_project_is_found(projects: Projects, me: Origin) -> None:
    made = await projects.create(_named("Vision"), me)
    assert await projects.get(ProjectName("Vision")) == made
    assert made.annotations == {"team": "vision"}


async def test_a_name_that_differs_in_case_only_is_taken(projects: Projects, me: Origin) -> None:
    """M-02."""
    await projects.create(_named("Vision"), me)
    with pytest.raises(ProjectAlreadyExists):
        await projects.create(_named("vision"), me)
    with pytest.raises(ProjectNotFound):
        await projects.get(ProjectName("vision"))


async def test_a_retry_returns_the_first_project(projects: Projects) -> None:
    """Promise 4."""
    origin = Origin("tester", "CreateProject", "request-1", "digest-1")
    first = await projects.create(_named("vision"), origin)
    assert await projects.create(_named("vision"), origin) == first


async def test_a_request_id_with_another_body_is_refused(projects: Projects) -> None:
    """Promise 4."""
    await projects.create(_named("vision"), Origin("tester", "CreateProject", "request-1", "digest-1"))
    with pytest.raises(RequestIdReused):
        await projects.create(_named("audio"), Origin("tester", "CreateProject", "request-1", "digest-2"))
    with pytest.raises(ProjectNotFound):
        await projects.get(ProjectName("audio"))


async def test_projects_are_listed_oldest_first_page_by_page(projects: Projects, me: Origin) -> None:
    for number in (3, 1, 2):
        await projects.create(_named(f"p{number}"), me)
    first = await projects.page(3, "")
    second = await projects.page(3, first.next_page_token)
    assert [project.name for project in (*first.items, *second.items)] == ["default", "p3", "p1", "p2"]
    assert second.next_page_token == ""
