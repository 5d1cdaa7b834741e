"""The HTTP front under load and at its end: shed with a hint, drained, and rid of what nobody waits for."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from chassis.http import protocol
from services.inference.kserve.http import body
from services.inference.records.model import RecordQuery
from tests.integration.inference.conftest import Running
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

INFER = "/v2/models/loop/infer"


@pytest_asyncio.fixture
async def http(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A client of somebody who may read."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{running.service.http_port}", headers=running.headers, timeout=20
    ) as client:
        yield client


def turns(count: int) -> dict[str, object]:
    return {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [count]}]}


async def counted(running: Running) -> tuple[int, int]:
    """How many requests were answered, and how many failed."""
    (model,) = (await running.client.get_inference_statistics("loop", headers=running.headers)).model_stats
    return model.inference_stats.success.count, model.inference_stats.fail.count


async def test_requests_in_flight_are_answered_when_the_service_stops(
    running: Running, http: httpx.AsyncClient
) -> None:
    await running.serve("loop", onnx_models.counting_loop())
    asked = [asyncio.create_task(http.post(INFER, json=turns(300_000))) for _ in range(4)]
    await asyncio.sleep(0.1)
    assert not any(each.done() for each in asked)

    await running.service.stop()

    answers = await asyncio.gather(*asked)
    assert [answer.json()["outputs"][0]["data"] for answer in answers] == [[300_000]] * 4
    kept = await running.records.page(RecordQuery("default"), None, 10)
    assert {record.request_id for record in kept} == {answer.headers["headwater-request-id"] for answer in answers}


async def test_what_nobody_waits_for_any_more_is_not_computed(running: Running, http: httpx.AsyncClient) -> None:
    await running.serve("loop", onnx_models.counting_loop())
    for _ in range(3):
        try:
            await http.post(INFER, json=turns(2**40), timeout=0.1)
        except httpx.ReadTimeout:
            continue

    async def all_given_up() -> bool:
        return (await counted(running))[1] == 3

    await eventually(all_given_up)
    answer = await http.post(INFER, json=turns(7))
    assert answer.json()["outputs"][0]["data"] == [7]


async def test_hundreds_of_clients_that_go_away_leave_nothing_behind(running: Running, http: httpx.AsyncClient) -> None:
    await running.serve("loop", onnx_models.counting_loop())
    content = json.dumps(turns(2**40)).encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in running.headers.items())
    said = f"POST {INFER} HTTP/1.1\r\nhost: a\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content
    tasks = len(asyncio.all_tasks())

    async def ask_and_leave() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", running.service.http_port)
        writer.write(said)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()

    for _ in range(5):
        await asyncio.gather(*(ask_and_leave() for _ in range(80)))

    async def all_given_up() -> bool:
        return await counted(running) == (0, 400)

    await eventually(all_given_up)
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks)
    assert (await http.post(INFER, json=turns(7))).json()["outputs"][0]["data"] == [7]


async def test_what_is_too_much_is_shed_with_a_hint(running: Running, http: httpx.AsyncClient) -> None:
    await running.serve("loop", onnx_models.counting_loop(), max_queue_size=1)
    answers = await asyncio.gather(*(http.post(INFER, json=turns(100_000)) for _ in range(8)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert refused[0].json()["reason"] == "QUEUE_FULL"
    assert any(answer.status_code == 200 for answer in answers)


async def test_who_stops_talking_is_given_up(
    running: Running, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.05)
    monkeypatch.setattr(body, "SILENCE_S", 0.05)
    for said in (b"", b"POST /v2/models/loop/infer HTTP/1.1\r\nhost: a\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.service.http_port)
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()

    async def half() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.5)
        yield b"}"

    answer = await http.post(INFER, content=half())
    assert (answer.status_code, answer.json()["reason"]) == (408, "BODY_TIMED_OUT")


async def test_a_timeout_in_the_request_is_kept(running: Running, http: httpx.AsyncClient) -> None:
    await running.serve("loop", onnx_models.counting_loop())
    answer = await http.post(INFER, json={**turns(2**40), "parameters": {"timeout": 50_000}})
    assert answer.status_code == 504
    assert answer.headers["headwater-request-id"] == answer.json()["metadata"]["request_id"]


async def test_priorities_are_those_of_the_deployment(running: Running, http: httpx.AsyncClient) -> None:
    await running.serve("loop", onnx_models.counting_loop(), priority_levels=2)
    statuses = []
    for priority in (0, 1, 2, 3):
        answer = await http.post(INFER, json={**turns(1), "parameters": {"priority": priority}})
        statuses.append(answer.status_code)
    assert statuses == [200, 200, 200, 400]
    config = (await http.get("/v2/models/loop/config")).json()
    assert config["dynamic_batching"]["priority_levels"] == 2
