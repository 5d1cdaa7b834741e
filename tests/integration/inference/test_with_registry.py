"""The service as it runs in production: PostgreSQL, a running registry, the stock client."""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import pytest_asyncio
from tritonclient.utils import InferenceServerException

from chassis.auth import Authenticator, Role
from chassis.embedded import EmbeddedPostgres
from chassis.testing.services import Connect, StartService, TokenFor
from headwater import rpc
from headwater.errors import Aborted, AlreadyExists
from headwater.inference.v1 import (
    deployments_pb2,
    deployments_pb2_grpc,
)
from headwater.registry.v1 import lineage_pb2, models_pb2
from tests.integration.inference.installation import NAME, Install, State, installing
from tests.integration.registry.client import DIGITS
from tests.unit.inference.waiting import eventually


@pytest_asyncio.fixture
async def install(start_service: StartService, connect: Connect, token_for: TokenFor) -> AsyncIterator[Install]:
    """See installing."""
    async with installing(start_service, connect, token_for) as start:
        yield start


async def test_a_promotion_is_served_and_traced(install: Install) -> None:
    """R-23, M-89: stage, version and digest of the answer are those of the registry."""
    world = await install()
    created = await world.create()
    assert created.state == State.STATE_WAITING
    assert (created.batching.max_batch_size, created.batching.max_queue_size) == (64, 1024)
    first = await world.promote(3)
    await world.until(State.STATE_READY, "versions/1")
    assert await world.factor() == 3

    second = await world.promote(5)
    await world.until(State.STATE_READY, "versions/2")
    answer = await world.ask()
    assert answer.as_numpy("y")[0, 0] == 5
    record = await world.record_of(answer)
    assert (record.model_version, record.model_digest) == (second.name, second.digest)
    assert second.digest != first.digest
    assert record.caller == "reader"
    assert await world.readiness() == 200


async def test_two_hundred_requests_from_sixteen_clients_are_batched_and_all_right(install: Install) -> None:
    """The main job's sixth step."""
    world = await install()
    await world.create()
    await world.promote(3)
    await world.until(State.STATE_READY)

    waiting = iter(range(200))

    async def client() -> list[int]:
        return [await check(number) for number in waiting]

    async def check(number: int) -> int:
        answer = await world.ask(number)
        assert (answer.as_numpy("y") == number * 3).all()
        return (await world.record_of(answer)).batch_size

    sizes = [size for each in await asyncio.gather(*(client() for _ in range(16))) for size in each]
    assert len(sizes) == 200
    assert max(sizes) > 1


async def test_a_registry_that_is_gone_stops_nothing_and_readiness_says_so(install: Install) -> None:
    """Promise 11."""
    world = await install()
    await world.create()
    await world.promote(3)
    await world.until(State.STATE_READY)
    await world.registry.stop()

    async def not_ready() -> bool:
        return await world.readiness() == 503

    await eventually(not_ready, 20)
    assert await world.factor() == 3
    assert await world.triton.is_server_live(headers=world.headers)
    assert await world.triton.is_server_ready(headers=world.headers)
    assert await world.triton.is_model_ready("digits", headers=world.headers)


async def test_a_database_that_is_gone_loses_no_record(
    install: Install, start_postgres: Callable[[], EmbeddedPostgres]
) -> None:
    """Promises 1, 8 and 11: answers go on until the buffer is full; every answer's record is there afterwards."""
    postgres = start_postgres()
    world = await install(database_url=postgres.url, record_buffer_size=50)
    await world.create()
    await world.promote(3)
    await world.until(State.STATE_READY)
    port = postgres.port
    await asyncio.to_thread(postgres.stop)

    answers = [await world.ask() for _ in range(50)]

    async def refused() -> bool:
        try:
            answers.append(await world.ask())
        except InferenceServerException as error:
            return "RESOURCE_EXHAUSTED" in str(error.status())
        return False

    await eventually(refused)
    assert await world.readiness() == 503
    assert not await world.triton.is_server_ready(headers=world.headers)
    assert (await world.record_of(answers[0])).row_count == 1, "from the buffer"

    await asyncio.to_thread(postgres.start, port)

    async def ready() -> bool:
        return await world.readiness() == 200

    await eventually(ready, 30)
    for answer in [*answers, await world.ask()]:
        assert (await world.record_of(answer)).request_digest.startswith("sha256:")
    listed = await world.records.ListInferenceRecords(
        deployments_pb2.ListInferenceRecordsRequest(parent="projects/default", page_size=1000)
    )
    assert len(listed.inference_records) == len(answers) + 1


async def test_a_deployment_outlives_the_process(install: Install) -> None:
    world = await install()
    await world.create()
    await world.promote(3)
    await world.until(State.STATE_READY)
    answer = await world.ask()
    await world.inference.stop()

    again = await install()
    await eventually(lambda: again.triton.is_model_ready("digits", headers=again.headers))
    assert await again.factor() == 3
    assert (await again.record_of(answer)).model_version.endswith("versions/1")


async def test_a_retry_creates_once(install: Install) -> None:
    """Promise 4."""
    world = await install()
    first, second = await world.create(), await world.create()
    assert first.uid == second.uid
    with pytest.raises(AlreadyExists, match="used before with another body") as reused:
        await world.create(alias="champion")
    assert reused.value.reason == "REQUEST_ID_REUSED"


async def test_a_deployment_is_changed_and_archived(install: Install) -> None:
    world = await install()
    deployment = await world.create()
    await world.promote(3)
    second = await world.promote(5)
    change = deployments_pb2.Deployment(
        name=NAME, version="1", batching=deployments_pb2.Batching(max_batch_size=1), etag=deployment.etag
    )
    request = deployments_pb2.UpdateDeploymentRequest(deployment=change)
    request.update_mask.paths.append("selector")
    changed = await world.deployments.UpdateDeployment(request)
    assert (changed.version, changed.batching.max_batch_size) == ("1", 64)
    with pytest.raises(Aborted, match="read it again"):
        await world.deployments.UpdateDeployment(request)
    await world.until(State.STATE_READY, "versions/1")
    assert await world.factor() == 3
    assert second.version == "2"

    archived = await world.deployments.ArchiveDeployment(deployments_pb2.ArchiveDeploymentRequest(name=NAME))
    assert archived.state == State.STATE_ARCHIVED
    assert (await world.state()) == State.STATE_ARCHIVED

    async def gone() -> bool:
        return await world.triton.is_model_ready("digits", headers=world.headers) is False

    await eventually(gone)
    listed = await world.deployments.ListDeployments(deployments_pb2.ListDeploymentsRequest(parent="projects/default"))
    assert not listed.deployments


async def test_a_registry_that_refuses_us_is_told_of(install: Install, tmp_path: Path) -> None:
    """Two installations with different keys: nothing can be served, and the deployment says why."""
    other_key = tmp_path / "other.key"
    other_key.touch(mode=0o600)
    other_key.write_text(secrets.token_hex(32))
    world = await install(auth_key_file=str(other_key))
    token = Authenticator.from_key_file(other_key).mint("tester", [Role.ADMIN], 3600)
    async with rpc.aio_channel(world.inference.address, token=token) as channel:
        mine = dataclasses.replace(world, deployments=deployments_pb2_grpc.DeploymentServiceStub(channel))
        await mine.create()
        await mine.until(State.STATE_FAILED)
        assert "Valid credentials are needed" in (await mine.get()).failure


async def test_a_renamed_model_goes_on_being_served(install: Install) -> None:
    """M-08: what refers to a model follows it, also when its old name is given to another one."""
    world = await install()
    await world.create()
    await world.promote(2)
    await world.until(State.STATE_READY, "digits/versions/1")
    await world.models.models.RenameModel(models_pb2.RenameModelRequest(name=DIGITS, model_id="numbers"))
    await world.promote(7)  # of a new model of the old name
    await world.until(State.STATE_READY, "numbers/versions/1")
    assert (await world.get()).model == "projects/default/models/numbers"
    assert await world.factor() == 2


async def test_the_registry_knows_what_serves_a_version_and_what_served_it(install: Install) -> None:
    """R-25: what is to be looked at before a version is taken out of use, though the registry was away meanwhile."""
    world = await install()
    lineage = world.models.lineage

    async def impact(name: str) -> lineage_pb2.Impact:
        return await lineage.GetImpact(lineage_pb2.GetImpactRequest(name=name))

    async def settled(name: str, deployments: Sequence[str], serving: Sequence[str]) -> None:
        async def known() -> bool:
            found = await impact(name)
            told = [each for kind in found.dependents for each in kind.names]
            return (told, list(found.serving_deployments)) == (list(deployments), list(serving))

        await eventually(known, 20)

    first = await world.promote(3)
    assert (await impact(first.name)).summary == "nothing depends on it"
    await world.create()
    await settled(first.name, [NAME], [NAME])
    assert (await impact(DIGITS)).summary == "1 deployment depends on it"

    second = await world.promote(5)
    await settled(second.name, [NAME], [NAME])
    await settled(first.name, [NAME], [])
    assert (await impact(DIGITS)).summary == "1 deployment depends on it", "it is counted once"

    await world.models.models.RenameModel(models_pb2.RenameModelRequest(name=DIGITS, model_id="numbers"))
    renamed = second.name.replace("digits", "numbers")
    await settled(renamed, [NAME], [NAME])
    await world.deployments.ArchiveDeployment(deployments_pb2.ArchiveDeploymentRequest(name=NAME))
    await settled(renamed, [NAME], [])
    graph = await lineage.GetLineage(lineage_pb2.GetLineageRequest(name=NAME))
    assert graph.artifacts[0].deployment.HasField("end_time")
    assert {each.first_name for each in graph.connections} == {renamed, first.name.replace("digits", "numbers")}


async def test_what_began_while_the_registry_was_away_is_told_when_it_is_back(install: Install) -> None:
    """R-25, promise 11."""
    world = await install()
    await world.create()
    version = await world.promote(3)
    await world.until(State.STATE_READY)
    await world.registry.stop()
    await world.deployments.ArchiveDeployment(deployments_pb2.ArchiveDeploymentRequest(name=NAME))
    await world.inference.stop()

    again = await install()

    async def told() -> bool:
        found = await again.models.lineage.GetImpact(lineage_pb2.GetImpactRequest(name=version.name))
        graph = await again.models.lineage.GetLineage(lineage_pb2.GetLineageRequest(name=NAME))
        ended = any(each.deployment.HasField("end_time") for each in graph.artifacts)
        return ended and not found.serving_deployments and found.summary == "1 deployment depends on it"

    await eventually(told, 20)
