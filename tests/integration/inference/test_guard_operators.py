"""What people see of a deployment's defence, and do about it: incidents, rollbacks, rules, metrics."""

import asyncio
import re

import pytest

from chassis.auth import Role
from chassis.testing.services import Connect, TokenFor
from headwater import cli
from headwater.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from headwater.inference.v1 import deployments_pb2, guard_pb2, incidents_pb2
from tests.integration.inference.conftest import Running
from tests.integration.inference.guarded import (
    FAILING,
    FINE,
    GOOD,
    NAME,
    TOO_FAR,
    Guarded,
    answered_by,
    rolled_back,
    rules,
)
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

_State, _Kind = incidents_pb2.Incident.State, incidents_pb2.Incident.Kind


@pytest.fixture
def guarded(running: Running) -> Guarded:
    return Guarded(running)


async def test_an_operator_goes_back_and_resumes(guarded: Guarded, connect: Connect) -> None:
    """M-105."""
    await guarded.serve(GOOD, onnx_models.table_lookup(999), FAILING, guard=rules())
    deployments = guarded.running.deployments
    back = deployments_pb2.RollBackDeploymentRequest(name=NAME, version="1", reason="customers complain")
    await deployments.RollBackDeployment(back)
    await eventually(lambda: answered_by(guarded, TOO_FAR, "1"))
    shown = await guarded.deployment()
    assert shown.state == deployments_pb2.Deployment.STATE_ROLLED_BACK
    assert "customers complain" in shown.failure
    await deployments.ResumeDeployment(deployments_pb2.ResumeDeploymentRequest(name=NAME))
    await eventually(lambda: answered_by(guarded, FINE, "3"))

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
    await eventually(lambda: rolled_back(guarded))
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
