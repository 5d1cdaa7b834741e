"""What an ONNX model promises wherever it computes: in a process of its own, or in the service's."""

import re
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from services.inference.engines.engine import (
    DeviceUnavailable,
    Engine,
    EngineFailed,
    EngineOutOfMemory,
    ModelRefused,
    OptionRefused,
)
from services.inference.engines.loader import Bounds, Engines, Isolation
from services.inference.engines.options import EngineOptions, Precision
from services.inference.engines.worker.engine import ProcessEngine
from services.inference.tensors.errors import InvalidTensor
from services.inference.tensors.model import TensorSpec
from tests.unit.inference import onnx_models


@pytest.fixture(scope="module", params=list(Isolation))
def engines(request: pytest.FixtureRequest) -> Iterator[Engines]:
    made = Engines(Bounds(threads=1), isolation=request.param)
    yield made
    made.close()


def a_file(content: bytes) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever loads it closes it
    file.write(content)
    file.flush()
    return file


def load(engines: Engines, content: bytes, options: EngineOptions = EngineOptions()) -> Engine:  # noqa: B008 - a value
    return engines.load("onnx", a_file(content), options)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (TensorProto.BOOL, np.array([[True, False]])),
        (TensorProto.INT64, np.array([[-(2**63), 1]], np.int64)),
        (TensorProto.FLOAT16, np.array([[0.1, np.inf]], np.float16)),
        (TensorProto.BFLOAT16, np.array([[0x3F80, 0x7FC1]], np.uint16)),
        (TensorProto.FLOAT, np.array([[0.1, np.nan]], np.float32)),
        (TensorProto.STRING, np.array([["zwölf".encode(), b""]], np.object_)),
    ],
)
def test_every_element_type_passes_through_unchanged(engines: Engines, kind: int, values: np.ndarray) -> None:
    engine = load(engines, onnx_models.identity(kind, ("rows", 2)))
    if values.dtype != np.object_:
        values.flags.writeable = False  # as they come from the wire
    (result,) = engine.predict([values])
    assert (result.shape, result.dtype) == (values.shape, values.dtype)
    assert (
        list(result.flat) == list(values.flat) if kind == TensorProto.STRING else result.tobytes() == values.tobytes()
    )
    engine.close()


def test_signature_and_platform_are_the_models(engines: Engines) -> None:
    engine = load(engines, onnx_models.simple())
    assert engine.platform == "onnxruntime_onnx"
    assert engine.signature.inputs[0] == TensorSpec("INPUT0", "INT32", (-1, 16))
    assert engine.signature.batchable
    engine.close()


def test_several_requests_are_gathered_and_computed_in_order(engines: Engines) -> None:
    engine = load(engines, onnx_models.identity(TensorProto.STRING, ("rows", 1)))
    requests = [
        [np.array([[str(row).encode()] for row in range(rows)], np.object_).reshape(rows, 1)] for rows in (2, 0, 3)
    ]
    (result,) = engine.predict(engine.gather(requests))
    assert list(result.flat) == [b"0", b"1", b"0", b"1", b"2"]
    engine.close()


def test_large_tensors_and_empty_ones_pass_through(engines: Engines) -> None:
    engine = load(engines, onnx_models.doubling(columns=150_000))
    for rows in (1, 40, 0, 3):
        values = np.arange(rows * 150_000, dtype=np.float32).reshape(rows, 150_000)
        (result,) = engine.predict([values])
        assert np.array_equal(result, values * 2)
    engine.close()


def test_an_input_that_the_model_cannot_compute_fails_and_the_next_does_not(engines: Engines) -> None:
    engine = load(engines, onnx_models.table_lookup())
    with pytest.raises(EngineFailed) as caught:
        engine.predict([np.array([99], np.int64)])
    assert type(caught.value) is EngineFailed
    assert engine.predict([np.array([1], np.int64)])[0].tolist() == [101]
    engine.close()


def test_a_text_that_is_not_utf8_is_the_callers_mistake(engines: Engines) -> None:
    engine = load(engines, onnx_models.identity(TensorProto.STRING, ("rows",)))
    with pytest.raises(InvalidTensor, match="The input 'x' must be text in UTF-8"):
        engine.predict([np.array([b"good", b"\xff"], np.object_)])
    assert engine.predict([np.array(["größer".encode()], np.object_)])[0].tolist() == ["größer".encode()]
    engine.close()


def test_why_a_file_cannot_be_loaded_is_told_without_where_in_the_library_that_is(engines: Engines) -> None:
    """Promise 16."""
    future = onnx.load_from_string(onnx_models.doubling())
    future.opset_import[0].version = 99
    with pytest.raises(
        ModelRefused, match=r"^ONNX Runtime cannot load the file: ONNX Runtime only .*guarantee"
    ) as told:
        load(engines, future.SerializeToString())
    assert not {"/", "::", "Error("} & set(re.findall(r"/|::|Error\(", told.value.message))


def test_more_memory_than_a_model_may_have_is_told_apart(engines: Engines) -> None:
    engine = load(engines, onnx_models.allocating())
    with pytest.raises(EngineOutOfMemory):
        engine.predict([np.array([2**33], np.int64)])
    assert engine.predict([np.array([2], np.int64)])[0].tolist() == [0, 0]
    engine.close()


def test_a_computation_is_stopped(engines: Engines) -> None:
    engine = load(engines, onnx_models.counting_loop())
    threading.Timer(0.1, engine.stop).start()
    begun = time.monotonic()
    with pytest.raises(EngineFailed):
        engine.predict([np.array([[2**62]], np.int64)])
    assert time.monotonic() - begun < 5
    assert engine.predict([np.array([[3]], np.int64)])[0].tolist() == [[3]]
    engine.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (EngineOptions(device="cuda"), DeviceUnavailable),
        (EngineOptions(autocast=Precision.BF16), OptionRefused),
        (EngineOptions(inputs=(TensorSpec("x", "FP32", (-1,)),)), OptionRefused),
        (EngineOptions(architecture="mlp"), ModelRefused),
        (EngineOptions(callable="nobody"), OptionRefused),
    ],
)
def test_what_the_engine_does_not_do_is_refused(
    engines: Engines, options: EngineOptions, error: type[Exception]
) -> None:
    """Nothing that a deployment says is ignored. There is no CUDA in ONNX Runtime's package for the CPU."""
    with pytest.raises(error):
        load(engines, onnx_models.doubling(), options)


def test_a_file_that_is_refused_is_closed(engines: Engines) -> None:
    file = a_file(b"\x80\x04K\x01.")
    with pytest.raises(ModelRefused, match="not ONNX"):
        engines.load("onnx", file)
    assert file.closed


def test_the_setting_decides_where_it_computes() -> None:
    for isolation in Isolation:
        engines = Engines(Bounds(threads=1), isolation=isolation)
        engine = load(engines, onnx_models.doubling())
        assert isinstance(engine, ProcessEngine) is (isolation is Isolation.PROCESS)
        engines.close()
