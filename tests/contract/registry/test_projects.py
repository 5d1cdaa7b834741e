"""Projects, over every store."""

import json
from collections.abc import Awaitable, Callable

import pytest

from chassis.db.requests import RequestIdReused
from chassis.testing import ManualClock
from headwater.names import ExperimentName, ModelName, ProjectName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.experiments.experiments import Experiments
from services.registry.experiments.model import About as ExperimentAbout
from services.registry.lineage.openlineage.importing import OpenLineage
from services.registry.logged_models.logged_models import LoggedModels
from services.registry.logged_models.model import NewLoggedModel
from services.registry.models.model import About, Comparison, NewObjective, Stage
from services.registry.models.models import Models
from services.registry.moves.model import Why
from services.registry.moves.resolving import Resolver
from services.registry.moves.stages import Stages
from services.registry.origin import Origin
from services.registry.projects.errors import DefaultProject, ProjectAlreadyExists, ProjectArchived, ProjectNotFound
from services.registry.projects.lifecycle import Lifecycle
from services.registry.projects.model import NewProject
from services.registry.projects.projects import Projects
from services.registry.runs.model import RunState
from services.registry.runs.runs import Runs
from services.registry.states import State, TransitionNotAllowed
from services.registry.store import Store
from services.registry.uploads.model import NewUpload
from services.registry.uploads.uploads import Uploads
from services.registry.versions.versions import Versions
from tests.contract.registry.builders import a_run, metrics, upload, version_of

_A_RUN = json.dumps(
    {
        "eventType": "START",
        "eventTime": "2026-01-31T12:00:00Z",
        "producer": "https://example.com/etl",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": "01900000-0000-7000-8000-0000000000aa"},
        "job": {"namespace": "etl", "name": "nightly"},
    }
)


@pytest.fixture
def openlineage(store: Store, clock: ManualClock) -> OpenLineage:
    """Takes in what others tell of lineage."""
    return OpenLineage(store, clock)


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


async def test_a_page_of_projects_ends_early_where_much_is_said_of_them(
    projects: Projects, me: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promise 8."""
    monkeypatch.setattr("services.registry.pages.MAX_PAGE_WEIGHT", 1000)
    for name in ("a", "b"):
        await projects.create(NewProject(name, "", "x" * 32_768, {"note": "y" * 32_768}), me)
    first = await projects.page(10, "")
    rest = await projects.page(10, first.next_page_token)
    assert [[project.name for project in page.items] for page in (first, rest)] == [["default"], ["a"]]


async def test_nothing_new_begins_in_an_archived_project(
    projects: Projects,
    project_lifecycle: Lifecycle,
    experiments: Experiments,
    runs: Runs,
    logged_models: LoggedModels,
    artifacts: Artifacts,
    uploads: Uploads,
    models: Models,
    versions: Versions,
    openlineage: OpenLineage,
    me: Origin,
) -> None:
    """M-06, M-08: also no version of a model that is there, and no run of which OpenLineage tells."""
    vision = ProjectName("vision")
    digits, numbers = ModelName("vision", "digits"), ModelName("vision", "numbers")
    await projects.create(_named("vision"), me)
    weights = version_of({"weights.bin": await upload(artifacts, b"weights", me, vision)})
    await versions.create(digits, weights, me)
    await project_lifecycle.archive(vision, me)

    bound = NewObjective("accurate", Stage.PRODUCTION, "accuracy", Comparison.AT_LEAST, 0.9)
    tried: list[Callable[[], Awaitable[object]]] = [
        lambda: experiments.create(ExperimentName("vision", "first"), ExperimentAbout(), me),
        lambda: runs.create(vision, a_run(), me),
        lambda: logged_models.create(vision, NewLoggedModel("", "", "", "", {}, {}), me),
        lambda: upload(artifacts, b"other", me, vision),
        lambda: uploads.create(vision, NewUpload("a.bin", "", 0), me),
        lambda: models.create(numbers, About(), me),
        lambda: models.add_objective(digits, bound, me),
        lambda: models.add_objective(numbers, bound, me),
        lambda: versions.create(digits, weights, me),
        lambda: versions.create(numbers, weights, me),
        lambda: openlineage.take_in(vision, [_A_RUN], me),
    ]
    for begin in tried:
        with pytest.raises(ProjectArchived):
            await begin()

    await project_lifecycle.reactivate(vision, me)
    for begin in tried:
        await begin()


async def test_what_is_in_an_archived_project_is_read_and_ends_as_before(
    projects: Projects,
    project_lifecycle: Lifecycle,
    runs: Runs,
    artifacts: Artifacts,
    versions: Versions,
    stages: Stages,
    resolver: Resolver,
    me: Origin,
) -> None:
    """M-04, M-06: a run that is under way still tells what it measured; who serves production goes on."""
    vision, digits = ProjectName("vision"), ModelName("vision", "digits")
    origin = Origin("tester", "CreateRun", "request-1", "digest-1")
    await projects.create(_named("vision"), me)
    run = await runs.create(vision, a_run(), origin)
    await versions.create(digits, version_of({"w.bin": await upload(artifacts, b"weights", me, vision)}), me)
    await stages.move(digits, 1, Stage.PRODUCTION, etag="", why=Why(), origin=me)

    archived = await project_lifecycle.archive(vision, me)
    assert archived == await projects.get(vision)
    assert archived.state is State.ARCHIVED
    assert await runs.create(vision, a_run(), origin) == run  # a retry of what began before
    await runs.log(run.name, metrics(loss=0.5), {}, me)
    assert (await runs.finish(run.name, RunState.SUCCEEDED, "", me)).state is RunState.SUCCEEDED
    assert (await resolver.now(digits, Stage.PRODUCTION)).version == 1
    assert len((await versions.page(vision, 10, "")).items) == 1


async def test_an_archived_project_keeps_its_name_and_is_listed_only_when_asked_for(
    projects: Projects, project_lifecycle: Lifecycle, me: Origin
) -> None:
    """M-06, M-08: other services call what they keep by it, so that nobody else can have it."""
    await projects.create(_named("vision"), me)
    await project_lifecycle.archive(ProjectName("vision"), me)
    assert [project.name for project in (await projects.page(10, "")).items] == ["default"]
    listed = (await projects.page(10, "", show_inactive=True)).items
    assert [(project.name, project.state) for project in listed] == [
        ("default", State.ACTIVE),
        ("vision", State.ARCHIVED),
    ]
    with pytest.raises(ProjectAlreadyExists):
        await projects.create(_named("Vision"), me)


async def test_a_project_is_archived_and_reactivated_once_and_the_default_one_never(
    projects: Projects, project_lifecycle: Lifecycle, me: Origin
) -> None:
    vision = ProjectName("vision")
    await projects.create(_named("vision"), me)
    with pytest.raises(TransitionNotAllowed):
        await project_lifecycle.reactivate(vision, me)
    await project_lifecycle.archive(vision, me)
    with pytest.raises(TransitionNotAllowed):
        await project_lifecycle.archive(vision, me)
    with pytest.raises(DefaultProject):
        await project_lifecycle.archive(ProjectName("default"), me)
    for change in (project_lifecycle.archive, project_lifecycle.reactivate):
        with pytest.raises(ProjectNotFound):
            await change(ProjectName("nobody"), me)


async def test_projects_are_listed_oldest_first_page_by_page(projects: Projects, me: Origin) -> None:
    for number in (3, 1, 2):
        await projects.create(_named(f"p{number}"), me)
    first = await projects.page(3, "")
    second = await projects.page(3, first.next_page_token)
    assert [project.name for project in (*first.items, *second.items)] == ["default", "p3", "p1", "p2"]
    assert second.next_page_token == ""
