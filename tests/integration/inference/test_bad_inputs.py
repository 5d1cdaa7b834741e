"""Everything in the Inference row of the promises that a caller can send wrong.

After each of them the same facts hold: the error is clean and names what was expected and what came, the process is the
same, and a canary is answered rightly.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import psutil
import pytest
import pytest_asyncio
from onnx import TensorProto
from tritonclient.grpc import service_pb2

from headwater.errors import (
    Code,
    DeadlineExceeded,
    HeadwaterError,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from headwater.inference.v1 import deployments_pb2
from services.inference.engines.loader import Isolation
from tests.integration.inference import canceller
from tests.integration.inference.conftest import Running
from tests.integration.inference.messages import floats, infer, tensor, texts
from tests.unit.inference import onnx_models
from tests.unit.inference.waiting import eventually

ROW = floats(1, 2, 3, 4)


@pytest_asyncio.fixture
async def service(running: Running) -> AsyncIterator[Running]:
    """The service with a model of each kind; the facts are looked at after the test."""
    await asyncio.gather(
        running.serve("double", onnx_models.doubling()),
        running.serve("simple", onnx_models.simple()),
        running.serve("texts", onnx_models.identity(TensorProto.STRING, ("rows",))),
        running.serve("half", onnx_models.identity(TensorProto.FLOAT16, ("rows", 2))),
        running.serve("fixed", onnx_models.simple(rows=1)),
    )
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    yield running
    assert process.memory_info().rss - before < 64 * 2**20
    answer = await running.stub.ModelInfer(infer("double", tensor("x", "FP32", [1, 4]), raw=[ROW]))
    assert list(answer.raw_output_contents) == [floats(2, 4, 6, 8)]
    assert running.service.ready


def two(datatype: str = "INT32", shape: tuple[int, ...] = (1, 16)) -> list[Any]:
    return [tensor(name, datatype, shape) for name in ("INPUT0", "INPUT1")]


X = tensor("x", "FP32", [1, 4])
INTS = b"\0" * 64

WAITING = deployments_pb2.CreateDeploymentRequest(
    parent="projects/default",
    deployment_id="waiting",
    deployment=deployments_pb2.Deployment(model="projects/default/models/none", version="1"),
)

BAD = {
    "missing input": (infer("simple", two()[0], raw=[INTS]), "SIGNATURE_MISMATCH", "lacks 'INPUT1'"),
    "no input": (infer("double"), "SIGNATURE_MISMATCH", "takes the inputs 'x'; the request lacks 'x'"),
    "unknown input": (infer("double", X, tensor("z", "FP32", [1]), raw=[ROW, floats(1)]), "SIGNATURE_MISMATCH", "'z'"),
    "another name": (infer("double", tensor("z", "FP32", [1, 4]), raw=[ROW]), "SIGNATURE_MISMATCH", "'x' and has 'z'"),
    "duplicate input": (infer("double", X, X, raw=[ROW, ROW]), "INVALID_REQUEST", "'x' comes twice"),
    "too few bytes": (infer("double", X, raw=[ROW[:-1]]), "INVALID_TENSOR", "takes 16 bytes; 15 came"),
    "too many bytes": (infer("double", X, raw=[ROW + b"\0"]), "INVALID_TENSOR", "takes 16 bytes; 17 came"),
    "unknown datatype": (
        infer("double", tensor("x", "FLOAT", [1, 4]), raw=[ROW]),
        "INVALID_TENSOR",
        "must be one of BOOL, UINT8.*it is 'FLOAT'",
    ),
    "another datatype": (
        infer("double", tensor("x", "INT32", [1, 4]), raw=[ROW]),
        "SIGNATURE_MISMATCH",
        "must be FP32; it is INT32",
    ),
    "another rank": (
        infer("double", tensor("x", "FP32", [4]), raw=[ROW]),
        "SIGNATURE_MISMATCH",
        r"must be \[-1, 4\].*it is \[4\]",
    ),
    "another dimension": (
        infer("double", tensor("x", "FP32", [1, 3]), raw=[ROW[:12]]),
        "SIGNATURE_MISMATCH",
        r"it is \[1, 3\]",
    ),
    "a batch for a model without": (
        infer("fixed", *two(shape=(2, 16)), raw=[INTS * 2] * 2),
        "SIGNATURE_MISMATCH",
        r"must be \[1, 16\]",
    ),
    "rows that differ": (
        infer("simple", two()[0], two(shape=(2, 16))[1], raw=[INTS, INTS * 2]),
        "SIGNATURE_MISMATCH",
        "'INPUT0' has 1, 'INPUT1' has 2",
    ),
    "negative dimension": (infer("double", tensor("x", "FP32", [-1, 4]), raw=[ROW]), "INVALID_TENSOR", "negative"),
    "overflowing shape": (infer("double", tensor("x", "FP32", [2**62, 4]), raw=[b""]), "INVALID_TENSOR", "larger than"),
    "empty overflowing shape": (
        infer("double", tensor("x", "FP32", [0, 2**62]), raw=[b""]),
        "INVALID_TENSOR",
        "larger than",
    ),
    "both contents": (
        infer("double", tensor("x", "FP32", [1, 4], fp32_contents=[1, 2, 3, 4]), raw=[ROW]),
        "INVALID_REQUEST",
        "use one of them",
    ),
    "more raw than inputs": (infer("double", X, raw=[ROW, ROW]), "INVALID_REQUEST", "one entry per input, 1; it has 2"),
    "contents of another type": (
        infer("double", tensor("x", "FP32", [1, 4], fp64_contents=[1, 2, 3, 4])),
        "INVALID_TENSOR",
        "must come in contents.fp32_contents; contents.fp64_contents came",
    ),
    "contents of two types": (
        infer("double", tensor("x", "FP32", [1, 4], fp32_contents=[1, 2, 3, 4], int_contents=[1])),
        "INVALID_TENSOR",
        "contents.int_contents came",
    ),
    "too few contents": (
        infer("double", tensor("x", "FP32", [1, 4], fp32_contents=[1])),
        "INVALID_TENSOR",
        "takes 4 elements; 1 came",
    ),
    "typed half floats": (
        infer("half", tensor("x", "FP16", [1, 2], fp32_contents=[1, 2])),
        "INVALID_TENSOR",
        "FP16 must come in raw_input_contents",
    ),
    "a text beyond the end": (
        infer("texts", tensor("x", "BYTES", [1]), raw=[b"\xff\xff\xff\x7fabc"]),
        "INVALID_TENSOR",
        "claims 2147483647 bytes; 3 are left",
    ),
    "too few texts": (infer("texts", tensor("x", "BYTES", [2]), raw=[texts(b"a")]), "INVALID_TENSOR", "2 elements"),
    "a billion texts": (infer("texts", tensor("x", "BYTES", [10**9]), raw=[texts(b"a")]), "INVALID_TENSOR", "at least"),
    "a text that is not UTF-8": (
        infer("texts", tensor("x", "BYTES", [1]), raw=[texts(b"\xff")]),
        "INVALID_TENSOR",
        "UTF-8",
    ),
    "unknown output": (
        infer("double", X, raw=[ROW], outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="z")]),
        "SIGNATURE_MISMATCH",
        "no output 'z'; it has 'y'",
    ),
    "an output twice": (
        infer("double", X, raw=[ROW], outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name="y")] * 2),
        "SIGNATURE_MISMATCH",
        "asked for twice",
    ),
    "a long id": (infer("double", X, raw=[ROW], id="i" * 256), "INVALID_REQUEST", "255 characters; it has 256"),
    "NUL in a name": (infer("double", tensor("x\0", "FP32", [1, 4]), raw=[ROW]), "INVALID_FIELDS", "NUL"),
    "a megabyte of name": (infer("double", tensor("x" * 2**20, "FP32", [1, 4]), raw=[ROW]), "SIGNATURE_MISMATCH", "x"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_request_is_refused_with_what_was_expected_and_what_came(service: Running, case: str) -> None:
    request, reason, told = BAD[case]
    with pytest.raises(InvalidArgument, match=told) as refused:
        await service.stub.ModelInfer(request)
    assert refused.value.reason == reason
    assert refused.value.trace_id
    assert len(refused.value.message) < 1000


@pytest.mark.parametrize(
    ("name", "reason"), [("nothing", "MODEL_NOT_FOUND"), ("", "MODEL_NOT_FOUND"), ("../double", "MODEL_NOT_FOUND")]
)
async def test_an_unknown_model_is_not_found(service: Running, name: str, reason: str) -> None:
    for call in (
        service.stub.ModelInfer(infer(name, X, raw=[ROW])),
        service.stub.ModelMetadata(service_pb2.ModelMetadataRequest(name=name)),
        service.stub.ModelConfig(service_pb2.ModelConfigRequest(name=name)),
    ):
        with pytest.raises(NotFound) as refused:
            await call
        assert refused.value.reason == reason


@pytest.mark.parametrize("version", ["2", "01", "latest", "9" * 100_000])
async def test_a_version_that_is_not_the_served_one_is_not_found(service: Running, version: str) -> None:
    with pytest.raises(NotFound, match="served=1") as refused:
        await service.stub.ModelInfer(infer("double", X, raw=[ROW], model_version=version))
    assert refused.value.reason == "VERSION_NOT_SERVED"


async def test_a_model_that_is_not_ready_is_unavailable_with_a_hint(service: Running) -> None:
    await service.deployments.CreateDeployment(WAITING)

    async def known() -> bool:
        index = await service.stub.RepositoryIndex(service_pb2.RepositoryIndexRequest())
        return "waiting" in [model.name for model in index.models]

    await eventually(known)
    with pytest.raises(Unavailable) as refused:
        await service.stub.ModelInfer(infer("waiting", X, raw=[ROW]), timeout=1)
    assert refused.value.reason == "MODEL_NOT_READY"
    assert refused.value.retry_after_ms == 1000


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("sequence_id", Unimplemented, "Stateful models"),
        ("priority", InvalidArgument, "no priorities"),
        ("binary_data_output", Unimplemented, "tensors always travel raw"),
        ("return_features", InvalidArgument, "true or false"),
        ("headwater_routing_key", InvalidArgument, "at most 255 characters"),
        ("speed", InvalidArgument, "no parameter 'speed'"),
    ],
)
async def test_no_parameter_is_ignored(service: Running, name: str, error: type[HeadwaterError], told: str) -> None:
    request = infer("double", X, raw=[ROW])
    request.parameters[name].int64_param = 1
    with pytest.raises(error, match=told):
        await service.stub.ModelInfer(request)
    for place in ("inputs", "outputs"):
        request = infer("double", X, raw=[ROW])
        request.outputs.add(name="y")
        parameters = getattr(request, place)[0].parameters
        parameters["shared_memory_region"].string_param = "/dev/shm/x"
        with pytest.raises(InvalidArgument, match="Shared memory needs"):
            await service.stub.ModelInfer(request)
        parameters["shared_memory_byte_size"].int64_param = 16
        if place == "inputs":
            del request.raw_input_contents[:]
        with pytest.raises(Unimplemented, match="Shared memory"):
            await service.stub.ModelInfer(request)


@pytest.mark.parametrize("microseconds", [0, -1])
async def test_a_timeout_is_a_time(service: Running, microseconds: int) -> None:
    request = infer("double", X, raw=[ROW])
    request.parameters["timeout"].int64_param = microseconds
    with pytest.raises(InvalidArgument, match="positive whole number of microseconds"):
        await service.stub.ModelInfer(request)


@pytest.mark.parametrize("isolation", Isolation)
async def test_a_model_that_fails_on_an_input_tells_nothing_of_its_inside(service: Running) -> None:
    await service.serve("lookup", onnx_models.table_lookup())
    bad, good = (
        infer("lookup", tensor("x", "INT64", [1]), raw=[np.array([index], "<i8").tobytes()]) for index in (99, 3)
    )

    results = await asyncio.gather(
        *(service.stub.ModelInfer(bad if number % 5 == 0 else good) for number in range(50)), return_exceptions=True
    )

    for number, result in enumerate(results):
        if number % 5 == 0:
            assert isinstance(result, Internal)
            assert (result.reason, result.message) == ("ENGINE_FAILED", "The model failed on this input.")
        else:
            assert not isinstance(result, BaseException)
            assert list(result.raw_output_contents) == [floats(103)]


@pytest.mark.parametrize("isolation", Isolation)
async def test_a_model_that_computes_without_end_is_left_at_the_deadline(service: Running) -> None:
    """Promise 9. Its own timeout, in microseconds, or the call's."""
    await service.serve("loop", onnx_models.counting_loop())
    endless = infer("loop", tensor("x", "INT64", [1, 1]), raw=[np.array([2**62], "<i8").tobytes()])
    with pytest.raises(DeadlineExceeded):
        await service.stub.ModelInfer(endless, timeout=0.2)
    endless.parameters["timeout"].int64_param = 50_000
    with pytest.raises(DeadlineExceeded):
        await service.stub.ModelInfer(endless, timeout=10)
    failed = 'requests_total{deployment="projects/default/deployments/loop",reason="%s",version="1"}'
    metrics = service.service.metrics.exposition().decode()
    assert failed % "DEADLINE_EXCEEDED" + " 2.0" in metrics
    assert failed % "CANCELLED" not in metrics


@pytest.mark.parametrize("isolation", Isolation)
async def test_a_model_that_allocates_without_end_is_refused_by_its_engine(service: Running) -> None:
    await service.serve("allocate", onnx_models.allocating())
    shape = np.array([2**20, 2**20], "<i8").tobytes()
    with pytest.raises(Internal) as failed:
        await service.stub.ModelInfer(infer("allocate", tensor("x", "INT64", [2]), raw=[shape]))
    assert failed.value.reason == "ENGINE_OUT_OF_MEMORY"


async def test_ten_thousand_cancelled_requests_leak_nothing(running: Running, token: str) -> None:
    await running.serve(canceller.MODEL, onnx_models.counting_loop())
    own = psutil.Process()

    async def cancel_many(waves: int) -> int:
        arguments = [sys.executable, "-m", canceller.__name__, running.service.address, token, str(waves)]
        process = await asyncio.create_subprocess_exec(*arguments)
        assert await process.wait() == 0
        return int(own.memory_info().rss)

    before = await cancel_many(2)  # so that what 500 calls at once take is there already
    after = await cancel_many(20)

    queue = 'headwater_inference_queue{deployment="projects/default/deployments/loop",version="1"} 0.0'
    await eventually(lambda: queue in running.service.metrics.exposition().decode())
    assert after - before < 64 * 2**20
    one = infer("loop", tensor("x", "INT64", [1, 1]), raw=[np.array([1], "<i8").tobytes()])
    assert list((await running.stub.ModelInfer(one)).raw_output_contents) == [np.array([1], "<i8").tobytes()]


async def test_overload_is_refused_with_a_hint_and_others_go_on(service: Running) -> None:
    """Promise 8: the queue of one model is full, another answers."""
    await service.serve("loop", onnx_models.counting_loop(), max_batch_size=1, max_queue_size=8)
    slow = infer("loop", tensor("x", "INT64", [1, 1]), raw=[np.array([50_000], "<i8").tobytes()])

    calls = [asyncio.create_task(service.stub.ModelInfer(slow, timeout=60)) for _ in range(100)]
    await asyncio.sleep(0.1)
    answer = await service.stub.ModelInfer(infer("double", X, raw=[ROW]))
    assert list(answer.raw_output_contents) == [floats(2, 4, 6, 8)]
    results = await asyncio.gather(*calls, return_exceptions=True)

    refused = [result for result in results if isinstance(result, Exception)]
    assert len(refused) >= 80
    for each in refused:
        assert isinstance(each, ResourceExhausted)
        assert each.reason == "QUEUE_FULL"
        assert each.retry_after_ms
        assert each.code is Code.RESOURCE_EXHAUSTED
