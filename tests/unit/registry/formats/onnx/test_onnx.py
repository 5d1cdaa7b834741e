"""The ONNX reader takes metadata from any model that the onnx package writes, and follows no trap."""

import contextlib
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from services.registry.formats import Format, InvalidModelFile
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import inspect, read
from services.registry.formats.onnx import MAX_BYTES
from services.registry.formats.onnx.walk import MAX_LAYERS
from tests.data.models.onnx_files import PLACES, REFUSED, external_tensor, hidden, linear, linear_model, varint

_TENSORS = {
    "FP32": np.float32,
    "FP64": np.float64,
    "FP16": np.float16,
    "INT8": np.int8,
    "INT64": np.int64,
    "UINT16": np.uint16,
    "BOOL": bool,
}


def test_a_model_tells_its_ends_weights_and_origin() -> None:
    """R-15."""
    facts = read(MemoryContent(linear_model(4, 3)))
    assert facts.format is Format.ONNX
    assert [(each.name, each.datatype, each.shape) for each in facts.inputs] == [("x", "FP32", (-1, 4))]
    assert [(each.name, each.datatype, each.shape) for each in facts.outputs] == [("y", "FP32", (-1, 3))]
    assert [(each.name, each.datatype, each.shape) for each in facts.tensors] == [("w", "FP32", (4, 3))]
    assert facts.parameter_count == 12
    assert (
        facts.properties.items()
        >= {
            "producer_name": "tests",
            "ir_version": "10",
            "graph": "linear",
            "node_count": "1",
        }.items()
    )


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(_TENSORS)), st.lists(st.integers(0, 5), max_size=4), st.booleans()), max_size=5
    )
)
def test_every_initializer_is_told(tensors: list[tuple[str, list[int], bool]]) -> None:
    """Raw or as numbers, of every type: what is told is what the onnx package was given."""
    model = linear(1, 1)
    for number, (datatype, shape, raw) in enumerate(tensors):
        array = np.ones(shape, _TENSORS[datatype])
        tensor = numpy_helper.from_array(array, f"t{number}")
        if not raw:
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            tensor = helper.make_tensor(f"t{number}", kind, shape, array.flatten().tolist())
        model.graph.initializer.append(tensor)
    facts = read(MemoryContent(model.SerializeToString()))
    assert [(tensor.datatype, list(tensor.shape)) for tensor in facts.tensors[1:]] == [
        (datatype, shape) for datatype, shape, _ in tensors
    ]


@pytest.mark.parametrize(
    "kind", sorted(set(TensorProto.DataType.values()) - {TensorProto.UNDEFINED, TensorProto.STRING})
)
def test_every_type_that_the_onnx_package_knows_is_told(kind: int) -> None:
    """Those of less than a byte are packed, and a tensor's last byte may be filled in part."""
    model = linear(1, 1)
    tensor = numpy_helper.from_array(np.ones(5, helper.tensor_dtype_to_np_dtype(kind)), "t")
    tensor.data_type = kind
    model.graph.initializer.append(tensor)
    content = model.SerializeToString()
    told = read(MemoryContent(content)).tensors[-1]
    assert content[told.begin : told.end] == tensor.raw_data
    assert told.datatype


def test_operators_are_counted_wherever_they_are() -> None:
    """R-15."""
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["r"], name="inner")], "branch", [], [])
    model = linear(
        4,
        3,
        nodes=[
            helper.make_node("Relu", ["y"], ["a"], name="relu_1"),
            helper.make_node("Relu", ["a"], ["b"]),
            helper.make_node("If", ["b"], ["c"], name="choice", then_branch=branch),
            helper.make_node("TreeEnsemble", ["c"], ["d"], domain="ai.onnx.ml"),
            helper.make_node("Attention", ["d"], ["e"], domain="com.example"),
            helper.make_node("own", ["e"], ["f"], domain="local"),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    model.functions.append(
        helper.make_function("local", "own", ["i"], ["o"], [helper.make_node("Relu", ["i"], ["o"])], opsets)
    )
    model.opset_import.append(helper.make_opsetid("com.example", 2))
    model.metadata_props.add(key="author", value="tests")
    facts = read(MemoryContent(model.SerializeToString()))
    assert facts.operators == {
        "If": 1,
        "MatMul": 1,
        "Relu": 4,
        "ai.onnx.ml::TreeEnsemble": 1,
        "com.example::Attention": 1,
        "local::own": 1,
    }
    assert facts.opsets == {"ai.onnx": 17, "com.example": 2}
    assert facts.code == ["operator com.example::Attention"]
    assert facts.problems == ()
    assert [(layer.name, layer.kind) for layer in facts.layers] == [
        ("", "MatMul"),
        ("relu_1", "Relu"),
        ("", "Relu"),
        ("choice", "If"),
        ("", "ai.onnx.ml::TreeEnsemble"),
        ("", "com.example::Attention"),
        ("", "local::own"),
    ]
    assert (
        facts.properties.items() >= {"node_count": "9", "functions": "local::own", "metadata.author": "tests"}.items()
    )


def test_a_chain_of_nodes_is_told_up_to_a_limit_and_counted_beyond() -> None:
    nodes = [helper.make_node("Relu", [f"{number}"], [f"{number + 1}"]) for number in range(MAX_LAYERS + 5)]
    facts = read(MemoryContent(linear_model(1, 1, nodes=nodes)))
    assert len(facts.layers) == MAX_LAYERS
    assert facts.operators["Relu"] == MAX_LAYERS + 5


def test_every_weight_lies_where_it_is_said_to() -> None:
    arrays = {f"t{number}": np.arange(number * 3, dtype=np.float32).reshape(number, 3) for number in range(5)}
    model = linear(4, 3)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    content = model.SerializeToString()
    told = {tensor.name: content[tensor.begin : tensor.end] for tensor in read(MemoryContent(content)).tensors}
    assert {name: told[name] for name in arrays} == {name: array.tobytes() for name, array in arrays.items()}


def test_weights_of_a_file_elsewhere_are_not_fetched() -> None:
    """R-15: what it costs does not grow with the file."""
    content, fetched = linear_model(4096, 4096), 0  # 64 MiB

    def fetch(begin: int, length: int) -> bytes:
        nonlocal fetched
        fetched += length
        return content[begin : begin + length]

    assert read(RangedContent(len(content), fetch)).parameter_count == 4096**2
    assert fetched <= 2 * RangedContent.BLOCK_BYTES


def test_up_to_ir_version_3_weights_are_no_inputs() -> None:
    model = linear(4, 3, ir_version=3)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    assert [each.name for each in read(MemoryContent(model.SerializeToString())).inputs] == ["x"]


FLOATS = helper.make_tensor_type_proto(TensorProto.FLOAT, [4])


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (helper.make_sequence_type_proto(FLOATS), "SEQUENCE"),
        (helper.make_map_type_proto(TensorProto.INT64, FLOATS), "MAP"),
        (helper.make_optional_type_proto(FLOATS), "OPTIONAL"),
        (helper.make_sparse_tensor_type_proto(TensorProto.FLOAT, [4]), "SPARSE"),
    ],
)
def test_an_end_that_is_no_dense_tensor_says_what_it_is(type_: Any, told: str) -> None:
    """So that one cannot take the place of another unseen (M-80)."""
    model = linear(4, 3)
    model.graph.output.append(helper.make_value_info("z", type_))
    end = read(MemoryContent(model.SerializeToString())).outputs[1]
    assert (end.datatype, end.shape) == (told, ())


_WHY = {
    "data from": "which is no file here",
    "data of another length": "8 bytes elsewhere where its shape needs 16",
    "offset": "no size",
    "graphs": "nests deeper",
    "negative": "negative",
    "shape that overflows": "overflows",
    "shape of other data": "48 bytes where its shape needs 64",
    "a hundred": "64 dimensions",
    "unknown type": "unknown type",
    "name of": "1024 characters",
    "name with NUL": "NUL",
    "3,000,000": "too many fields",
    "100,001": "more than 100000 tensors",
    "10,001": "kinds of operators",
}


@pytest.mark.parametrize("attack", REFUSED)
def test_what_breaks_a_rule_is_refused_with_a_sentence(attack: str) -> None:
    """X-12, promise 12."""
    why = next((reason for beginning, reason in _WHY.items() if attack.startswith(beginning)), ".")
    with pytest.raises(InvalidModelFile, match=rf"^Not a valid ONNX model: .*{why}.*\.$"):
        read(MemoryContent(REFUSED[attack]()))


@pytest.mark.parametrize("where", PLACES)
def test_data_in_another_file_is_told_wherever_a_tensor_hides(where: str) -> None:
    content = hidden(where, external_tensor("weights", offset="8", length="16")).SerializeToString()
    assert [(each.location, each.end) for each in read(MemoryContent(content)).external] == [("weights", 24)]


def test_data_in_another_file_without_a_length_are_as_long_as_the_shape_says() -> None:
    model = linear(4, 3)
    model.graph.initializer.append(external_tensor("weights", offset="8"))
    (external,) = read(MemoryContent(model.SerializeToString())).external
    assert (external.location, external.end) == ("weights", 24)


def test_weights_are_not_read_into_memory() -> None:
    content = memoryview(linear_model(2048, 2048))  # 16 MiB
    tracemalloc.start()
    assert read(MemoryContent(content)).parameter_count == 2048**2
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_more_than_a_protobuf_message_can_hold_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("large") / "model.onnx"
    size = MAX_BYTES + 1
    with path.open("wb") as file:  # a sparse file: it takes no room
        file.write(b"\x08\x0a\x3a\x00\x32" + varint(size - 10))
        file.truncate(size)
    with pytest.raises(InvalidModelFile, match="more than a protobuf message can"):
        inspect(path)


@given(st.data())
def test_a_changed_model_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(linear_model(4, 3))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    for changed in (bytes(content), bytes(content[:cut])):
        try:
            read(MemoryContent(changed))
        except InvalidModelFile:
            continue


@given(st.binary(max_size=200))
def test_noise_is_of_no_format_or_refused(noise: bytes) -> None:
    with contextlib.suppress(InvalidModelFile):
        read(MemoryContent(noise))
