"""Rollouts in a running service: a version takes over by steps, or goes back by itself."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc.aio as triton

from chassis.auth import Role
from chassis.testing.services import TokenFor
from headwater import cli
from headwater.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from headwater.inference.v1 import (
    deployments_pb2,
    incidents_pb2,
    incidents_pb2_grpc,
    rollouts_pb2,
    rollouts_pb2_grpc,
    routing_pb2,
)
from headwater.inference.v1.rollouts_pb2 import Rollout, RolloutObjectives
from headwater.inference.v1.rollouts_pb2 import RolloutEvent as Kind
from headwater.inference.v1.rollouts_pb2 import RolloutStep as Step
from tests.integration.inference.conftest import Running
from tests.integration.inference.test_ab import NAME, add, ask, factor, route, serve, traffic
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually


def stub(running: Running) -> "rollouts_pb2_grpc.RolloutServiceAsyncStub":
    return rollouts_pb2_grpc.RolloutServiceStub(running.admin)


def step(weight: float, requests: int = 5, seconds: float = 0) -> Step:
    return Step(weight_percent=weight, min_requests=requests, min_seconds=seconds)


async def start(
    running: Running, *steps: Step, version: str = "2", request_id: str = "", shadow: float = 0, **objectives: float
) -> Rollout:
    plan = rollouts_pb2.RolloutPlan(steps=steps, objectives=RolloutObjectives(**objectives), shadow_percent=shadow)
    request = rollouts_pb2.StartRolloutRequest(
        parent=NAME, candidate=routing_pb2.Variant(version=version), plan=plan, request_id=request_id
    )
    return await stub(running).StartRollout(request)


async def get(running: Running, rollout: Rollout) -> Rollout:
    return await stub(running).GetRollout(rollouts_pb2.GetRolloutRequest(name=rollout.name))


async def until(running: Running, rollout: Rollout, state: int, at: int | None = None) -> Rollout:
    async def there() -> bool:
        now = await get(running, rollout)
        return now.state == state and at in (None, now.step)

    await eventually(there)
    return await get(running, rollout)


@contextlib.asynccontextmanager
async def clients(running: Running, ask_one: Any = ask, count: int = 4) -> AsyncIterator[list[Any]]:
    """Ask without a pause meanwhile; every answer is there afterwards, and a failure is raised."""
    stopping, answers = asyncio.Event(), []

    async def client() -> None:
        while not stopping.is_set():
            answers.append(await ask_one(running))

    tasks = [asyncio.create_task(client()) for _ in range(count)]
    try:
        yield answers
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def serves(running: Running, version: str) -> bool:
    main = (await traffic(running)).targets[0]
    return main.model_version.endswith(f"/{version}")


async def test_a_version_takes_over_by_steps_and_no_request_is_lost(running: Running) -> None:
    """M-104: each step and what was measured in it is recorded; afterwards the version is the deployment's own."""
    await serve(running, 3, 5)
    rollout = await start(running, step(20), step(60), max_error_rate=0.0, max_p99_ms=10_000)
    assert (rollout.state, rollout.weight_percent, rollout.plan.version) == (Rollout.STATE_RUNNING, 20, "2")
    async with clients(running) as answers:
        done = await until(running, rollout, Rollout.STATE_SUCCEEDED)
        await eventually(lambda: serves(running, "2"))
        seen = len(answers)
        await eventually(lambda: len(answers) > seen + 20)
    assert {factor(answer) for answer in answers} == {3, 5}
    assert {factor(answer) for answer in answers[seen + 8 :]} == {5}, "nobody goes back to the version before"

    kinds = [event.kind for event in done.events]
    assert kinds == [Kind.KIND_STARTED, Kind.KIND_ADVANCED, Kind.KIND_SUCCEEDED]
    assert [event.weight_percent for event in done.events] == [20, 60, 0]
    for event in done.events[1:]:
        assert event.evidence.request_count >= 5
        assert event.evidence.error_count == 0
        assert event.evidence.p99_ms > 0
        assert event.reason.startswith("0 of ")
    deployment = await running.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))
    assert (deployment.version, deployment.model_version.rsplit("/")[-1]) == ("2", "2")
    assert not deployment.routing.variants
    listed = await stub(running).ListRollouts(rollouts_pb2.ListRolloutsRequest(parent=NAME))
    assert [each.name for each in listed.rollouts] == [rollout.name]


async def test_a_version_that_fails_goes_back_by_itself_and_its_users_do_not_notice(running: Running) -> None:
    """N-10, P-40: the main version stands in for it, and the trip is an incident."""
    await running.serve("digits", onnx_models.table_lookup(8))
    add(running, onnx_models.table_lookup(2))

    async def look_up(running: Running) -> float:
        given = triton.InferInput("x", [1], "INT64")
        given.set_data_from_numpy(np.array([5]))
        return float((await running.client.infer("digits", [given], headers=running.headers)).as_numpy("y")[0])

    rollout = await start(running, step(50, 20), max_error_rate=0.1)
    async with clients(running, look_up) as answers:
        done = await until(running, rollout, Rollout.STATE_ROLLED_BACK)
        seen = len(answers)
        await eventually(lambda: len(answers) > seen + 20)
    assert set(answers) == {105}
    last = done.events[-1]
    assert last.kind == Kind.KIND_ROLLED_BACK
    assert "requests failed" in last.reason
    assert last.evidence.errors["ENGINE_FAILED"] >= 3
    assert last.evidence.error_count == last.evidence.request_count
    assert (done.weight_percent, done.waits_for) == (0, "")
    assert [target.name for target in (await traffic(running)).targets] == ["main"]
    incidents = await incidents_pb2_grpc.IncidentServiceStub(running.admin).ListIncidents(
        incidents_pb2.ListIncidentsRequest(parent="projects/default")
    )
    assert last.reason in {incident.reason for incident in incidents.incidents}


async def test_a_version_that_answers_otherwise_goes_back_before_anybody_gets_its_answers(running: Running) -> None:
    """N-10: its first step are copies alone."""
    await serve(running, 3, -3)
    rollout = await start(running, step(0, 10), step(50), min_agreement=0.9)
    assert rollout.plan.shadow_percent == 100
    async with clients(running, ask_counting) as answers:
        done = await until(running, rollout, Rollout.STATE_ROLLED_BACK)
    assert {factor(answer) for answer in answers} == {3}
    assert "answers agree with the main version's" in done.events[-1].reason
    assert done.events[-1].evidence.largest_difference > 0


async def test_a_version_that_answers_the_same_comes_through_its_copies(running: Running) -> None:
    await serve(running, 3, 6)
    rollout = await start(running, step(0, 10), step(30), min_agreement=0.9)
    async with clients(running, ask_counting):
        done = await until(running, rollout, Rollout.STATE_SUCCEEDED)
    first = done.events[1].evidence
    assert (first.request_count, first.agreed_count) == (0, first.compared_count)
    assert first.compared_count >= 10


async def ask_counting(running: Running) -> Any:
    """A row whose largest entry is the last."""
    given = triton.InferInput("x", [1, 4], "FP32")
    given.set_data_from_numpy(np.array([[1, 2, 3, 4]], np.float32))
    return await running.client.infer("digits", [given], headers=running.headers)


async def test_a_rollout_is_paused_resumed_promoted_and_aborted(running: Running) -> None:
    await serve(running, 3, 5, 7)
    rollouts = stub(running)
    first = await start(running, step(10, 0, 3600), step(50))
    with pytest.raises(FailedPrecondition) as active:
        await start(running, step(10), version="3")
    assert active.value.reason == "ROLLOUT_ACTIVE"
    paused = await rollouts.PauseRollout(rollouts_pb2.PauseRolloutRequest(name=first.name, etag=first.etag))
    assert (paused.state, paused.weight_percent, paused.events[-1].actor) == (Rollout.STATE_PAUSED, 10, "tester")
    with pytest.raises(Aborted):
        await rollouts.ResumeRollout(rollouts_pb2.ResumeRolloutRequest(name=first.name, etag=first.etag))
    with pytest.raises(FailedPrecondition, match="The rollout is paused"):
        await rollouts.PauseRollout(rollouts_pb2.PauseRolloutRequest(name=first.name))
    resumed = await rollouts.ResumeRollout(rollouts_pb2.ResumeRolloutRequest(name=first.name, etag=paused.etag))
    assert resumed.state == Rollout.STATE_RUNNING

    async def waits() -> bool:
        return bool((await get(running, first)).waits_for.endswith(" s"))

    await eventually(waits)
    promoted = await rollouts.PromoteRollout(rollouts_pb2.PromoteRolloutRequest(name=first.name))
    assert promoted.state == Rollout.STATE_SUCCEEDED
    await eventually(lambda: serves(running, "2"))
    with pytest.raises(FailedPrecondition, match="The rollout has succeeded") as over:
        await rollouts.AbortRollout(rollouts_pb2.AbortRolloutRequest(name=first.name))
    assert over.value.reason == "ROLLOUT_OVER"

    second = await start(running, step(10, 0, 3600), version="3")
    aborted = await rollouts.AbortRollout(rollouts_pb2.AbortRolloutRequest(name=second.name))
    assert (aborted.state, aborted.weight_percent) == (Rollout.STATE_ABORTED, 0)
    await eventually(lambda: alone(running))
    assert {factor(await ask(running)) for _ in range(20)} == {5}

    third = await start(running, step(10, 0, 3600), version="3", request_id="again")
    assert (await start(running, step(10, 0, 3600), version="3", request_id="again")).name == third.name
    await running.deployments.ArchiveDeployment(deployments_pb2.ArchiveDeploymentRequest(name=NAME))
    ended = await get(running, third)
    assert (ended.state, ended.events[-1].reason) == (Rollout.STATE_ABORTED, "the deployment was archived")


async def alone(running: Running) -> bool:
    return [target.name for target in (await traffic(running)).targets] == ["main"]


async def test_a_rollout_that_makes_no_sense_is_refused(running: Running) -> None:
    await serve(running, 3, 5)
    await route(running, routing_pb2.Variant(name="b", version="2", weight_percent=50))
    cases: list[tuple[Any, str]] = [
        (start(running, step(60)), "A step wants 60 percent; the other variants leave 50"),
        (start(running, step(10), step(10)), "a larger share than the one before"),
        (start(running, step(10, 0, 0)), "A step must last"),
        (start(running, step(100), min_agreement=1), "no step can take all requests"),
        (start(running, step(10), version="1"), "is what the deployment serves already"),
        (start(running, step(10), max_error_rate=1.5), "max_error_rate"),
        (start(running, step(10), version="x"), "must look like 3"),
        (start(running, step(float("nan"))), "weight_percent"),
    ]
    for asked, told in cases:
        with pytest.raises(InvalidArgument, match=told):
            await asked
    with pytest.raises(NotFound, match="There is no version 9 of projects/default/models/digits"):
        await start(running, step(10), version="9")
    with pytest.raises(InvalidArgument, match="says which version, and nothing else"):
        await stub(running).StartRollout(
            rollouts_pb2.StartRolloutRequest(parent=NAME, candidate=routing_pb2.Variant(name="x", version="2"))
        )
    with pytest.raises(NotFound) as missing:
        await stub(running).GetRollout(rollouts_pb2.GetRolloutRequest(name=f"{NAME}/rollouts/x"))
    assert missing.value.reason == "ROLLOUT_NOT_FOUND"


async def test_a_version_whose_breaker_opens_goes_back_though_it_gets_no_more_requests(running: Running) -> None:
    """The breaker would keep away the requests that the objective waits for."""
    await running.serve("digits", onnx_models.table_lookup(8))
    add(running, onnx_models.table_lookup(2))

    async def look_up(running: Running) -> Any:
        given = triton.InferInput("x", [1], "INT64")
        given.set_data_from_numpy(np.array([5]))
        return await running.client.infer("digits", [given], headers=running.headers)

    rollout = await start(running, step(50, 100_000), max_error_rate=0.5)
    async with clients(running, look_up):
        done = await until(running, rollout, Rollout.STATE_ROLLED_BACK)
    assert done.events[-1].reason == "its circuit breaker has opened"
    assert done.events[-1].evidence.errors["ENGINE_FAILED"] >= 5


async def test_a_version_with_other_inputs_goes_back_and_nobody_is_told_that_his_are_wrong(running: Running) -> None:
    await running.serve("digits", onnx_models.scaled(3))
    add(running, onnx_models.scaled(5, columns=6))
    rollout = await start(running, step(50, 100_000), max_error_rate=0.5)
    async with clients(running) as answers:
        done = await until(running, rollout, Rollout.STATE_ROLLED_BACK)
        seen = len(answers)
        await eventually(lambda: len(answers) > seen + 5)
    assert {factor(answer) for answer in answers} == {3}
    assert done.events[-1].reason == "its inputs and outputs are not those of the main version"


async def test_a_version_that_cannot_be_loaded_goes_back_and_says_why(running: Running) -> None:
    await running.serve("digits", onnx_models.scaled(3))
    add(running, b"no model")
    rollout = await start(running, step(50))
    done = await until(running, rollout, Rollout.STATE_ROLLED_BACK)
    assert done.events[-1].reason.startswith("the version cannot be served: ")
    assert factor(await ask(running)) == 3


async def test_routes_and_rollouts_from_the_command_line(
    running: Running, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADWATER_INFERENCE_ADDRESS", running.service.address)
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.ADMIN, subject="ada"))

    async def headwater(*arguments: str, fails: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, ("deployment", *arguments))
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if fails else (0, None)), printed.err
        return printed.err if fails else printed.out

    await serve(running, 3, 5, 7)
    routed = ("route", "digits", "--variant", "b=2:100", "--shadow", "copy=3:100", "--fallback", "3")
    await headwater(*routed)

    async def loaded() -> bool:
        return [target.model_version[-1:] for target in (await traffic(running)).targets] == ["1", "2", "3", "3"]

    await eventually(loaded)
    assert factor(await ask(running)) == 5
    shown = await headwater("show", "digits")
    assert re.search(r"^b +100 % +2 +[1-9]", shown, re.MULTILINE)
    assert re.search(r"^copy +100 % copied +3 ", shown, re.MULTILINE)
    assert re.search(r"^fallback-1 +0 % +3 ", shown, re.MULTILINE)
    assert "must be NAME=VERSION:PERCENT" in await headwater("route", "digits", "--variant", "b:3", fails=True)
    assert "or else --only-main" in await headwater("route", "digits", fails=True)
    await headwater("route", "digits", "--only-main")
    await eventually(lambda: alone(running))

    assert "Nothing was ever rolled out" in await headwater("rollout", "show", "digits", fails=True)
    quickly = ("--min-requests", "3", "--min-seconds", "0")
    begun = await headwater("rollout", "start", "digits", "2", "--steps", "10,50%", *quickly)
    assert re.search(r"state +running", begun)
    assert re.search(r"state +paused", await headwater("rollout", "pause", "digits"))
    assert re.search(r"state +running", await headwater("rollout", "resume", "digits"))
    assert re.search(r"promoted +0 % +ada", await headwater("rollout", "promote", "digits"))
    assert "has succeeded" in await headwater("rollout", "abort", "digits", fails=True)
    assert "steps must be percentages" in await headwater("rollout", "start", "digits", "3", "--steps", "x", fails=True)
    async with clients(running):
        waited = await headwater("rollout", "start", "digits", "3", "--steps", "50", *quickly, "--wait")
    assert re.search(r"succeeded +0 % +0 of \d+ requests failed", waited)
    assert len(re.findall("succeeded", await headwater("rollout", "list", "digits"))) == 2
    await eventually(lambda: serves(running, "3"))
    assert "versions/3" in await headwater("update", "digits", "1")
    await eventually(lambda: serves(running, "1"))
    assert "versions/1" in await headwater("show", "digits")
