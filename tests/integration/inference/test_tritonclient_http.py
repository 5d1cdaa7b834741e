"""KServe v2 over HTTP/REST, asked by the stock tritonclient.http as Triton's own examples do (R-62)."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import ml_dtypes
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from chassis.auth import Authenticator, Role
from tests.integration.inference.example_service import MODELS, Examples, on_free_ports, running

COUNTING = np.arange(16, dtype=np.int32).reshape(1, 16)
ONES = np.ones((1, 16), np.int32)


@pytest.fixture(scope="module")
def examples() -> Iterator[Examples]:
    """The service."""
    with running(Authenticator(b"k" * 32), on_free_ports(max_message_bytes=2**20)) as started:
        yield started


@pytest.fixture
def client(examples: Examples) -> Iterator[Any]:
    """The stock client."""
    with triton.InferenceServerClient(examples.http, concurrency=4) as made:
        yield made


@pytest.fixture
def headers(examples: Examples) -> dict[str, str]:
    """What somebody sends who may read."""
    return examples.headers(Role.READER, subject="reader")


@pytest.fixture
def http(examples: Examples, headers: dict[str, str]) -> Iterator[httpx.Client]:
    """A client without knowledge of the protocol."""
    with httpx.Client(base_url=f"http://{examples.http}", headers=headers) as made:
        yield made


def two(first: np.ndarray, second: np.ndarray, datatype: str, *, binary: bool = True) -> list[Any]:
    given = []
    for name, values in (("INPUT0", first), ("INPUT1", second)):
        given.append(triton.InferInput(name, list(values.shape), datatype))
        given[-1].set_data_from_numpy(values, binary_data=binary)
    return given


def one(values: np.ndarray, datatype: str, name: str = "x", *, binary: bool = True) -> list[Any]:
    given = triton.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values, binary_data=binary)
    return [given]


def plain(name: str = "x", shape: Any = (1, 4), data: Any = (1, 2, 3, 4), datatype: str = "FP32", **more: Any) -> Any:
    return {"inputs": [{"name": name, "shape": shape, "datatype": datatype, "data": data, **more}]}


def test_the_stock_client_learns_what_is_served(client: Any, headers: dict[str, str]) -> None:
    assert client.is_server_live(headers=headers, query_params={"test_1": 1})
    assert client.is_server_ready(headers=headers)
    assert client.is_model_ready("simple", headers=headers)
    assert client.is_model_ready("simple", "1", headers=headers)
    assert not client.is_model_ready("simple", "2", headers=headers)
    assert not client.is_model_ready("nothing", headers=headers)
    server = client.get_server_metadata(headers=headers)
    assert server["name"] == "headwater"
    assert "binary_tensor_data" in server["extensions"]
    assert "system_shared_memory" not in server["extensions"]
    metadata = client.get_model_metadata("simple", headers=headers)
    assert metadata["inputs"][0] == {"name": "INPUT0", "datatype": "INT32", "shape": [-1, 16]}
    config = client.get_model_config("simple", "1", headers=headers)
    assert (config["max_batch_size"], config["input"][1]["dims"]) == (64, [16])
    assert config["input"][0]["data_type"] == "TYPE_INT32"
    assert config["dynamic_batching"]["default_queue_policy"]["max_queue_size"] == 1024
    index = client.get_model_repository_index(headers=headers)
    assert {each["name"] for each in index} == set(MODELS)
    assert {each["state"] for each in index} == {"READY"}
    with pytest.raises(InferenceServerException, match="Request for unknown model") as refused:
        client.get_model_metadata("wrong_model_name", headers=headers)
    assert refused.value.status() == "404"


@pytest.mark.parametrize("binary", [True, False])
def test_sum_and_difference_come_back_binary_or_as_json(client: Any, headers: dict[str, str], binary: bool) -> None:
    given = two(COUNTING, ONES, "INT32", binary=binary)
    outputs = [
        triton.InferRequestedOutput("OUTPUT0", binary_data=binary),
        triton.InferRequestedOutput("OUTPUT1", binary_data=not binary),
    ]
    result = client.infer("simple", given, outputs=outputs, request_id="mine", headers=headers)

    assert np.array_equal(result.as_numpy("OUTPUT0"), COUNTING + ONES)
    assert np.array_equal(result.as_numpy("OUTPUT1"), COUNTING - ONES)
    answer = result.get_response()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("mine", "simple", "1")
    assert len(answer["parameters"]["headwater_request_id"]) > 20
    everything = client.infer("simple", given, headers=headers)
    assert np.array_equal(everything.as_numpy("OUTPUT1"), COUNTING - ONES)


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
def test_bodies_are_packed_both_ways(client: Any, headers: dict[str, str], packing: str) -> None:
    rows = np.tile(COUNTING, (64, 1))
    result = client.infer(
        "simple",
        two(rows, rows, "INT32"),
        request_compression_algorithm=packing,
        response_compression_algorithm=packing,
        headers=headers,
    )
    assert np.array_equal(result.as_numpy("OUTPUT0"), rows * 2)


def test_texts_bytes_and_small_numbers_travel_right(client: Any, headers: dict[str, str]) -> None:
    words = np.array([[str(number).encode() for number in range(16)]], np.object_)
    ones = np.array([[b"1"] * 16], np.object_)
    for binary in (True, False):
        mine = dict(headers)  # the client notes the length of the JSON in it, also for the next call
        result = client.infer("simple_string", two(words, ones, "BYTES", binary=binary), headers=mine)
        assert [int(each) for each in result.as_numpy("OUTPUT0")[0]] == list(range(1, 17))
    raw = np.array([["zwölf".encode(), b"a\x00"]], np.object_)
    result = client.infer("simple_identity", one(raw, "BYTES", "INPUT0"), headers=headers)
    assert result.as_numpy("OUTPUT0").tolist() == raw.tolist()
    small = two(COUNTING.astype(np.int8), ONES.astype(np.int8), "INT8")
    assert np.array_equal(client.infer("simple_int8", small, headers=headers).as_numpy("OUTPUT0"), COUNTING + 1)


def test_half_and_brain_floats_travel_right(client: Any, http: httpx.Client, headers: dict[str, str]) -> None:
    half = np.array([[0.1, -65504]], np.float16)
    assert client.infer("half", one(half, "FP16"), headers=headers).as_numpy("y").tolist() == half.tolist()
    brain = np.array([[1.5, -2]], ml_dtypes.bfloat16)
    assert client.infer("brain", one(brain, "BF16"), headers=headers).as_numpy("y").tolist() == [[1.5, -2]]
    told = http.post("/v2/models/half/infer", json=plain(shape=[1, 2], data=[0.5, 2], datatype="FP16")).json()
    assert told["outputs"][0]["data"] == [0.5, 2.0]
    outputs = [triton.InferRequestedOutput("y", binary_data=False)]
    told = client.infer("brain", one(brain, "BF16"), outputs=outputs, headers=headers).get_response()
    assert told["outputs"][0]["data"] == [1.5, -2.0]


def test_the_second_tensor_may_lie_anywhere(http: httpx.Client) -> None:
    """Behind one byte of text numbers are not where the processor wants them."""
    values = np.array([[1, 2, 3, 4]], "<f4").tobytes()
    for space in range(4):
        document = plain(parameters={"binary_data_size": 16})
        del document["inputs"][0]["data"]
        text = json.dumps(document).encode() + b" " * space
        answer = http.post(
            "/v2/models/double/infer",
            content=text + values,
            headers={"inference-header-content-length": str(len(text))},
        )
        assert answer.json()["outputs"][0]["data"] == [2, 4, 6, 8]


def test_nested_lists_and_nan_are_read(http: httpx.Client) -> None:
    text = json.dumps(plain(data=[[1, 2.5, float("nan"), float("-inf")]]))
    answer = http.post("/v2/models/double/infer", content=text)
    assert answer.status_code == 200
    data = json.loads(answer.text)["outputs"][0]["data"]
    assert data[:2] == [2, 5]
    assert np.isnan(data[2])
    assert data[3] == float("-inf")


def test_the_highest_classes_come_as_texts(client: Any, headers: dict[str, str]) -> None:
    rows = np.concatenate([COUNTING, COUNTING[:, ::-1]])
    outputs = [triton.InferRequestedOutput("OUTPUT0", class_count=3)]
    result = client.infer("simple", two(rows, rows, "INT32"), outputs=outputs, headers=headers)
    assert result.as_numpy("OUTPUT0").tolist() == [[b"30:15", b"28:14", b"26:13"], [b"30:0", b"28:1", b"26:2"]]


def test_requests_at_once_are_answered_each(client: Any, headers: dict[str, str]) -> None:
    waiting = [
        client.async_infer("double", one(np.full((1, 4), number, np.float32), "FP32"), headers=headers)
        for number in range(8)
    ]
    assert [each.get_result().as_numpy("y")[0, 0] for each in waiting] == [2 * number for number in range(8)]


async def test_the_asynchronous_client_works_too(examples: Examples, headers: dict[str, str]) -> None:
    async with triton_aio.InferenceServerClient(examples.http) as client:
        assert await client.is_server_ready(headers=headers)
        given = triton_aio.InferInput("x", [1, 4], "FP32")
        given.set_data_from_numpy(np.ones((1, 4), np.float32))
        result = await client.infer("double", [given], headers=headers)
        assert result.as_numpy("y").tolist() == [[2] * 4]


def test_statistics_tell_of_batches(client: Any, headers: dict[str, str]) -> None:
    """P-32."""
    for _ in range(2):
        client.infer("half", one(np.ones((3, 2), np.float16), "FP16"), headers=headers)
    (model,) = client.get_inference_statistics("half", headers=headers)["model_stats"]
    assert 3 in [batch["batch_size"] for batch in model["batch_stats"]]
    assert model["inference_stats"]["success"]["count"] >= 2
    assert model["inference_stats"]["fail"] == {"count": 0, "ns": 0}
    everything = client.get_inference_statistics(headers=headers)["model_stats"]
    assert {each["name"] for each in everything} == set(MODELS)


def test_unloading_pauses_a_model_and_loading_resumes_it(examples: Examples, client: Any) -> None:
    admin = examples.headers(Role.ADMIN)
    client.unload_model("simple_int8", headers=admin)
    assert not client.is_model_ready("simple_int8", headers=admin)
    (told,) = [each for each in client.get_model_repository_index(headers=admin) if each["name"] == "simple_int8"]
    assert (told["state"], told["reason"]) == ("UNAVAILABLE", "unloaded")
    client.load_model("simple_int8", headers=admin)
    assert client.is_model_ready("simple_int8", headers=admin)
    client.load_model("simple_int8", config='{"max_batch_size":"16"}', headers=admin)
    assert client.get_model_config("simple_int8", headers=admin)["max_batch_size"] == 16
    with pytest.raises(InferenceServerException, match="failed to load 'simple_int8': 'backend' of config"):
        client.load_model("simple_int8", config='{"backend":"python"}', headers=admin)
    with pytest.raises(InferenceServerException, match="failed to load 'simple_int8': config must be a JSON object"):
        client.load_model("simple_int8", config='"parameters": {', headers=admin)
    with pytest.raises(InferenceServerException, match=r"failed to load.*files come from the registry"):
        client.load_model("simple_int8", config="{}", files={"file:1/model.onnx": b"a"}, headers=admin)
    with pytest.raises(InferenceServerException, match="failed to load 'wrong'") as refused:
        client.load_model("wrong", headers=admin)
    assert refused.value.status() == "404"
    with pytest.raises(InferenceServerException, match="failed to unload 'wrong'"):
        client.unload_model("wrong", headers=admin)


def test_who_may_read_may_not_load(client: Any, headers: dict[str, str]) -> None:
    for ask in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="needs the role admin") as refused:
            ask("simple", headers=headers)
        assert refused.value.status() == "403"


def test_what_is_not_done_says_what_to_do_instead(examples: Examples, client: Any) -> None:
    admin = examples.headers(Role.ADMIN)
    with pytest.raises(InferenceServerException, match="send tensors in the messages") as refused:
        client.register_system_shared_memory("a", "/headwater-a", 64, headers=admin)
    assert refused.value.status() == "501"
    for ask in (client.get_system_shared_memory_status, client.unregister_system_shared_memory):
        with pytest.raises(InferenceServerException, match="not supported"):
            ask(headers=admin)
    for ask in (client.get_log_settings, client.get_trace_settings, client.get_cuda_shared_memory_status):
        with pytest.raises(InferenceServerException) as refused:
            ask(headers=admin)
        assert refused.value.status() == "501"


def test_the_request_id_and_the_retry_hint_are_in_headers(http: httpx.Client) -> None:
    answer = http.post("/v2/models/double/infer", json=plain())
    assert answer.headers["headwater-request-id"] == answer.json()["parameters"]["headwater_request_id"]
    refused = http.post("/v2/models/nothing/infer", json=plain())
    assert refused.status_code == 404
    assert refused.json()["reason"] == "MODEL_NOT_FOUND"


def test_other_paths_and_methods_are_refused(http: httpx.Client) -> None:
    assert http.get("/v2/nothing").json()["reason"] == "NO_SUCH_PATH"
    assert http.get("/").status_code == 404
    wrong = http.get("/v2/models/double/infer")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert http.get("/v2/models//ready").status_code == 404


def test_nobody_is_answered_without_a_token(examples: Examples) -> None:
    """Promise 14; every route is tried in tests/promises."""
    answer = httpx.get(f"http://{examples.http}/v2/health/live")
    assert answer.status_code == 401
    assert answer.json()["reason"] == "UNAUTHENTICATED"
    assert isinstance(answer.json()["error"], str)


def test_a_head_that_does_not_end_is_cut_off(examples: Examples) -> None:
    host, _, port = examples.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /v2 HTTP/1.1\r\nhost: a\r\nx: ")
        answer = b""
        try:
            for _ in range(64):
                connection.sendall(b"a" * 8192)
            answer = connection.recv(4096)
        except ConnectionError:
            return
        assert answer.startswith(b"HTTP/1.1 431")
