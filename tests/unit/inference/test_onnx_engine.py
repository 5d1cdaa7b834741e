"""ONNX Runtime behind the Engine interface."""

import io
import itertools
import threading
import time
from typing import Any

import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper

from headwater.errors import FailedPrecondition
from services.inference.engines.engine import EngineFailed, ModelRefused
from services.inference.engines.loader import Bounds, Engines, Isolation
from services.inference.engines.onnx import OnnxEngine
from services.inference.tensors.model import TensorSpec
from tests.unit.inference import onnx_models
from tests.unit.inference.onnx_models import model, tensor

MEMORY = 4 * 2**30  # the default of the setting: a process has one


def load(content: bytes) -> OnnxEngine:
    return OnnxEngine.load(content, threads=1, memory_bytes=MEMORY)


@pytest.mark.parametrize(
    ("kind", "datatype", "values"),
    [
        (TensorProto.BOOL, "BOOL", np.array([[True, False]])),
        (TensorProto.UINT8, "UINT8", np.array([[0, 255]], np.uint8)),
        (TensorProto.UINT16, "UINT16", np.array([[0, 65535]], np.uint16)),
        (TensorProto.UINT32, "UINT32", np.array([[0, 2**32 - 1]], np.uint32)),
        (TensorProto.UINT64, "UINT64", np.array([[0, 2**64 - 1]], np.uint64)),
        (TensorProto.INT8, "INT8", np.array([[-128, 127]], np.int8)),
        (TensorProto.INT16, "INT16", np.array([[-(2**15), 1]], np.int16)),
        (TensorProto.INT32, "INT32", np.array([[-(2**31), 1]], np.int32)),
        (TensorProto.INT64, "INT64", np.array([[-(2**63), 1]], np.int64)),
        (TensorProto.FLOAT16, "FP16", np.array([[0.1, np.inf]], np.float16)),
        (TensorProto.BFLOAT16, "BF16", np.array([[0x3F80, 0x7FC1]], np.uint16)),
        (TensorProto.FLOAT, "FP32", np.array([[0.1, np.nan]], np.float32)),
        (TensorProto.DOUBLE, "FP64", np.array([[0.1, -np.inf]], np.float64)),
        (TensorProto.STRING, "BYTES", np.array([["zwölf".encode(), b"a\0b"]], np.object_)),
    ],
)
def test_every_element_type_passes_through_unchanged(kind: int, datatype: str, values: np.ndarray) -> None:
    """NaN included, and read-only inputs, as they come from the wire."""
    engine = load(onnx_models.identity(kind, ("rows", 2)))
    assert engine.signature.inputs == (TensorSpec("x", datatype, (-1, 2)),)
    values.flags.writeable = False

    (result,) = engine.predict([values])

    assert result.shape == values.shape
    assert list(result.flat) == list(values.flat) if datatype == "BYTES" else result.tobytes() == values.tobytes()


def test_bfloat16_and_text_go_in_together_and_out_together_but_not_from_text_to_bfloat16() -> None:
    texts, halves = np.array([b"a\0", "ö".encode()], np.object_), np.array([0x3F80, 0xC000], np.uint16)

    def joined(nodes: list[Any], given: list[str], returned: list[str]) -> bytes:
        kinds = {"text": TensorProto.STRING, "half": TensorProto.BFLOAT16, "number": TensorProto.FLOAT}
        sides = [[tensor(name, kinds[name.rstrip("2")], ("rows",)) for name in names] for names in (given, returned)]
        return model(nodes, *sides).SerializeToString()

    same = helper.make_node("Identity", ["text"], ["text2"])
    cast = helper.make_node("Cast", ["half"], ["number2"], to=TensorProto.FLOAT)
    into = load(joined([same, cast], ["text", "half"], ["text2", "number2"])).predict([texts, halves])
    assert list(into[0]) == list(texts)
    assert into[1].tolist() == [1.0, -2.0]

    written = helper.make_node("Cast", ["number"], ["text2"], to=TensorProto.STRING)
    halved = helper.make_node("Cast", ["number"], ["half2"], to=TensorProto.BFLOAT16)
    out = load(joined([written, halved], ["number"], ["text2", "half2"])).predict([np.array([1, -2], np.float32)])
    assert list(out[0]) == [b"1", b"-2"]
    assert out[1].tolist() == halves.tolist()

    both = [same, helper.make_node("Identity", ["half"], ["half2"])]
    with pytest.raises(ModelRefused, match="cast that to FP32"):
        load(joined(both, ["text", "half"], ["text2", "half2"]))


def test_a_batch_may_be_empty() -> None:
    (result,) = load(onnx_models.doubling()).predict([np.zeros((0, 4), np.float32)])
    assert result.shape == (0, 4)


@pytest.mark.parametrize(
    ("content", "batchable"),
    [
        (onnx_models.doubling(), True),
        (onnx_models.simple("rows"), True),
        (onnx_models.simple(1), False),
        (onnx_models.identity(shape=(None, 4)), True),
        (onnx_models.allocating(), False),
    ],
)
def test_only_models_whose_first_dimension_counts_rows_everywhere_are_batched(content: bytes, batchable: bool) -> None:
    assert load(content).signature.batchable is batchable


def test_a_model_without_a_name_in_common_for_rows_is_not_batched() -> None:
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    other = model(nodes, [tensor("x", TensorProto.FLOAT, ("n",))], [tensor("y", TensorProto.FLOAT, ("m",))])
    assert not load(other.SerializeToString()).signature.batchable


def test_an_input_that_the_model_cannot_compute_is_an_error_without_our_inside() -> None:
    engine = load(onnx_models.table_lookup())
    with pytest.raises(EngineFailed) as failed:
        engine.predict([np.array([99], np.int64)])
    assert failed.value.message == "The model failed on this input."
    assert engine.predict([np.array([3], np.int64)])[0].tolist() == [103.0]


def test_a_computation_without_end_can_be_stopped() -> None:
    engine = load(onnx_models.counting_loop())
    begun = time.monotonic()
    threading.Timer(0.2, engine.stop).start()
    with pytest.raises(EngineFailed):
        engine.predict([np.array([[2**62]], np.int64)])
    assert time.monotonic() - begun < 5
    assert engine.predict([np.array([[3]], np.int64)])[0].tolist() == [[3]]


@pytest.mark.parametrize("elements", [2**31, 2**40, 2**62])
def test_a_model_cannot_allocate_more_than_its_share(elements: int) -> None:
    engine = load(onnx_models.allocating())
    before = psutil.Process().memory_info().rss
    with pytest.raises(EngineFailed):
        engine.predict([np.array([elements], np.int64)])
    assert psutil.Process().memory_info().rss - before < 64 * 2**20
    assert engine.predict([np.array([2], np.int64)])[0].tolist() == [0, 0]


def test_the_bound_of_a_process_cannot_be_changed_silently() -> None:
    load(onnx_models.doubling())
    with pytest.raises(FailedPrecondition):
        OnnxEngine.load(onnx_models.doubling(), threads=1, memory_bytes=MEMORY + 1)


def test_a_file_that_onnx_runtime_cannot_load_is_refused() -> None:
    unknown = model([helper.make_node("NoSuchOperator", ["x"], ["y"])], [tensor("x", 1, [1])], [tensor("y", 1, [1])])
    with pytest.raises(ModelRefused, match=r"cannot load the file: This is an invalid model.*NoSuchOperator"):
        load(unknown.SerializeToString())


def test_a_model_that_gives_no_tensor_is_refused() -> None:
    value = helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None)
    sequence = model([helper.make_node("SequenceConstruct", ["x"], ["y"])], [tensor("x", 1, [1])], [value])
    with pytest.raises(ModelRefused, match="cannot travel as a tensor"):
        load(sequence.SerializeToString())


def test_a_map_of_probabilities_is_refused_with_what_to_do_about_it() -> None:
    """As skl2onnx makes it of a classifier when nothing else is asked for."""
    nodes = [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])]
    kinds = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    value = helper.make_value_info("y", helper.make_sequence_type_proto(kinds))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)]
    zipped = model(nodes, [tensor("x", TensorProto.FLOAT, ("rows", 2))], [value], opset_imports=opsets)
    with pytest.raises(ModelRefused, match=r"seq\(map\(int64,.*zipmap=False"):
        load(zipped.SerializeToString())


def test_a_chain_of_ten_thousand_operators_can_be_computed() -> None:
    names = ["x", *(f"v{number}" for number in range(9_999)), "y"]
    chain = [helper.make_node("Neg", [one], [other]) for one, other in itertools.pairwise(names)]
    rows = ("rows", 1)
    long = model(chain, [tensor("x", TensorProto.FLOAT, rows)], [tensor("y", TensorProto.FLOAT, rows)])
    assert load(long.SerializeToString()).predict([np.array([[2]], np.float32)])[0].tolist() == [[2.0]]


@pytest.mark.parametrize("name", ["safetensors", "pickle", ""])
def test_formats_that_are_not_allowed_are_never_loaded(name: str) -> None:
    for isolation in Isolation:
        engines = Engines(Bounds(threads=1, memory_bytes=MEMORY), isolation=isolation)
        with pytest.raises(ModelRefused, match=f"format {name or 'unknown'} are not served"):
            engines.load(name, io.BytesIO(b"\x80\x04K\x01."))
        engines.close()
