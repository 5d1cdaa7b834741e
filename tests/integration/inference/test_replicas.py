"""Several processes of the service over one database: what is decided is decided once, and outlives them."""

import asyncio
import functools
from collections.abc import AsyncIterator

import numpy as np
import pytest_asyncio
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from chassis.testing.services import Connect, StartService, TokenFor
from headwater.inference.v1 import (
    guard_pb2,
    incidents_pb2,
    incidents_pb2_grpc,
    rollouts_pb2,
    routing_pb2,
)
from headwater.registry.v1 import models_pb2
from tests.integration.inference.installation import NAME, Install, Installation, Stage, State, installing
from tests.integration.registry.client import DIGITS
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually


@pytest_asyncio.fixture
async def install(start_service: StartService, connect: Connect, token_for: TokenFor) -> AsyncIterator[Install]:
    """See installing."""
    async with installing(start_service, connect, token_for) as start:
        yield start


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
