"""The ONNX reader takes metadata from any model that the onnx package writes, and follows no trap."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from services.registry.formats import Format, InvalidModelFile
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import inspect, read
from services.registry.formats.onnx import MAX_BYTES
from tests.data.models.onnx_files import external_tensor, linear, linear_model

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


def test_up_to_ir_version_3_weights_are_no_inputs() -> None:
    model = linear(4, 3, ir_version=3)
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    assert [each.name for each in read(MemoryContent(model.SerializeToString())).inputs] == ["x"]


def test_an_end_that_is_no_tensor_has_no_type() -> None:
    model = linear(4, 3)
    model.graph.output.append(helper.make_tensor_sequence_value_info("z", TensorProto.FLOAT, None))
    assert read(MemoryContent(model.SerializeToString())).outputs[1].datatype == ""


@pytest.mark.parametrize(
    "location",
    ["../weights", "a/../../weights", "/etc/passwd", "C:\\weights", "\\\\host\\share", "*/_ORT_MEM_ADDR_/*", ".", ""],
)
def test_data_from_outside_the_version_is_refused(location: str) -> None:
    model = linear(4, 3)
    model.graph.initializer.append(external_tensor(location))
    with pytest.raises(InvalidModelFile, match="which is no file here"):
        read(MemoryContent(model.SerializeToString()))


def _hidden(where: str, tensor: TensorProto) -> ModelProto:
    """A model with ``tensor`` in a place that a reader of initializers does not see."""
    model = linear(4, 3)
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    match where:
        case "constant":
            model.graph.node.append(node)
        case "subgraph":
            branch = helper.make_graph([node], "branch", [], [])
            model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=branch))
        case "function":
            opset = [helper.make_opsetid("", 17)]
            model.functions.append(helper.make_function("d", "f", [], ["c"], [node], opset))
        case "sparse":
            model.graph.sparse_initializer.add().values.CopyFrom(tensor)
        case "training":
            model.training_info.add().initialization.initializer.append(tensor)
    return model


@pytest.mark.parametrize("where", ["constant", "subgraph", "function", "sparse", "training"])
def test_data_from_outside_is_refused_wherever_a_tensor_hides(where: str) -> None:
    with pytest.raises(InvalidModelFile, match="which is no file here"):
        read(MemoryContent(_hidden(where, external_tensor("../weights")).SerializeToString()))
    inside = read(
        MemoryContent(_hidden(where, external_tensor("weights", offset="8", length="16")).SerializeToString())
    )
    assert [(each.location, each.end) for each in inside.external] == [("weights", 24)]


def test_graphs_that_nest_without_end_are_refused() -> None:
    graph = helper.make_graph([], "innermost", [], [])
    for _ in range(30):  # what the protobuf parser itself can write; the rest is put around it by hand
        graph = helper.make_graph([helper.make_node("If", ["x"], ["z"], then_branch=graph)], "g", [], [])
    inner = graph.SerializeToString()
    for _ in range(10_000):
        attribute = b"\x0a\x01a" + b"\x32" + _size(inner) + inner
        node = b"\x2a" + _size(attribute) + attribute
        inner = b"\x0a" + _size(node) + node
    model = b"\x08\x0a" + b"\x3a" + _size(inner) + inner
    with pytest.raises(InvalidModelFile, match="nests deeper"):
        read(MemoryContent(model))


def _size(content: bytes) -> bytes:
    size, out = len(content), bytearray()
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*out, size])


def _broken(**changes: object) -> bytes:
    model = linear(4, 3)
    tensor = model.graph.initializer[0]
    for field, value in changes.items():
        if field == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)  # type: ignore[arg-type]
        else:
            setattr(tensor, field, value)
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (_broken(dims=[-4, -3]), "negative"),
        (_broken(dims=[2**40, 2**40]), "overflows"),
        (_broken(dims=[4, 4]), "48 bytes where its shape needs 64"),
        (_broken(dims=[1] * 100), "64 dimensions"),
        (_broken(data_type=99), "unknown type"),
        (_broken(name="a" * 2000), "1024 characters"),
        (_broken(name="a\0b"), "NUL"),
    ],
)
def test_a_tensor_that_breaks_a_rule_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(InvalidModelFile, match=why):
        read(MemoryContent(content))


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
        file.write(b"\x08\x0a\x3a\x00" + b"\x32" + _size_of(size - 10))
        file.truncate(size)
    with pytest.raises(InvalidModelFile, match="more than a protobuf message can"):
        inspect(path)


def _size_of(size: int) -> bytes:
    return bytes([size >> 7 * part & 0x7F | (0x80 if part < 4 else 0) for part in range(5)])


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
