"""What is served defends itself against a version that fails (N-10), tried with stock clients of a running service."""

import asyncio
import dataclasses
import re
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from chassis.auth import Role
from chassis.testing.services import Connect, TokenFor
from headwater import cli
from headwater.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from headwater.inference.v1 import deployments_pb2, guard_pb2, incidents_pb2, incidents_pb2_grpc, routing_pb2
from headwater.names import ModelName
from services.inference.models.memory import NewFile
from services.inference.models.source import Selector, SelectorKind
from tests.integration.inference.conftest import Running
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

NAME = "projects/default/deployments/guarded"
MODEL = ModelName("default", "guarded")
CHOSEN = Selector(SelectorKind.ALIAS, "served")
_State, _Kind = incidents_pb2.Incident.State, incidents_pb2.Incident.Kind

GOOD = onnx_models.table_lookup(1000)
FAILING = onnx_models.table_lookup(8)
"""It fails on an index from 8 on."""
TOO_FAR, FINE = 100, 3


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: which version answered, or the error's text and status."""

    version: str = ""
    error: str = ""
    status: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Guarded:
    """A deployment ``guarded``, and a caller of it."""

    running: Running

    @property
    def incidents(self) -> "incidents_pb2_grpc.IncidentServiceAsyncStub":
        return incidents_pb2_grpc.IncidentServiceStub(self.running.admin)

    async def serve(
        self, *contents: bytes, guard: guard_pb2.Guard, routing: routing_pb2.Routing | None = None, queue: int = 0
    ) -> None:
        """Serve the last of these files as a version of its own, after the others were versions before it."""
        for content in contents:
            self.add(content)
        deployment = deployments_pb2.Deployment(
            model=str(MODEL),
            alias="served",
            guard=guard,
            routing=routing,
            batching=deployments_pb2.Batching(max_queue_size=queue),
        )
        await self.running.deployments.CreateDeployment(
            deployments_pb2.CreateDeploymentRequest(
                parent="projects/default", deployment_id="guarded", deployment=deployment
            )
        )
        await eventually(self.is_ready)
        if routing is not None:
            await eventually(lambda: self.running.client.is_model_ready("guarded", "1", headers=self.running.headers))

    async def is_ready(self) -> bool:
        """Whether the version that the alias stands for answers, and not only its fallback."""
        return (await self.deployment()).state == deployments_pb2.Deployment.STATE_READY

    def add(self, content: bytes) -> None:
        """Let the alias stand for this file."""
        version = self.running.models.add(MODEL, {"model.onnx": NewFile("onnx", content)})
        self.running.models.point(MODEL, CHOSEN, version)

    async def ask(self, index: int, *, shape: tuple[int, ...] = (1,), request_id: str = "") -> Outcome:
        """What comes of one request."""
        tensor = triton.InferInput("x", shape, "INT64")
        tensor.set_data_from_numpy(np.full(shape, index, np.int64))
        try:
            answer = await self.running.client.infer(
                "guarded", [tensor], headers=self.running.headers, request_id=request_id
            )
        except InferenceServerException as error:
            return Outcome(error=error.message(), status=str(error.status()))
        return Outcome(answer.get_response().model_version)

    async def deployment(self) -> deployments_pb2.Deployment:
        return await self.running.deployments.GetDeployment(deployments_pb2.GetDeploymentRequest(name=NAME))

    async def all(self, **wanted: Any) -> list[incidents_pb2.Incident]:
        """Every incident, whole, the oldest first."""
        request = incidents_pb2.ListIncidentsRequest(parent="projects/default", **wanted)
        listed = (await self.incidents.ListIncidents(request)).incidents
        whole = [self.incidents.GetIncident(incidents_pb2.GetIncidentRequest(name=each.name)) for each in listed]
        return [await each for each in reversed(whole)]


@pytest.fixture
def guarded(running: Running) -> Guarded:
    return Guarded(running)


def rules(*, consecutive: int = 3, open_ms: int = 200, rollback: bool = False, **more: Any) -> guard_pb2.Guard:
    """Rules that act within a test's time."""
    breaker = guard_pb2.CircuitBreaker(
        consecutive_failures=consecutive, open_ms=open_ms, max_open_ms=max(open_ms, 400), probes=2, **more
    )
    return guard_pb2.Guard(breaker=breaker, rollback=guard_pb2.Rollback(disabled=not rollback))


def falls_back_to(version: str) -> routing_pb2.Routing:
    return routing_pb2.Routing(fallbacks=[routing_pb2.Fallback(version=version)])


async def test_a_version_that_raises_is_stood_in_for_and_asked_again_when_it_is_well(guarded: Guarded) -> None:
    """N-10, P-37…P-40: opens within N requests, the fallback answers, a probe recovers, and all of it is on record."""
    await guarded.serve(GOOD, FAILING, guard=rules(), routing=falls_back_to("1"))
    for turn in range(30):
        assert await guarded.ask(TOO_FAR, request_id=f"mine-{turn}") == Outcome("1")
    (opened,) = await guarded.all(state=_State.STATE_OPEN)
    assert (opened.kind, opened.deployment) == (_Kind.KIND_BREAKER_OPENED, NAME)

    await eventually(lambda: _answered_by(guarded, FINE, "2"))
    assert await guarded.ask(FINE) == Outcome("2")
    (incident,) = await guarded.all()
    assert incident.state == _State.STATE_RECOVERED
    assert incident.HasField("end_time")
    assert incident.reason == "3 failures in a row, the last ENGINE_FAILED"
    assert [(each.reason, each.client_request_id, each.caller) for each in incident.requests] == [
        ("ENGINE_FAILED", f"mine-{turn}", "reader") for turn in range(3)
    ]
    assert all(each.request_id and each.latency_ms > 0 and each.message for each in incident.requests)
    (version,) = incident.versions
    assert version.model_version == f"{MODEL}/versions/2"
    assert version.model_digest.startswith("sha256:")
    assert dict(incident.measurements.failed) == {"ENGINE_FAILED": 3}
    assert incident.measurements.error_rate == 1
    assert incident.rules.breaker.consecutive_failures == 3
    assert "closed: 2 probes were answered" in incident.timeline[-1].what
    assert f"answered by {MODEL}/versions/1" in incident.timeline[-1].what
    assert {event.actor for event in incident.timeline} == {"headwater"}


async def _answered_by(guarded: Guarded, index: int, version: str, shape: tuple[int, ...] = (1,)) -> bool:
    return (await guarded.ask(index, shape=shape)).version == version


async def test_without_a_fallback_who_asks_is_told_when_to_come_again(guarded: Guarded) -> None:
    await guarded.serve(FAILING, guard=rules(open_ms=60_000, consecutive=2))
    for _ in range(2):
        assert "failed on this input" in (await guarded.ask(TOO_FAR)).error
    refused = await guarded.ask(FINE)
    assert refused.status == "StatusCode.UNAVAILABLE"
    assert "is not asked for a while" in refused.error
    url = f"http://127.0.0.1:{guarded.running.service.http_port}/v2/models/guarded/infer"
    asked = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [FINE]}]}
    async with httpx.AsyncClient(headers=guarded.running.headers) as http:
        told = await http.post(url, json=asked)
    assert told.status_code == 503
    assert 40 <= int(told.headers["retry-after"]) <= 80
    assert told.json()["reason"] == "BREAKER_OPEN"
    assert await guarded.running.client.is_model_ready("guarded", headers=guarded.running.headers)


async def test_a_version_that_slows_down_is_stood_in_for(guarded: Guarded) -> None:
    """N-10: or slows down. What is counted is the engine's time."""
    quick = onnx_models.counting_loop()
    await guarded.serve(quick, guard=rules(max_p99_ms=20, min_requests=10, open_ms=60_000))
    for _ in range(10):
        assert (await guarded.ask(1, shape=(1, 1))).version == "1"
    slow = 0
    while not (await guarded.ask(300_000, shape=(1, 1))).error:
        slow += 1
        assert slow < 10
    (incident,) = await guarded.all()
    assert "requests took the engine longer than 20 ms" in incident.reason


async def test_callers_mistakes_open_nothing(guarded: Guarded) -> None:
    await guarded.serve(FAILING, guard=rules())
    for _ in range(20):
        assert "x" in (await guarded.ask(FINE, shape=(1, 1))).error
    assert await guarded.ask(FINE) == Outcome("1")
    assert await guarded.all() == []


async def test_ten_times_too_many_requests_open_nothing(guarded: Guarded) -> None:
    """Overload is no fault of the model."""
    await guarded.serve(onnx_models.counting_loop(), guard=rules(max_p99_ms=2000, min_requests=5), queue=4)
    outcomes = await asyncio.gather(*(guarded.ask(100_000, shape=(1, 1)) for _ in range(80)))
    assert {outcome.status for outcome in outcomes if outcome.error} == {"StatusCode.RESOURCE_EXHAUSTED"}
    assert (await guarded.ask(1, shape=(1, 1))).version == "1"
    assert await guarded.all() == []


async def test_a_promotion_that_fails_is_taken_back_under_load_and_no_request_is_lost(guarded: Guarded) -> None:
    """N-10, M-105: the fallback answers until the last good version is back in place."""
    guard = rules(rollback=True, open_ms=60_000)
    await guarded.serve(GOOD, guard=guard, routing=falls_back_to("1"))
    outcomes: list[Outcome] = []
    done = asyncio.Event()

    async def load() -> None:
        while not done.is_set():
            outcomes.append(await guarded.ask(TOO_FAR))

    callers = [asyncio.create_task(load()) for _ in range(4)]
    await eventually(lambda: len(outcomes) > 50)
    guarded.add(FAILING)
    await eventually(lambda: _rolled_back(guarded))
    count = len(outcomes)
    await eventually(lambda: len(outcomes) > count + 50)
    done.set()
    await asyncio.gather(*callers)

    assert set(outcomes) == {Outcome("1")}
    shown = await guarded.deployment()
    assert shown.model_version == f"{MODEL}/versions/1"
    assert shown.failure.startswith("Version 2 is set aside by headwater: its breaker opened while it was on probation")
    kinds = [each.kind for each in await guarded.all()]
    assert kinds == [_Kind.KIND_BREAKER_OPENED, _Kind.KIND_ROLLED_BACK]


async def _rolled_back(guarded: Guarded) -> bool:
    return (await guarded.deployment()).state == deployments_pb2.Deployment.STATE_ROLLED_BACK


async def test_when_nobody_can_answer_one_incident_says_so(guarded: Guarded) -> None:
    await guarded.serve(FAILING, onnx_models.table_lookup(9), guard=rules(), routing=falls_back_to("1"))
    for _ in range(8):
        assert (await guarded.ask(TOO_FAR)).error
    found = await guarded.all()
    exhausted = [each for each in found if each.kind == _Kind.KIND_FALLBACKS_EXHAUSTED]
    assert len(exhausted) == 1
    assert [each.part for each in exhausted[0].versions] == ["failing", "fallback"]
    assert len([each for each in found if each.kind == _Kind.KIND_BREAKER_OPENED]) == 2


async def test_a_process_that_ends_again_and_again_is_an_incident(guarded: Guarded) -> None:
    """P-40: while its breaker stays closed, and it is started again each time."""
    others = {process.pid for process in _workers()}
    await guarded.serve(onnx_models.counting_loop(), guard=rules(consecutive=100))
    for _ in range(3):
        await eventually(lambda: _answered_by(guarded, 1, "1", (1, 1)))
        asking = asyncio.create_task(guarded.ask(30_000_000, shape=(1, 1)))
        await eventually(lambda: _end_busy_workers(others))
        assert "process ended" in (await asking).error
    await eventually(lambda: _answered_by(guarded, 1, "1", (1, 1)))
    (incident,) = await guarded.all()
    assert incident.kind == _Kind.KIND_ENGINE_CRASHED
    assert [each.reason for each in incident.requests].count("ENGINE_CRASHED") == 3


def _workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [each for each in children if "services.inference.engines.worker" in " ".join(each.cmdline())]


def _end_busy_workers(others: set[int]) -> bool:
    """End the worker of this test that computes; False while none does."""
    busy = [each for each in _workers() if each.pid not in others and each.cpu_percent(0.05) > 10]
    for process in busy:
        process.kill()
    return bool(busy)


async def test_an_operator_goes_back_and_resumes(guarded: Guarded, connect: Connect) -> None:
    """M-105."""
    await guarded.serve(GOOD, onnx_models.table_lookup(999), FAILING, guard=rules())
    deployments = guarded.running.deployments
    back = deployments_pb2.RollBackDeploymentRequest(name=NAME, version="1", reason="customers complain")
    await deployments.RollBackDeployment(back)
    await eventually(lambda: _answered_by(guarded, TOO_FAR, "1"))
    shown = await guarded.deployment()
    assert shown.state == deployments_pb2.Deployment.STATE_ROLLED_BACK
    assert "customers complain" in shown.failure
    await deployments.ResumeDeployment(deployments_pb2.ResumeDeploymentRequest(name=NAME))
    await eventually(lambda: _answered_by(guarded, FINE, "3"))

    with pytest.raises(FailedPrecondition) as refused:
        await deployments.RollBackDeployment(deployments_pb2.RollBackDeploymentRequest(name=NAME, reason="a try"))
    assert refused.value.reason == "NO_GOOD_VERSION"
    with pytest.raises(InvalidArgument):
        await deployments.RollBackDeployment(deployments_pb2.RollBackDeploymentRequest(name=NAME))
    reader = type(deployments)(connect(guarded.running.service.address, Role.READER))
    with pytest.raises(PermissionDenied):
        await reader.RollBackDeployment(back)


async def test_an_incident_is_looked_after_by_people(guarded: Guarded) -> None:
    """P-40."""
    await guarded.serve(FAILING, guard=rules())
    for _ in range(3):
        await guarded.ask(TOO_FAR)
    (incident,) = await guarded.all(deployment=NAME)
    stub = guarded.incidents
    taken = await stub.AcknowledgeIncident(incidents_pb2.AcknowledgeIncidentRequest(name=incident.name, note="mine"))
    assert (taken.acknowledged_by, taken.note) == ("tester", "mine")
    done = await stub.ResolveIncident(incidents_pb2.ResolveIncidentRequest(name=incident.name, note="a bad table"))
    assert (done.state, done.resolved_by, done.note) == (_State.STATE_RESOLVED, "tester", "a bad table")
    assert [(event.what, event.actor) for event in done.timeline[-2:]] == [
        ("acknowledged: mine", "tester"),
        ("resolved: a bad table", "tester"),
    ]
    with pytest.raises(FailedPrecondition):
        await stub.ResolveIncident(incidents_pb2.ResolveIncidentRequest(name=incident.name))
    assert await guarded.all(state=_State.STATE_OPEN) == []
    with pytest.raises(NotFound):
        await stub.GetIncident(incidents_pb2.GetIncidentRequest(name="projects/default/incidents/nothing"))
    with pytest.raises(InvalidArgument):
        await stub.GetIncident(incidents_pb2.GetIncidentRequest(name="incidents/nothing"))
    with pytest.raises(InvalidArgument):
        await guarded.all(deployment="projects/other/deployments/guarded")


async def test_incidents_and_rollbacks_from_the_command_line(
    guarded: Guarded, token_for: TokenFor, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADWATER_INFERENCE_ADDRESS", guarded.running.service.address)
    monkeypatch.setenv("HEADWATER_TOKEN", token_for(Role.ADMIN, subject="ada"))

    async def headwater(*arguments: str, fails: bool = False) -> str:
        with pytest.raises(SystemExit) as end:
            await asyncio.to_thread(cli.main, arguments)
        printed = capsys.readouterr()
        assert end.value.code in ((1,) if fails else (0, None)), printed.err
        return printed.err if fails else printed.out

    await guarded.serve(GOOD, FAILING, guard=rules(open_ms=60_000))
    for turn in range(3):
        await guarded.ask(TOO_FAR, request_id=f"mine-{turn}")
    listed = await headwater("incident", "list", "--deployment", "guarded", "--state", "open")
    assert "breaker opened" in listed
    assert "3 failures in a row" in listed
    (incident,) = re.findall(r"^[0-9a-f-]{36}", listed, re.MULTILINE)

    shown = await headwater("incident", "show", incident)
    assert re.search(r"error rate +100.0%", shown)
    assert shown.count("ENGINE_FAILED") >= 4
    assert "mine" in await headwater("incident", "acknowledge", incident, "--note", "mine")
    resolved = await headwater("incident", "resolve", incident, "--note", "a bad table")
    assert re.search(r"resolved by +ada", resolved)
    assert re.search(r"note +a bad table", resolved)
    assert "is resolved" in await headwater("incident", "resolve", incident, fails=True)
    assert "open, recovered, resolved" in await headwater("incident", "list", "--state", "gone", fails=True)

    await headwater("deployment", "rollback", "guarded", "--version", "1", "--reason", "it fails")
    await eventually(lambda: _rolled_back(guarded))
    await headwater("deployment", "resume", "guarded")
    await eventually(guarded.is_ready)
    assert "no earlier version" in await headwater("deployment", "rollback", "guarded", "--reason", "it", fails=True)


async def test_metrics_tell_of_breakers_and_incidents(guarded: Guarded) -> None:
    await guarded.serve(FAILING, guard=rules(open_ms=60_000))
    for _ in range(4):
        await guarded.ask(TOO_FAR)
    metrics = guarded.running.service.metrics.registry
    labels = {"deployment": NAME, "version": "1"}
    assert metrics.get_sample_value("headwater_breaker_state", labels) == 2
    of_kind = {"deployment": NAME, "kind": "breaker-opened"}
    assert metrics.get_sample_value("headwater_incidents_total", of_kind) == 1
    refused = {**labels, "reason": "BREAKER_OPEN"}
    assert metrics.get_sample_value("headwater_inference_requests_total", refused) == 1


@pytest.mark.parametrize(
    ("guard", "field"),
    [
        (guard_pb2.Guard(breaker=guard_pb2.CircuitBreaker(open_ms=9, max_open_ms=5)), "max_open_ms"),
        (guard_pb2.Guard(breaker=guard_pb2.CircuitBreaker(also_counts=["INVALID_TENSOR"])), "also_counts"),
        (guard_pb2.Guard(breaker=guard_pb2.CircuitBreaker(max_error_rate=1.5)), "max_error_rate"),
        (guard_pb2.Guard(rollback=guard_pb2.Rollback(max_error_rate=float("nan"))), "max_error_rate"),
        (guard_pb2.Guard(breaker=guard_pb2.CircuitBreaker(probes=-1)), "probes"),
        (guard_pb2.Guard(window_ms=2**31 - 1), "window_ms"),
    ],
)
async def test_rules_that_make_no_sense_are_refused(guarded: Guarded, guard: guard_pb2.Guard, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await guarded.serve(GOOD, guard=guard)
    told = [*refused.value.metadata.values(), *(name for name, _ in refused.value.violations)]
    assert any(field in each for each in told)


async def test_what_is_not_said_has_a_default_and_is_shown(guarded: Guarded) -> None:
    await guarded.serve(GOOD, guard=guard_pb2.Guard())
    shown = (await guarded.deployment()).guard
    assert shown.breaker.consecutive_failures == 5
    assert shown.rollback.probation_ms == 300_000
    assert shown.window_ms == 30_000
