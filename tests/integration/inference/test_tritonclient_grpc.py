"""KServe v2 over gRPC, asked by the stock tritonclient.grpc as Triton's own examples do (R-62)."""

import asyncio
import queue
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
import tritonclient.http as triton_http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from chassis.auth import Authenticator, Role
from tests.integration.inference.example_service import MODELS, Examples, on_free_ports, running
from tests.integration.inference.messages import infer, tensor

COUNTING = np.arange(16, dtype=np.int32).reshape(1, 16)
ONES = np.ones((1, 16), np.int32)


@pytest.fixture(scope="module")
def examples() -> Iterator[Examples]:
    """The service."""
    with running(Authenticator(b"k" * 32), on_free_ports()) as started:
        yield started


@pytest.fixture
def client(examples: Examples) -> Iterator[Any]:
    """The stock client."""
    with triton.InferenceServerClient(examples.grpc) as made:
        yield made


@pytest.fixture
def headers(examples: Examples) -> dict[str, str]:
    """What somebody sends who may read."""
    return examples.headers(Role.READER, subject="reader")


@pytest.fixture
def stub(examples: Examples) -> Iterator[Any]:
    """The protocol's own stub, for what the client does not send."""
    with grpc.insecure_channel(examples.grpc) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def two(first: np.ndarray, second: np.ndarray, datatype: str) -> list[Any]:
    given = []
    for name, values in (("INPUT0", first), ("INPUT1", second)):
        given.append(triton.InferInput(name, list(values.shape), datatype))
        given[-1].set_data_from_numpy(values)
    return given


def one(values: np.ndarray, datatype: str, name: str = "x") -> list[Any]:
    given = triton.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values)
    return [given]


def test_what_is_told_of_server_and_models(client: Any, headers: dict[str, str]) -> None:
    server = client.get_server_metadata(headers=headers)
    assert {"classification", "model_repository", "statistics"} <= set(server.extensions)
    config = client.get_model_config("simple", headers=headers).config
    assert (config.backend, config.platform) == ("onnxruntime", "onnxruntime_onnx")
    assert list(config.version_policy.specific.versions) == [1]
    assert config.dynamic_batching.default_queue_policy.max_queue_size == 1024
    assert config.default_model_filename == "model.onnx"
    assert config.instance_group[0].count == 1
    index = client.get_model_repository_index(headers=headers).models
    assert {each.name for each in index} == set(MODELS)
    with pytest.raises(InferenceServerException, match="Request for unknown model"):
        client.get_model_metadata("wrong_model_name", headers=headers)


def test_numbers_texts_and_small_numbers(client: Any, headers: dict[str, str]) -> None:
    result = client.infer("simple", two(COUNTING, ONES, "INT32"), request_id="mine", headers=headers)
    assert np.array_equal(result.as_numpy("OUTPUT0"), COUNTING + ONES)
    assert np.array_equal(result.as_numpy("OUTPUT1"), COUNTING - ONES)
    words = np.array([[str(number).encode() for number in range(16)]], np.object_)
    texts = client.infer("simple_string", two(words, np.full_like(words, b"1"), "BYTES"), headers=headers)
    assert [int(each) for each in texts.as_numpy("OUTPUT1")[0]] == list(range(-1, 15))
    nul = np.array([[b"a\x00b", b""]], np.object_)
    assert client.infer("simple_identity", one(nul, "BYTES", "INPUT0"), headers=headers).as_numpy(
        "OUTPUT0"
    ).tolist() == [[b"a\x00b", b""]]


def test_typed_contents_of_numbers_and_texts(stub: Any, headers: dict[str, str]) -> None:
    metadata = tuple(headers.items())
    for name, datatype in (("simple", "INT32"), ("simple_int8", "INT8")):
        given = [
            tensor("INPUT0", datatype, [1, 16], int_contents=list(range(16))),
            tensor("INPUT1", datatype, [1, 16], int_contents=[1] * 16),
        ]
        answer = stub.ModelInfer(infer(name, *given), metadata=metadata)
        kind = np.int32 if datatype == "INT32" else np.int8
        assert np.frombuffer(answer.raw_output_contents[0], kind).tolist() == list(range(1, 17))
    given = [
        tensor("INPUT0", "BYTES", [1, 16], bytes_contents=[str(number).encode() for number in range(16)]),
        tensor("INPUT1", "BYTES", [1, 16], bytes_contents=[b"1"] * 16),
    ]
    assert stub.ModelInfer(infer("simple_string", *given), metadata=metadata).outputs[0].datatype == "BYTES"


def test_wrong_requests_are_refused_in_the_words_that_tritons_examples_look_for(
    stub: Any, headers: dict[str, str]
) -> None:
    """grpc_explicit_int_content_client.py and grpc_explicit_int8_content_client.py end with these two."""
    metadata = tuple(headers.items())
    inputs = [tensor(name, "INT32", [1, 16], int_contents=[1] * 16) for name in ("INPUT0", "INPUT1")]
    said = "contents field must not be specified when using raw_input_contents for 'INPUT0' for model 'simple'"
    with pytest.raises(grpc.RpcError, match=said) as twice:
        stub.ModelInfer(infer("simple", *inputs, raw=[COUNTING.tobytes()]), metadata=metadata)
    assert twice.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    said = "failed to get model version from specified version string 'wrong_specification'"
    with pytest.raises(grpc.RpcError, match=said):
        stub.ModelInfer(infer("simple", *inputs, model_version="wrong_specification"), metadata=metadata)
    with pytest.raises(grpc.RpcError, match="This version is not served"):
        stub.ModelInfer(infer("simple", *inputs, model_version="2"), metadata=metadata)


def test_callbacks_and_channel_arguments(examples: Examples, headers: dict[str, str]) -> None:
    arguments = [("grpc.max_send_message_length", 2**20), ("grpc.keepalive_timeout_ms", 20_000)]
    answers: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(examples.grpc, channel_args=arguments) as client:
        for _ in range(3):
            client.async_infer(
                "simple",
                two(COUNTING, ONES, "INT32"),
                callback=lambda result, error: answers.put((result, error)),
                headers=headers,
            )
        for _ in range(3):
            result, error = answers.get(timeout=10)
            assert error is None
            assert np.array_equal(result.as_numpy("OUTPUT0"), COUNTING + ONES)


class Token(triton.InferenceServerClientPlugin):  # type: ignore[misc]  # tritonclient says no types
    """What a user registers with a client, so that every call carries the token."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._headers = headers

    def __call__(self, request: Any) -> None:
        """Add the headers, as tritonclient asks for it: in place."""
        request.headers.update(self._headers)


def test_a_plugin_of_the_client_sends_the_token_with_every_call(examples: Examples, headers: dict[str, str]) -> None:
    for module, address in ((triton, examples.grpc), (triton_http, examples.http)):
        with module.InferenceServerClient(address) as client:
            with pytest.raises(InferenceServerException, match="Valid credentials are needed"):
                client.get_model_metadata("simple")
            client.register_plugin(Token(headers))
            assert client.get_model_metadata("simple")
            assert client.infer("double", double(module)).as_numpy("y").tolist() == [[2, 2, 2, 2]]


def double(module: Any) -> list[Any]:
    given = module.InferInput("x", [1, 4], "FP32")
    given.set_data_from_numpy(np.ones((1, 4), np.float32))
    return [given]


def test_the_asynchronous_client_has_many_packed_calls_in_flight(examples: Examples, headers: dict[str, str]) -> None:
    async def ask() -> list[Any]:
        async with triton_aio.InferenceServerClient(examples.grpc) as client:
            packed = [None, "gzip", "deflate"] * 20
            given = two(COUNTING, ONES, "INT32")
            calls = [client.infer("simple", given, headers=headers, compression_algorithm=each) for each in packed]
            return await asyncio.gather(*calls)

    for result in asyncio.run(ask()):
        assert np.array_equal(result.as_numpy("OUTPUT0"), COUNTING + ONES)


def test_the_highest_classes_come_as_texts(client: Any, headers: dict[str, str]) -> None:
    values = np.array([[0.5, np.nan, 2, 2]], np.float32)
    outputs = [triton.InferRequestedOutput("y", class_count=9)]
    result = client.infer("double", one(values, "FP32"), outputs=outputs, headers=headers)
    assert result.as_numpy("y").tolist() == [[b"4.000000:2", b"4.000000:3", b"1.000000:0", b"nan:1"]]
    outputs = [triton.InferRequestedOutput("OUTPUT0", class_count=1)]
    texts = one(np.array([[b"a"]], np.object_), "BYTES", "INPUT0")
    with pytest.raises(InferenceServerException, match="classes need an output of numbers; it is BYTES"):
        client.infer("simple_identity", texts, outputs=outputs, headers=headers)


def test_a_stream_is_computed_together_and_answered_in_order(client: Any, headers: dict[str, str]) -> None:
    """While the first is computed the others queue up; were they taken one by one, no batch could have two rows."""
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
    turns = [60_000, *range(1, 8)]
    for number, value in enumerate(turns):
        client.async_stream_infer(
            "loop",
            one(np.array([[value]], np.int64), "INT64"),
            request_id=str(number),
            enable_empty_final_response=number == 7,
        )
    for number, value in enumerate(turns):
        result, error = answers.get(timeout=20)
        assert error is None
        answer = result.get_response()
        assert (answer.id, result.as_numpy("y").tolist()) == (str(number), [[value]])
        assert ("triton_final_response" in answer.parameters) == (number == 7)
    client.stop_stream()
    (model,) = client.get_inference_statistics("loop", headers=headers).model_stats
    assert max(batch.batch_size for batch in model.batch_stats) > 1


def test_a_bad_request_of_a_stream_harms_no_other(client: Any, headers: dict[str, str]) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
    for name, parameters in (("double", None), ("nothing", None), ("double", {"speed": 1}), ("double", None)):
        client.async_stream_infer(name, one(np.ones((1, 4), np.float32), "FP32"), parameters=parameters)
    errors = [answers.get(timeout=10)[1] for _ in range(4)]
    client.stop_stream()
    assert [error is None for error in errors] == [True, False, False, True]
    assert "Request for unknown model" in str(errors[1])
    assert "no parameter 'speed'" in str(errors[2])


def test_an_error_can_be_the_status_of_the_stream(client: Any, headers: dict[str, str]) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    strict = {**headers, "triton_grpc_error": "true"}
    client.start_stream(lambda result, error: answers.put((result, error)), headers=strict)
    for name in ("double", "nothing"):
        client.async_stream_infer(name, one(np.ones((1, 4), np.float32), "FP32"))
    (_, first), (_, second) = (answers.get(timeout=10) for _ in range(2))
    client.stop_stream()
    assert first is None
    assert second.status() == "StatusCode.NOT_FOUND"


def test_loading_and_unloading(examples: Examples, client: Any, headers: dict[str, str]) -> None:
    admin = examples.headers(Role.ADMIN)
    client.unload_model("half", headers=admin, unload_dependents=True)
    client.unload_model("half", headers=admin)
    assert not client.is_model_ready("half", headers=admin)
    with pytest.raises(InferenceServerException, match="state=UNLOADED"):
        client.infer("half", one(np.ones((1, 2), np.float16), "FP16"), headers=headers)
    (told,) = [each for each in client.get_model_repository_index(headers=admin).models if each.name == "half"]
    assert (told.state, told.reason) == ("UNAVAILABLE", "unloaded")
    client.load_model("half", headers=admin)
    client.load_model("half", config='{"max_batch_size": 2}', headers=admin)
    assert client.get_model_config("half", headers=admin).config.max_batch_size == 2
    for config, text in (
        ('{"max_batch_size": 0}', "max_batch_size must be from 1"),
        ('{"max_batch_size": true}', "max_batch_size must be from 1"),
        ("[" * 100_000, "config must be a JSON object"),
        ('{"name": "x"}', "'name' of config cannot be changed"),
    ):
        with pytest.raises(InferenceServerException, match=f"failed to load 'half': {text}"):
            client.load_model("half", config=config, headers=admin)
    with pytest.raises(InferenceServerException, match="failed to load 'wrong_model_name'"):
        client.load_model("wrong_model_name", headers=admin)
    with pytest.raises(InferenceServerException, match="needs the role admin"):
        client.unload_model("half", headers=headers)


def test_other_parameters_of_loading_are_refused_by_name(stub: Any, examples: Examples) -> None:
    metadata = tuple(examples.headers(Role.ADMIN).items())
    load = service_pb2.RepositoryModelLoadRequest(model_name="half")
    load.parameters["speed"].int64_param = 1
    with pytest.raises(grpc.RpcError, match="there is no parameter 'speed'; config is known"):
        stub.RepositoryModelLoad(load, metadata=metadata)
    unload = service_pb2.RepositoryModelUnloadRequest(model_name="half")
    unload.parameters["unload_dependents"].string_param = "yes"
    with pytest.raises(grpc.RpcError, match="unload_dependents must be true or false"):
        stub.RepositoryModelUnload(unload, metadata=metadata)
    unload.repository_name = "mine"
    with pytest.raises(grpc.RpcError, match="There is one repository"):
        stub.RepositoryModelUnload(unload, metadata=metadata)


def test_two_routing_keys_that_differ_are_refused(stub: Any, headers: dict[str, str]) -> None:
    request = infer("double", tensor("x", "FP32", [1, 4], fp32_contents=[1, 2, 3, 4]))
    request.parameters["headwater_routing_key"].string_param = "one"
    metadata = (*headers.items(), ("headwater-routing-key", "one"))
    assert stub.ModelInfer(request, metadata=metadata).model_name == "double"
    with pytest.raises(grpc.RpcError, match="headwater_routing_key differ"):
        stub.ModelInfer(request, metadata=(*headers.items(), ("headwater-routing-key", "two")))


def test_sequences_are_refused_clearly(client: Any, headers: dict[str, str]) -> None:
    with pytest.raises(InferenceServerException, match="Stateful models are not served"):
        client.infer(
            "double", one(np.ones((1, 4), np.float32), "FP32"), sequence_id=7, sequence_start=True, headers=headers
        )
