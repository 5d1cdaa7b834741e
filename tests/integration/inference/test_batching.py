"""Batching, priorities, padding and the cache, as stock clients meet them."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import grpc.aio
import numpy as np
import pytest
import tritonclient.grpc.aio as triton
from google.protobuf import duration_pb2
from tritonclient.grpc import service_pb2_grpc

from headwater.errors import InvalidArgument
from headwater.inference.v1 import batching_pb2, caching_pb2, deployments_pb2
from headwater.names import ModelName
from services.inference.models.memory import NewFile
from services.inference.models.source import Selector, SelectorKind
from tests.integration.inference.conftest import Running
from tests.integration.inference.messages import floats, infer, tensor
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

SERVED = Selector(SelectorKind.ALIAS, "served")
TEXT = batching_pb2.Padding(
    inputs=[
        batching_pb2.Padding.Input(name="tokens", dimension=1),
        batching_pb2.Padding.Input(name="mask", dimension=1),
    ],
    outputs=[batching_pb2.Padding.Output(name="each", dimension=1)],
)


def offer(running: Running, name: str, content: bytes) -> None:
    """Let the alias of this model stand for a new version with these files."""
    model = ModelName("default", name)
    running.models.point(model, SERVED, running.models.add(model, {"model.onnx": NewFile("onnx", content)}))


async def deploy(running: Running, name: str, content: bytes, **options: Any) -> deployments_pb2.Deployment:
    """Serve an ONNX file with these options; it may not be ready yet."""
    offer(running, name, content)
    deployment = deployments_pb2.Deployment(model=f"projects/default/models/{name}", alias="served", **options)
    return await running.deployments.CreateDeployment(
        deployments_pb2.CreateDeploymentRequest(parent="projects/default", deployment_id=name, deployment=deployment)
    )


async def ready(running: Running, name: str) -> None:
    await eventually(lambda: running.client.is_model_ready(name, headers=running.headers))


async def shown(running: Running, name: str) -> deployments_pb2.Deployment:
    request = deployments_pb2.GetDeploymentRequest(name=f"projects/default/deployments/{name}")
    return await running.deployments.GetDeployment(request)


async def double(running: Running, name: str, value: float, **how: Any) -> Any:
    """What the model of two columns answers."""
    given = triton.InferInput("x", [1, 4], "FP32")
    given.set_data_from_numpy(np.full((1, 4), value, np.float32))
    answer = await running.client.infer(name, [given], headers=running.headers, **how)
    return answer.as_numpy("y")[0, 0], answer.get_response()


async def test_priorities_are_those_of_the_deployment(running: Running) -> None:
    batching = deployments_pb2.Batching(priority_levels=2, default_priority_level=1)
    await deploy(running, "ranked", onnx_models.doubling(), batching=batching)
    await deploy(running, "plain", onnx_models.doubling())
    await ready(running, "ranked")
    await ready(running, "plain")

    assert [(await double(running, "ranked", 3, priority=priority))[0] for priority in (0, 1, 2)] == [6, 6, 6]
    with pytest.raises(triton.InferenceServerException, match="the priorities 1"):
        await double(running, "ranked", 3, priority=3)
    with pytest.raises(triton.InferenceServerException, match="no priorities"):
        await double(running, "plain", 3, priority=1)


async def test_a_model_says_how_it_batches_and_how_long_batches_take(running: Running) -> None:
    batching = deployments_pb2.Batching(
        max_batch_size=16,
        preferred_batch_sizes=[8, 4],
        max_delay=duration_pb2.Duration(nanos=2_000_000),
        queue_timeout=duration_pb2.Duration(seconds=3),
    )
    created = await deploy(running, "double", onnx_models.doubling(), batching=batching)
    await ready(running, "double")
    await double(running, "double", 1)

    assert list(created.batching.preferred_batch_sizes) == [4, 8]
    assert created.batching.max_delay.nanos == 2_000_000
    config = (await running.client.get_model_config("double", headers=running.headers)).config
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 2_000
    assert config.dynamic_batching.default_queue_policy.default_timeout_microseconds == 3_000_000
    measured = json.loads(config.parameters["headwater_batch_seconds"].string_value)
    assert list(measured) == ["1"]
    assert 0 < measured["1"] < 10


NONSENSE = [
    (deployments_pb2.Batching(max_batch_size=4, preferred_batch_sizes=[8]), "INVALID_BATCHING"),
    (deployments_pb2.Batching(default_priority_level=1), "INVALID_BATCHING"),
    (deployments_pb2.Batching(padding=[TEXT, TEXT]), "INVALID_BATCHING"),
    (deployments_pb2.Batching(padding=[batching_pb2.Padding(inputs=TEXT.inputs, sizes=[8, 4])]), "INVALID_BATCHING"),
    (deployments_pb2.Batching(padding=[batching_pb2.Padding()]), "INVALID_FIELDS"),
    (deployments_pb2.Batching(priority_levels=33), "INVALID_FIELDS"),
    (deployments_pb2.Batching(max_delay=duration_pb2.Duration(seconds=11)), "INVALID_FIELDS"),
    (deployments_pb2.Batching(queue_timeout=duration_pb2.Duration(seconds=-1)), "INVALID_FIELDS"),
]


async def test_options_that_make_no_sense_are_refused(running: Running) -> None:
    for batching, reason in NONSENSE:
        with pytest.raises(InvalidArgument) as refused:
            await deploy(running, "double", onnx_models.doubling(), batching=batching)
        assert refused.value.reason == reason, batching
    with pytest.raises(InvalidArgument):
        await deploy(running, "double", onnx_models.doubling(), cache=caching_pb2.Caching(max_bytes=-1))


async def ask_text(running: Running, tokens: Sequence[int]) -> tuple[list[int], float]:
    inputs = [
        triton.InferInput("tokens", [1, len(tokens)], "INT64"),
        triton.InferInput("mask", [1, len(tokens)], "BOOL"),
    ]
    inputs[0].set_data_from_numpy(np.array([tokens], np.int64))
    inputs[1].set_data_from_numpy(np.ones((1, len(tokens)), np.bool_))
    answer = await running.client.infer("text", inputs, headers=running.headers)
    return answer.as_numpy("each")[0].tolist(), answer.as_numpy("mean")[0].item()


async def test_texts_of_any_length_are_computed_in_one_batch(running: Running) -> None:
    await deploy(running, "text", onnx_models.masked_mean(), batching=deployments_pb2.Batching(padding=[TEXT]))
    await ready(running, "text")
    texts = [list(range(1, length + 1)) for length in range(5, 9)] * 20

    answers = await asyncio.gather(*(ask_text(running, tokens) for tokens in texts))

    assert answers == [([2 * token for token in tokens], sum(tokens) / len(tokens)) for tokens in texts]
    statistics = await running.client.get_inference_statistics("text", headers=running.headers)
    assert statistics.model_stats[0].execution_count < len(texts)


async def test_a_padding_that_does_not_fit_the_model_is_told_of_in_the_deployment(running: Running) -> None:
    """Both when it is loaded, and when it is served already: then it goes on answering."""
    padded = deployments_pb2.Batching(padding=[TEXT])
    await deploy(running, "early", onnx_models.doubling(), batching=padded)
    await running.serve("late", onnx_models.doubling())
    change = deployments_pb2.UpdateDeploymentRequest(deployment=await shown(running, "late"))
    change.deployment.batching.CopyFrom(padded)
    change.update_mask.paths.append("batching")
    await running.deployments.UpdateDeployment(change)

    for name in ("early", "late"):
        await eventually(lambda name=name: failed(running, name))  # type: ignore[misc]
    assert (await double(running, "late", 4))[0] == 8

    change.deployment.batching.ClearField("padding")
    change.deployment.etag = ""
    await running.deployments.UpdateDeployment(change)
    await eventually(lambda: is_ready(running, "late"))


async def failed(running: Running, name: str) -> bool:
    deployment = await shown(running, name)
    return deployment.state == deployments_pb2.Deployment.STATE_FAILED and "'tokens'" in deployment.failure


async def is_ready(running: Running, name: str) -> bool:
    return (await shown(running, name)).state == deployments_pb2.Deployment.STATE_READY


async def test_an_answer_that_is_kept_is_recorded_and_counted_like_others(running: Running) -> None:
    await deploy(running, "kept", onnx_models.doubling(), cache=caching_pb2.Caching(enabled=True))
    await ready(running, "kept")

    asked = [await double(running, "kept", value) for value in (3, 3, 5, 3)]

    assert [value for value, _ in asked] == [6, 6, 10, 6]
    with pytest.raises(triton.InferenceServerException, match="no priorities"):  # whatever is kept
        await double(running, "kept", 3, priority=1)
    statistics = (await running.client.get_inference_statistics("kept", headers=running.headers)).model_stats[0]
    assert (statistics.inference_count, statistics.execution_count) == (4, 2)
    assert statistics.inference_stats.cache_hit.count == 2
    assert statistics.inference_stats.cache_miss.count == 2
    metrics = running.service.metrics.exposition().decode()
    assert 'cache_hits_total{deployment="projects/default/deployments/kept",version="1"} 2.0' in metrics
    ids = [response.parameters["headwater_request_id"].string_param for _, response in asked]
    assert len(set(ids)) == 4
    records = [await record(running, each) for each in ids]
    assert [each.cached for each in records] == [False, True, False, True]
    assert {each.response_digest for each in (records[0], records[1], records[3])} == {records[0].response_digest}
    config = (await running.client.get_model_config("kept", headers=running.headers)).config
    assert config.response_cache.enable


async def test_another_version_never_gives_the_answers_of_the_one_before(running: Running) -> None:
    await deploy(running, "kept", onnx_models.scaled(2.0), cache=caching_pb2.Caching(enabled=True))
    await ready(running, "kept")
    assert [(await double(running, "kept", 3))[0] for _ in range(2)] == [6, 6]
    offer(running, "kept", onnx_models.scaled(5.0))

    async def swapped() -> bool:
        value, response = await double(running, "kept", 3)
        assert value == {"1": 6, "2": 15}[response.model_version]
        return bool(response.model_version == "2")

    await eventually(swapped)


async def record(running: Running, request_id: str) -> deployments_pb2.InferenceRecord:
    name = f"projects/default/inferenceRecords/{request_id}"
    return await running.inference_records.GetInferenceRecord(deployments_pb2.GetInferenceRecordRequest(name=name))


async def test_a_fresh_call_is_answered_while_thousands_that_were_cancelled_pile_up(
    running: Running, token: str
) -> None:
    """The server has not come to them yet, because its processor is busy elsewhere. gRPC's own server ends calls with
    CANCELLED from about a thousand such ones on, fresh ones too: it was seen here with 10,000 cancelled calls."""
    await running.serve("double", onnx_models.doubling())
    request = infer("double", tensor("x", "FP32", [1, 4]), raw=[floats(1, 2, 3, 4)])
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(running.service.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        calls = [stub.ModelInfer(request, metadata=metadata) for _ in range(3000)]
        await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 (the processor is busy)
        for call in calls:
            call.cancel()
        fresh = [running.stub.ModelInfer(request) for _ in range(20)]
        time.sleep(0.1)  # noqa: ASYNC251
        answers = await asyncio.gather(*fresh)
        await asyncio.gather(*calls, return_exceptions=True)

    assert [list(answer.raw_output_contents) for answer in answers] == [[floats(2, 4, 6, 8)]] * 20
