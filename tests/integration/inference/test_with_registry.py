"""The service as it runs in production: PostgreSQL, a running registry, the stock client."""

import asyncio
import dataclasses
import functools
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc.aio
import httpx
import numpy as np
import pytest
import pytest_asyncio
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from chassis import Service
from chassis.auth import Authenticator, Role
from chassis.embedded import EmbeddedPostgres
from chassis.testing.services import Connect, StartService, TokenFor
from headwater import rpc
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import Aborted, AlreadyExists
from headwater.inference.v1 import (
    deployments_pb2,
    deployments_pb2_grpc,
    guard_pb2,
    incidents_pb2,
    incidents_pb2_grpc,
    rollouts_pb2,
    rollouts_pb2_grpc,
    routing_pb2,
)
from headwater.registry.v1 import lineage_pb2, models_pb2
from services.inference.__main__ import build
from services.inference.settings import Settings
from services.registry.__main__ import build as build_registry
from services.registry.settings import Settings as RegistrySettings
from tests.integration.registry.client import DIGITS, Client
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

Stage = artifact_pb2.ModelMetadata.Stage
State = deployments_pb2.Deployment.State
NAME = "projects/default/deployments/digits"


@dataclasses.dataclass(frozen=True, slots=True)
class Installation:
    """A registry, an inference service and clients of both."""

    registry: Service
    inference: Service
    models: Client
    deployments: "deployments_pb2_grpc.DeploymentServiceAsyncStub"
    records: "deployments_pb2_grpc.InferenceRecordServiceAsyncStub"
    rollouts: "rollouts_pb2_grpc.RolloutServiceAsyncStub"
    channel: grpc.aio.Channel
    triton: Any
    headers: dict[str, str]

    async def promote(self, factor: float) -> artifact_pb2.ModelMetadata:
        """Register a version that multiplies by ``factor`` and move it to production."""
        return await self.promote_file(onnx_models.scaled(factor))

    async def promote_file(self, content: bytes) -> artifact_pb2.ModelMetadata:
        """Register an ONNX file as a version and move it to production."""
        version = await self.models.register(content, "model.onnx")
        move = models_pb2.SetModelVersionStageRequest(name=version.name, stage=Stage.STAGE_PRODUCTION)
        return await self.models.models.SetModelVersionStage(move)

    async def create(self, **fields: Any) -> deployments_pb2.Deployment:
        """Deploy ``digits`` by its production stage, unless told otherwise."""
        deployment = deployments_pb2.Deployment(model=DIGITS, **(fields or {"stage": Stage.STAGE_PRODUCTION}))
        request = deployments_pb2.CreateDeploymentRequest(
            parent="projects/default", deployment_id="digits", deployment=deployment, request_id="r1"
        )
        return await self.deployments.CreateDeployment(request)

    async def get(self) -> deployments_pb2.Deployment:
        return await self.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))

    async def state(self) -> int:
        return int((await self.get()).state)

    async def until(self, state: int, version: str = "") -> None:
        """Wait until the deployment is in this state, with this version."""

        async def there() -> bool:
            deployment = await self.get()
            return bool(deployment.state == state and deployment.model_version.endswith(version))

        await eventually(there, 20)

    async def ask(self, value: float = 1) -> Any:
        values = np.full((1, 4), value, np.float32)
        given = triton.InferInput("x", [1, 4], "FP32")
        given.set_data_from_numpy(values)
        return await self.triton.infer("digits", [given], headers=self.headers)

    async def factor(self) -> float:
        return float((await self.ask()).as_numpy("y")[0, 0])

    async def record_of(self, answer: Any) -> deployments_pb2.InferenceRecord:
        request_id = answer.get_response().parameters["headwater_request_id"].string_param
        name = f"projects/default/inferenceRecords/{request_id}"
        return await self.records.GetInferenceRecord(deployments_pb2.GetInferenceRecordRequest(name=name))

    async def readiness(self) -> int:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.inference.admin_port}") as http:
            return int((await http.get("/ok/ready")).status_code)


class Install(Protocol):
    async def __call__(self, **overrides: Any) -> Installation: ...


@pytest_asyncio.fixture
async def install(start_service: StartService, connect: Connect, token_for: TokenFor) -> AsyncIterator[Install]:
    """Starts a registry and an inference service; ``overrides`` are settings of the latter."""
    clients = []

    async def start(**overrides: Any) -> Installation:
        registry = await start_service(build_registry, RegistrySettings, redis_url="", log_level="ERROR")
        settings = {"registry_address": registry.address, "resolve_interval_s": 0.05, "check_interval_s": 0.1}
        inference = await start_service(build, Settings, redis_url="", **{**settings, **overrides})
        clients.append(triton.InferenceServerClient(inference.address))
        channel = connect(inference.address)
        return Installation(
            registry,
            inference,
            Client.on(connect(registry.address)),
            deployments_pb2_grpc.DeploymentServiceStub(channel),
            deployments_pb2_grpc.InferenceRecordServiceStub(channel),
            rollouts_pb2_grpc.RolloutServiceStub(channel),
            channel,
            clients[-1],
            {"authorization": f"Bearer {token_for(Role.READER, subject='reader')}"},
        )

    yield start
    for client in clients:
        await client.close()


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


async def test_a_rollout_goes_on_in_the_next_process_and_replicas_decide_it_once(install: Install) -> None:
    """M-104: its state is in the database. One of two replicas makes each step, whoever of them has seen enough."""
    world = await install()
    await world.create()
    await world.promote(3)
    await world.until(State.STATE_READY, "versions/1")
    await world.models.register(onnx_models.scaled(5), "model.onnx")
    step = rollouts_pb2.RolloutStep
    plan = rollouts_pb2.RolloutPlan(
        steps=[step(weight_percent=50, min_requests=4), step(weight_percent=90, min_requests=4)]
    )
    started = await world.rollouts.StartRollout(
        rollouts_pb2.StartRolloutRequest(parent=NAME, candidate=routing_pb2.Variant(version="2"), plan=plan)
    )
    await world.inference.stop()

    replicas = [await install(), await install()]
    for replica in replicas:
        await eventually(functools.partial(replica.triton.is_model_ready, "digits", headers=replica.headers), 20)
    wanted = rollouts_pb2.GetRolloutRequest(name=started.name)

    async def done() -> bool:
        await asyncio.gather(*(replica.ask() for replica in replicas))
        return bool((await replicas[0].rollouts.GetRollout(wanted)).state == rollouts_pb2.Rollout.STATE_SUCCEEDED)

    await eventually(done, 20)
    for replica in replicas:
        await replica.until(State.STATE_READY, "versions/2")
        assert {await replica.factor() for _ in range(5)} == {5}
    events = (await replicas[1].rollouts.GetRollout(wanted)).events
    assert [event.step for event in events] == [0, 1, 1]
    assert all(event.evidence.request_count >= 4 for event in events[1:])


async def test_a_failing_promotion_is_taken_back_for_all_processes_and_its_incidents_are_kept(install: Install) -> None:
    """N-10, M-105, P-40: what is set aside, and why, is in the database; one of two replicas decides."""
    breaker = guard_pb2.CircuitBreaker(consecutive_failures=3, open_ms=60_000)
    replicas = [await install(), await install()]
    world = replicas[0]
    await world.create(stage=Stage.STAGE_PRODUCTION, guard=guard_pb2.Guard(breaker=breaker))
    await world.promote_file(onnx_models.table_lookup(1000))
    for replica in replicas:
        await replica.until(State.STATE_READY, "versions/1")
        assert await _look_up(replica, 100) == "1"
    await world.promote_file(onnx_models.table_lookup(8))
    for replica in replicas:
        await replica.until(State.STATE_READY, "versions/2")

    async def fails_no_longer() -> bool:
        return {await _look_up(replica, 100) for replica in replicas} == {"1"}

    await eventually(fails_no_longer, 20)
    for replica in replicas:
        await replica.until(State.STATE_ROLLED_BACK, "versions/1")
        await replica.inference.stop()

    again = await install()
    await again.until(State.STATE_ROLLED_BACK, "versions/1")
    assert await _look_up(again, 100) == "1"
    incidents = incidents_pb2_grpc.IncidentServiceStub(again.channel)
    listed = await incidents.ListIncidents(incidents_pb2.ListIncidentsRequest(parent="projects/default"))
    kinds = [each.kind for each in listed.incidents]
    assert kinds.count(incidents_pb2.Incident.KIND_ROLLED_BACK) == 1
    assert kinds.count(incidents_pb2.Incident.KIND_BREAKER_OPENED) in (1, 2)
    newest = await incidents.GetIncident(incidents_pb2.GetIncidentRequest(name=listed.incidents[0].name))
    assert newest.requests
    assert newest.timeline

    await world.models.models.SetModelVersionStage(
        models_pb2.SetModelVersionStageRequest(name=f"{DIGITS}/versions/1", stage=Stage.STAGE_PRODUCTION)
    )
    await again.until(State.STATE_READY, "versions/1")


async def _look_up(world: Installation, index: int) -> str:
    """The version that answers; empty where none does."""
    given = triton.InferInput("x", [1], "INT64")
    given.set_data_from_numpy(np.array([index], np.int64))
    try:
        answer = await world.triton.infer("digits", [given], headers=world.headers)
    except InferenceServerException:
        return ""
    return str(answer.get_response().model_version)
