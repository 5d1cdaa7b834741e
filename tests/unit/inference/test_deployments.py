"""The use cases of deployments."""

import pytest

from chassis.db.requests import RequestIdReused
from chassis.etags import EtagMismatch
from chassis.testing import ManualClock
from headwater.names import DeploymentName, ModelName
from services.inference.batching.options import Batching
from services.inference.deployments.deployments import Deployments, Origin
from services.inference.deployments.errors import (
    DeploymentArchived,
    DeploymentNotFound,
    InvalidDeployment,
    ServedNameTaken,
)
from services.inference.deployments.memory import MemoryDeployments
from services.inference.deployments.options import Options
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.source import NoSuchVersion, Selector, SelectorKind, UnsafeModel, VersionArchived

NAME, MODEL = DeploymentName("p", "digits"), ModelName("p", "digits")
PRODUCTION, STAGING = Selector(SelectorKind.STAGE, "production"), Selector(SelectorKind.STAGE, "staging")
TESTER = Origin("tester")


@pytest.fixture
def changes() -> list[int]:
    """One entry for each change that was announced."""
    return []


@pytest.fixture
def models() -> MemoryModels:
    return MemoryModels()


@pytest.fixture
def deployments(models: MemoryModels, clock: ManualClock, changes: list[int]) -> Deployments:
    return Deployments(MemoryDeployments(), models, clock, lambda: changes.append(1))


async def test_a_retry_returns_the_first_deployment(deployments: Deployments, changes: list[int]) -> None:
    """Promise 4."""
    origin = Origin("tester", "r1", "digest")
    first = await deployments.create(NAME, MODEL, PRODUCTION, Options(), origin)
    again = await deployments.create(NAME, MODEL, PRODUCTION, Options(), origin)

    assert again == first
    assert len(changes) == 1
    with pytest.raises(RequestIdReused):
        await deployments.create(NAME, MODEL, STAGING, Options(), Origin("tester", "r1", "other digest"))


@pytest.mark.parametrize("name", ["projects/p/deployments/Digits", "projects/q/deployments/digits"])
async def test_a_name_is_served_once_whatever_its_case_and_project(deployments: Deployments, name: str) -> None:
    await deployments.create(NAME, MODEL, PRODUCTION, Options(), TESTER)
    other = DeploymentName.parse(name)
    with pytest.raises(ServedNameTaken):
        await deployments.create(other, ModelName(other.project, "m"), PRODUCTION, Options(), TESTER)


async def test_a_model_of_another_project_is_refused(deployments: Deployments) -> None:
    with pytest.raises(InvalidDeployment):
        await deployments.create(NAME, ModelName("q", "digits"), PRODUCTION, Options(), TESTER)


async def test_an_update_changes_what_is_given_and_the_etag(deployments: Deployments, clock: ManualClock) -> None:
    first = await deployments.create(NAME, MODEL, PRODUCTION, Options(Batching(8, 16)), TESTER)
    clock.advance(60)
    second = await deployments.update(NAME, first.etag, selector=STAGING)

    assert (second.selector, second.options) == (STAGING, Options(Batching(8, 16)))
    assert second.update_time > second.create_time == first.create_time
    assert second.etag != first.etag
    with pytest.raises(EtagMismatch):
        await deployments.update(NAME, first.etag, options={"batching": Batching()})
    with pytest.raises(EtagMismatch):
        await deployments.archive(NAME, first.etag)


async def test_a_version_that_is_not_there_does_not_end_what_is_served(
    deployments: Deployments, models: MemoryModels, changes: list[int]
) -> None:
    models.add(MODEL, {"m.onnx": NewFile("onnx", b"1")})
    one, two = (Selector(SelectorKind.VERSION, number) for number in "12")
    first = await deployments.create(NAME, MODEL, one, Options(), TESTER)
    for selector, told in {two: "There is no version 2 of", STAGING: "has the stage staging"}.items():
        with pytest.raises(NoSuchVersion, match=told):
            await deployments.update(NAME, "", selector=selector)
    assert (await deployments.get(NAME), len(changes)) == (first, 1)
    models.add(MODEL, {"m.onnx": NewFile("onnx", b"2")})
    assert (await deployments.update(NAME, "", selector=two)).selector == two


async def test_an_archived_name_is_free_and_its_deployment_stays_known(deployments: Deployments) -> None:
    first = await deployments.create(NAME, MODEL, PRODUCTION, Options(), TESTER)
    archived = await deployments.archive(NAME, first.etag)
    assert (await deployments.get(NAME)) == archived
    assert archived.archive_time is not None
    assert not (await deployments.page("p", 0, "")).items
    with pytest.raises(DeploymentArchived):
        await deployments.update(NAME, "", selector=STAGING)
    assert await deployments.archive(NAME, "") == archived

    second = await deployments.create(NAME, MODEL, PRODUCTION, Options(), TESTER)
    assert second.uid != first.uid
    assert second.etag != first.etag, "an etag of the archived one does not fit its successor"
    assert await deployments.get(NAME) == second


async def test_every_deployment_is_on_one_page(deployments: Deployments) -> None:
    names = [f"d{number}" for number in range(7)]
    for name in reversed(names):
        await deployments.create(DeploymentName("p", name), MODEL, PRODUCTION, Options(), TESTER)
    await deployments.create(DeploymentName("q", "other"), ModelName("q", "m"), PRODUCTION, Options(), TESTER)

    found, token = [], ""
    while True:
        page = await deployments.page("p", 3, token)
        found += [deployment.served_name for deployment in page.items]
        token = page.next_page_token
        if not token:
            break
    assert found == names


async def test_what_never_was_is_not_found(deployments: Deployments) -> None:
    with pytest.raises(DeploymentNotFound):
        await deployments.get(NAME)


async def test_what_may_not_be_served_is_refused_when_it_is_to_be_deployed(
    deployments: Deployments, models: MemoryModels
) -> None:
    """Promise 12, M-06; the first answer stays the answer of a retry."""
    safe, unsafe, archived = (models.add(MODEL, {"m.onnx": NewFile("onnx", bytes([byte]))}) for byte in range(3))
    models.mark(unsafe, problems=("m.onnx: it would call os.system",))
    models.mark(archived, archived=True)
    one, two, three = (Selector(SelectorKind.VERSION, each.name.version) for each in (safe, unsafe, archived))
    origin = Origin("tester", "r1", "digest")
    created = await deployments.create(NAME, MODEL, one, Options(), origin)

    with pytest.raises(UnsafeModel, match="it would call"):
        await deployments.update(NAME, "", selector=two)
    with pytest.raises(VersionArchived):
        await deployments.create(DeploymentName("p", "other"), MODEL, three, Options(), TESTER)
    models.mark(safe, archived=True)
    assert await deployments.create(NAME, MODEL, one, Options(), origin) == created
    assert (await deployments.get(NAME)) == created


async def test_a_registry_that_is_away_stops_no_deployment(deployments: Deployments, models: MemoryModels) -> None:
    models.away = True
    assert await deployments.create(NAME, MODEL, PRODUCTION, Options(), TESTER) == await deployments.get(NAME)
