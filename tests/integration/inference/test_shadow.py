"""Shadows: copies of requests, answered beside them, compared, and given to nobody."""

import asyncio
from typing import Any

import httpx
import numpy as np
import tritonclient.grpc.aio as triton

from headwater.inference.v1 import deployments_pb2, routing_pb2
from services.inference.records.model import RecordQuery
from tests.integration.inference.conftest import Running
from tests.integration.inference.test_ab import NAME, add, ask, factor, route, serve, traffic
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

SHADOW = routing_pb2.Variant.ROLE_SHADOW


def shadow(version: str, percent: float = 100) -> routing_pb2.Variant:
    return routing_pb2.Variant(name="copy", version=version, role=SHADOW, weight_percent=percent)


async def comparison(running: Running) -> Any:
    return next(target.comparison for target in (await traffic(running)).targets if target.name == "copy")


async def compared(running: Running, count: int) -> Any:
    """What was found once so many copies are done."""

    async def there() -> bool:
        found = await comparison(running)
        return bool(found.compared_count + found.failed_count == count)

    await eventually(there)
    return await comparison(running)


async def test_a_shadow_answers_copies_and_what_differs_is_counted(running: Running) -> None:
    """N-10: to the bit, by the largest difference, and by whether the two say the same."""
    await serve(running, 3, 3, 5, -3)
    await route(running, shadow("2"))
    assert {factor(await ask(running)) for _ in range(4)} == {3}
    same = await compared(running, 4)
    assert (same.identical_count, same.agreed_count, same.largest_difference) == (4, 4, 0)

    await route(running, shadow("3"), tolerance=1)
    for value in (0.25, 1, 2):
        assert factor(await ask(running, value)) == 3 * value
    apart = await compared(running, 3)
    assert (apart.identical_count, apart.agreed_count, apart.largest_difference) == (0, 1, 4)

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.service.admin_port}") as http:
        metrics = (await http.get("/metrics", headers=running.headers)).text
    labels = f'deployment="{NAME}",version="3"'
    assert f'headwater_shadow_copies_total{{deployment="{NAME}",result="disagreed",version="3"}} 2.0' in metrics
    assert f'headwater_shadow_copies_total{{deployment="{NAME}",result="agreed",version="3"}} 1.0' in metrics
    assert f"headwater_shadow_largest_difference{{{labels}}} 4.0" in metrics
    share = f'headwater_variant_weight_percent{{deployment="{NAME}",role="shadow",variant="copy",version="3"}} 100.0'
    assert share in metrics


async def test_shadow_answers_are_recorded_with_the_request_that_they_are_copies_of(running: Running) -> None:
    """M-83."""
    await serve(running, 3, 5)
    await route(running, shadow("2"))
    request_id = (await ask(running)).get_response().parameters["headwater_request_id"].string_param
    await compared(running, 1)
    recorded = await running.inference_records.ListInferenceRecords(
        deployments_pb2.ListInferenceRecordsRequest(parent="projects/default")
    )
    assert len(recorded.inference_records) == 2
    found = await running.records.page(RecordQuery("default"), None, 10)
    records = {record.variant: record for record in found}
    assert (records[""].request_id, records[""].is_final) == (request_id, True)
    copy = records["copy"]
    assert (copy.part_of, copy.is_final) == (request_id, False)
    assert copy.model_version.endswith("versions/2")
    assert copy.request_digest == records[""].request_digest
    assert copy.response_digest != records[""].response_digest


async def test_a_fraction_of_the_requests_is_copied(running: Running) -> None:
    await serve(running, 3, 3)
    await route(running, shadow("2", 30))
    await asyncio.gather(*(ask(running) for _ in range(100)))
    await asyncio.sleep(0.05)
    found = await comparison(running)
    assert 5 < found.compared_count + found.dropped_count < 60


async def test_a_shadow_that_hangs_or_fails_slows_nobody_and_copies_are_dropped(running: Running) -> None:
    """A shadow computes for ever: the main version answers as ever, what is under way is bounded, the rest counted."""
    await running.serve("digits", onnx_models.identity(7, ("rows", 1)))
    add(running, onnx_models.counting_loop())
    add(running, onnx_models.table_lookup())
    await route(running, shadow("2"))

    async def look(value: int) -> int:
        given = triton.InferInput("x", [1, 1], "INT64")
        given.set_data_from_numpy(np.array([[value]]))
        answer = await running.client.infer("digits", [given], headers=running.headers, client_timeout=5)
        return int(answer.as_numpy("y")[0, 0])

    many = 2**31
    assert await asyncio.gather(*(look(many + number) for number in range(50))) == [many + n for n in range(50)]
    dropped = (await comparison(running)).dropped_count
    assert dropped == 50 - 32
    assert await look(1) == 1

    await route(running, shadow("3"))
    assert await look(4) == 4
    failed = await compared(running, 1)
    assert (failed.failed_count, failed.compared_count) == (1, 0)


async def test_a_version_that_is_its_own_shadow_is_loaded_once(running: Running) -> None:
    await serve(running, 3)
    await route(running, shadow("1"))
    await ask(running)
    found = await compared(running, 1)
    assert found.identical_count == 1
    answered = [target.answered_count for target in (await traffic(running)).targets]
    assert answered == [1, 1], "the counters are those of the version, which both show"
