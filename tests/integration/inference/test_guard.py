"""What is served defends itself against a version that fails (N-10), tried with stock clients of a running service."""

import asyncio

import httpx
import psutil
import pytest

from headwater.inference.v1 import incidents_pb2
from services.inference.engines.loader import Isolation
from tests.integration.inference.conftest import Running
from tests.integration.inference.guarded import (
    FAILING,
    FINE,
    GOOD,
    MODEL,
    NAME,
    TOO_FAR,
    Guarded,
    Outcome,
    answered_by,
    falls_back_to,
    rolled_back,
    rules,
)
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

_State, _Kind = incidents_pb2.Incident.State, incidents_pb2.Incident.Kind


@pytest.fixture
def guarded(running: Running) -> Guarded:
    return Guarded(running)


async def test_a_version_that_raises_is_stood_in_for_and_asked_again_when_it_is_well(guarded: Guarded) -> None:
    """N-10, P-37…P-40: opens within N requests, the fallback answers, a probe recovers, and all of it is on record."""
    await guarded.serve(GOOD, FAILING, guard=rules(), routing=falls_back_to("1"))
    for turn in range(30):
        assert await guarded.ask(TOO_FAR, request_id=f"mine-{turn}") == Outcome("1")
    (opened,) = await guarded.all(state=_State.STATE_OPEN)
    assert (opened.kind, opened.deployment) == (_Kind.KIND_BREAKER_OPENED, NAME)

    await eventually(lambda: answered_by(guarded, FINE, "2"))
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
    await eventually(lambda: rolled_back(guarded))
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


async def test_when_nobody_can_answer_one_incident_says_so(guarded: Guarded) -> None:
    await guarded.serve(FAILING, onnx_models.table_lookup(9), guard=rules(), routing=falls_back_to("1"))
    for _ in range(8):
        assert (await guarded.ask(TOO_FAR)).error
    found = await guarded.all()
    exhausted = [each for each in found if each.kind == _Kind.KIND_FALLBACKS_EXHAUSTED]
    assert len(exhausted) == 1
    assert [each.part for each in exhausted[0].versions] == ["failing", "fallback"]
    assert len([each for each in found if each.kind == _Kind.KIND_BREAKER_OPENED]) == 2


@pytest.mark.parametrize("isolation", [Isolation.PROCESS])
async def test_a_process_that_ends_again_and_again_is_an_incident(guarded: Guarded) -> None:
    """P-40: while its breaker stays closed, and it is started again each time."""
    others = {process.pid for process in _workers()}
    await guarded.serve(onnx_models.counting_loop(), guard=rules(consecutive=100))
    for _ in range(3):
        await eventually(lambda: answered_by(guarded, 1, "1", (1, 1)))
        asking = asyncio.create_task(guarded.ask(30_000_000, shape=(1, 1)))
        await eventually(lambda: _end_busy_workers(others))
        assert "process ended" in (await asking).error
    await eventually(lambda: answered_by(guarded, 1, "1", (1, 1)))
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
