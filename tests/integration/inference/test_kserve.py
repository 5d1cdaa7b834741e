"""KServe v2 over real gRPC, asked by the stock tritonclient (R-62, X-18)."""

import asyncio
import json
from typing import Any

import grpc
import httpx
import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton_sync
import tritonclient.grpc.aio as triton
from onnx import TensorProto
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from headwater.errors import PermissionDenied, Unimplemented
from headwater.inference.v1 import deployments_pb2
from services.inference.engines.loader import Isolation
from services.inference.records.model import RecordQuery
from services.inference.tensors.digest import digest
from services.inference.tensors.model import Tensor
from tests.integration.inference.conftest import Running
from tests.integration.inference.messages import floats, infer, tensor
from tests.unit.inference import onnx_models


@pytest.fixture
def isolation() -> Isolation:
    """As a service does it that nobody has set up otherwise."""
    return Isolation.PROCESS


def inputs(values: np.ndarray, datatype: str = "FP32", name: str = "x") -> list[Any]:
    given = triton.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values)
    return [given]


def request_id(result: Any) -> str:
    return str(result.get_response().parameters["headwater_request_id"].string_param)


async def test_the_stock_client_learns_what_is_served(running: Running) -> None:
    await running.serve("simple", onnx_models.simple())
    client, headers = running.client, running.headers

    assert await client.is_server_live(headers=headers)
    assert await client.is_server_ready(headers=headers)
    assert not await client.is_model_ready("nothing", headers=headers)
    assert await client.is_model_ready("simple", "1", headers=headers)
    assert not await client.is_model_ready("simple", "2", headers=headers)
    assert (await client.get_server_metadata(headers=headers)).name == "headwater"
    metadata = await client.get_model_metadata("simple", headers=headers, as_json=True)
    assert metadata == {
        "name": "simple",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": name, "datatype": "INT32", "shape": ["-1", "16"]} for name in ("INPUT0", "INPUT1")],
        "outputs": [{"name": name, "datatype": "INT32", "shape": ["-1", "16"]} for name in ("OUTPUT0", "OUTPUT1")],
    }
    config = (await client.get_model_config("simple", headers=headers)).config
    assert (config.max_batch_size, list(config.input[0].dims)) == (64, [16])
    (index,) = (await client.get_model_repository_index(headers=headers)).models
    assert (index.name, index.version, index.state) == ("simple", "1", "READY")


async def test_an_answer_carries_its_ids_and_can_be_looked_up_at_once(running: Running) -> None:
    """M-83…M-87: model, version, digests, caller, times, batch; by the id that the answer carries."""
    await running.serve("double", onnx_models.doubling())
    values = np.array([[1, 2, 3, np.nan]], np.float32)

    request = infer("double", tensor("x", "FP32", [1, 4]), raw=[values.tobytes()], id="mine", model_version="1")
    async with grpc.aio.insecure_channel(running.service.address) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        call = stub.ModelInfer(request, metadata=tuple(running.headers.items()))
        answer, trailers = await call, dict(await call.trailing_metadata())

    assert (answer.model_name, answer.model_version, answer.id) == ("double", "1", "mine")
    found = answer.parameters["headwater_request_id"].string_param
    assert trailers["headwater-request-id"] == found
    name = f"projects/default/inferenceRecords/{found}"
    record = await running.inference_records.GetInferenceRecord(deployments_pb2.GetInferenceRecordRequest(name=name))
    assert record.name == name
    assert record.deployment == "projects/default/deployments/double"
    assert record.model_version == "projects/default/models/double/versions/1"
    assert record.request_digest == digest([Tensor("x", "FP32", values)])
    assert record.response_digest == digest([Tensor("y", "FP32", values * 2)])
    assert (record.caller, record.client_request_id) == ("reader", "mine")
    assert (record.batch_size, record.row_count) == (1, 1)
    assert 0 < record.latency_ms < 10_000
    assert record.model_digest.startswith("sha256:")


async def test_nan_passes_through(running: Running) -> None:
    await running.serve("double", onnx_models.doubling())
    result = await running.client.infer(
        "double", inputs(np.array([[np.nan, np.inf, 1, -0.0]], np.float32)), headers=running.headers
    )
    assert np.array_equal(result.as_numpy("y"), np.array([[np.nan, np.inf, 2, -0.0]], np.float32), equal_nan=True)


async def test_two_hundred_requests_from_sixteen_clients_are_batched_and_all_right(running: Running) -> None:
    await running.serve("double", onnx_models.doubling())
    clients = [triton.InferenceServerClient(running.service.address) for _ in range(16)]

    async def ask(number: int) -> int:
        values = np.full((1 + number % 3, 4), number, np.float32)
        result = await clients[number % 16].infer("double", inputs(values), headers=running.headers)
        assert (result.as_numpy("y") == values * 2).all()
        name = f"projects/default/inferenceRecords/{request_id(result)}"
        record = await running.inference_records.GetInferenceRecord(
            deployments_pb2.GetInferenceRecordRequest(name=name)
        )
        assert record.row_count == len(values)
        return record.batch_size

    sizes = await asyncio.gather(*(ask(number) for number in range(200)))
    assert max(sizes) > 3
    for client in clients:
        await client.close()


async def test_the_synchronous_client_works_too(running: Running) -> None:
    await running.serve("simple", onnx_models.simple())

    def ask() -> list[np.ndarray]:
        with triton_sync.InferenceServerClient(running.service.address) as client:
            values = np.arange(16, dtype=np.int32).reshape(1, 16)
            given = []
            for name in ("INPUT0", "INPUT1"):
                given.append(triton_sync.InferInput(name, [1, 16], "INT32"))
                given[-1].set_data_from_numpy(values)
            result = client.infer("simple", given, headers=running.headers)
            return [result.as_numpy("OUTPUT0"), result.as_numpy("OUTPUT1")]

    total, difference = await asyncio.to_thread(ask)
    assert total.tolist() == [[2 * value for value in range(16)]]
    assert not difference.any()


async def test_texts_half_floats_and_brain_floats_travel_right(running: Running) -> None:
    await running.serve("texts", onnx_models.identity(TensorProto.STRING, ("rows",)))
    await running.serve("half", onnx_models.identity(TensorProto.FLOAT16, ("rows", 2)))
    await running.serve("brain", onnx_models.identity(TensorProto.BFLOAT16, ("rows", 2)))
    ask, headers = running.client.infer, running.headers

    texts = np.array([b"", "zwölf".encode(), b"a" * 70_000], np.object_)
    assert (await ask("texts", inputs(texts, "BYTES"), headers=headers)).as_numpy("y").tolist() == texts.tolist()
    half = np.array([[0.1, -65504]], np.float16)
    assert (await ask("half", inputs(half, "FP16"), headers=headers)).as_numpy("y").tolist() == half.tolist()
    brain = np.array([[1.5, -2]], ml_dtypes.bfloat16)
    assert (await ask("brain", inputs(brain, "BF16"), headers=headers)).as_numpy("y").tolist() == [[1.5, -2]]


async def test_typed_contents_give_the_same_answer_as_raw_ones(running: Running) -> None:
    await running.serve("double", onnx_models.doubling())
    raw = await running.stub.ModelInfer(infer("double", tensor("x", "FP32", [1, 4]), raw=[floats(1, 2, 3, 4)]))
    typed = await running.stub.ModelInfer(infer("double", tensor("x", "FP32", [1, 4], fp32_contents=[1, 2, 3, 4])))

    assert list(raw.raw_output_contents) == list(typed.raw_output_contents) == [floats(2, 4, 6, 8)]


async def test_only_the_outputs_that_are_asked_for_come(running: Running) -> None:
    await running.serve("simple", onnx_models.simple())
    given = inputs(np.ones((2, 16), np.int32), "INT32", "INPUT0") + inputs(
        np.ones((2, 16), np.int32), "INT32", "INPUT1"
    )
    result = await running.client.infer(
        "simple", given, outputs=[triton.InferRequestedOutput("OUTPUT1")], headers=running.headers
    )
    assert result.as_numpy("OUTPUT0") is None
    assert result.as_numpy("OUTPUT1").tolist() == [[0] * 16] * 2


async def test_a_stream_answers_each_request_and_survives_a_bad_one(running: Running) -> None:
    await running.serve("double", onnx_models.doubling())

    async def requests() -> Any:
        for number in range(3):
            given = np.full((1, 4), number, np.float32) if number != 1 else np.zeros((1, 3), np.float32)
            yield {"model_name": "double", "inputs": inputs(given), "request_id": str(number)}

    answers = [answer async for answer in running.client.stream_infer(requests(), headers=running.headers)]

    results, errors = zip(*answers, strict=True)
    assert [error is None for error in errors] == [True, False, True]
    assert "shape must be [-1, 4]" in str(errors[1])
    assert results[2].as_numpy("y").tolist() == [[4, 4, 4, 4]]
    assert results[2].get_response().id == "2"


async def test_what_was_asked_can_be_counted(running: Running) -> None:
    """P-32, M-92."""
    await running.serve("double", onnx_models.doubling())
    for _ in range(3):
        await running.client.infer("double", inputs(np.zeros((2, 4), np.float32)), headers=running.headers)
    with pytest.raises(InferenceServerException):
        await running.client.infer("double", inputs(np.zeros((2, 5), np.float32)), headers=running.headers)

    (counted,) = (await running.client.get_inference_statistics("double", headers=running.headers)).model_stats
    assert (counted.inference_count, counted.execution_count) == (6, 3)
    assert (counted.inference_stats.success.count, counted.inference_stats.fail.count) == (3, 1)
    assert counted.inference_stats.success.ns > 0
    assert [(batch.batch_size, batch.compute_infer.count) for batch in counted.batch_stats] == [(2, 3)]

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.service.admin_port}") as http:
        metrics = (await http.get("/metrics", headers=running.headers)).text
    model = 'deployment="projects/default/deployments/double"'
    assert f'headwater_inference_requests_total{{{model},reason="OK",version="1"}} 3.0' in metrics
    assert f'headwater_inference_requests_total{{{model},reason="SIGNATURE_MISMATCH",version="1"}} 1.0' in metrics
    assert f'headwater_inference_rows_total{{{model},version="1"}} 6.0' in metrics


@pytest.mark.parametrize(
    ("method", "request_type", "told"),
    [
        ("SystemSharedMemoryRegister", "SystemSharedMemoryRegisterRequest", "Shared memory is not supported"),
        ("CudaSharedMemoryRegister", "CudaSharedMemoryRegisterRequest", "CUDA shared memory is not supported"),
        ("TraceSetting", "TraceSettingRequest", "come from the environment"),
        ("LogSettings", "LogSettingsRequest", "come from the environment"),
    ],
)
async def test_what_is_not_supported_says_so_and_is_for_administrators(
    running: Running, method: str, request_type: str, told: str
) -> None:
    request = getattr(service_pb2, request_type)()
    administrator = service_pb2_grpc.GRPCInferenceServiceStub(running.admin)
    with pytest.raises(Unimplemented, match=told) as refused:
        await getattr(administrator, method)(request)
    assert refused.value.reason == "NOT_SUPPORTED"
    with pytest.raises(PermissionDenied):
        await getattr(running.stub, method)(request)


async def test_without_a_token_nothing_is_answered(running: Running) -> None:
    """Promise 14."""
    await running.serve("double", onnx_models.doubling())
    for headers in (None, {"authorization": "Bearer nonsense"}):
        with pytest.raises(InferenceServerException) as refused:
            await running.client.infer("double", inputs(np.zeros((1, 4), np.float32)), headers=headers)
        assert refused.value.status() == str(grpc.StatusCode.UNAUTHENTICATED)
        with pytest.raises(InferenceServerException):
            await running.client.is_server_live(headers=headers)


async def test_calls_in_flight_are_answered_when_the_service_stops(running: Running) -> None:
    """Promise 10. The records of the last answers are written before the process ends."""
    await running.serve("loop", onnx_models.counting_loop())
    given = inputs(np.array([[300_000]], np.int64), "INT64")
    calls = [asyncio.create_task(running.client.infer("loop", given, headers=running.headers)) for _ in range(5)]
    await asyncio.sleep(0.1)
    assert not any(call.done() for call in calls)

    await running.service.stop()

    results = await asyncio.gather(*calls)
    assert all(result.as_numpy("y").tolist() == [[300_000]] for result in results)
    kept = await running.records.page(RecordQuery("default"), None, 10)
    assert {record.request_id for record in kept} == {request_id(result) for result in results}


async def test_records_are_listed_newest_first(running: Running) -> None:
    await running.serve("double", onnx_models.doubling())
    await running.serve("other", onnx_models.doubling())
    asked = []
    for name in ("double", "other", "double", "double"):
        asked.append(await running.client.infer(name, inputs(np.zeros((1, 4), np.float32)), headers=running.headers))
    ids = [request_id(result) for result in asked]

    async def listed(deployment: str, token: str = "") -> deployments_pb2.ListInferenceRecordsResponse:
        return await running.inference_records.ListInferenceRecords(
            deployments_pb2.ListInferenceRecordsRequest(
                parent="projects/default", page_size=2, page_token=token, deployment=deployment
            )
        )

    first = await listed("projects/default/deployments/double")
    second = await listed("projects/default/deployments/double", first.next_page_token)
    found = [record.name.rpartition("/")[2] for record in (*first.inference_records, *second.inference_records)]
    assert found == [ids[3], ids[2], ids[0]]
    assert not second.next_page_token
    assert len((await listed("")).inference_records) == 2


async def test_the_settings_are_shown(running: Running) -> None:
    """M-91."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.service.admin_port}") as http:
        shown = json.dumps((await http.get("/varz", headers=running.headers)).json())
    assert "engine_timeout_s" in shown
