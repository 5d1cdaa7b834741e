"""What an ONNX file may not do is found before ONNX Runtime sees it (promise 12)."""

import contextlib
import itertools
import time

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from services.inference.engines.engine import ModelRefused
from services.inference.engines.onnx_file import check_onnx
from tests.unit.inference import onnx_models
from tests.unit.inference.onnx_models import model, tensor

ROWS = ("rows", 1)
X, Y = tensor("x", TensorProto.FLOAT, ROWS), tensor("y", TensorProto.FLOAT, ROWS)
GOOD = onnx_models.counting_loop()


def external(name: str = "w", path: str = "../secret") -> onnx.TensorProto:
    """A tensor whose bytes are said to be in another file."""
    outside = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value=path)
    return outside


def constant_of(value: onnx.TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["w"], value=value)


def add() -> onnx.NodeProto:
    return helper.make_node("Add", ["x", "w"], ["y"])


def in_a_branch(node: onnx.NodeProto) -> onnx.NodeProto:
    """``node`` inside of a graph that is an attribute."""
    output = [tensor("w", TensorProto.FLOAT, [1])]
    plain = constant_of(helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]))
    return helper.make_node(
        "If",
        ["c"],
        ["w"],
        then_branch=helper.make_graph([node], "then", [], output),
        else_branch=helper.make_graph([plain], "else", [], output),
    )


def varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + varint(value >> 7)


def in_a_function(node: onnx.NodeProto) -> onnx.ModelProto:
    opset = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    function = helper.make_function("mine", "f", ["x"], ["y"], [node, add()], opset[:1])
    return model(
        [helper.make_node("f", ["x"], ["y"], domain="mine")], [X], [Y], functions=[function], opset_imports=opset
    )


def sparse() -> onnx.ModelProto:
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    graph = model([add()], [X], [Y])
    graph.graph.sparse_initializer.append(helper.make_sparse_tensor(external(), indices, [1]))
    return graph


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(model([add()], [X], [Y], initializer=[external()]), id="initializer"),
        pytest.param(model([constant_of(external()), add()], [X], [Y]), id="attribute"),
        pytest.param(model([in_a_branch(constant_of(external())), add()], [X], [Y]), id="subgraph"),
        pytest.param(in_a_function(constant_of(external())), id="function"),
        pytest.param(sparse(), id="sparse"),
        pytest.param(model([add()], [X], [Y], initializer=[external(path="weights.bin")]), id="harmless name"),
    ],
)
def test_tensors_in_other_files_are_refused_wherever_they_hide(attack: onnx.ModelProto) -> None:
    with pytest.raises(ModelRefused, match="another file"):
        check_onnx(attack.SerializeToString())


def test_a_location_without_the_external_flag_is_refused_too() -> None:
    hidden = external()
    hidden.ClearField("data_location")
    with pytest.raises(ModelRefused, match="another file"):
        check_onnx(model([add()], [X], [Y], initializer=[hidden]).SerializeToString())


@pytest.mark.parametrize("domain", ["com.example", "com.microsoft.experimental", "ai.onnx.preview.training"])
def test_operators_of_other_domains_are_refused_by_name(domain: str) -> None:
    custom = helper.make_node("Steal", ["x"], ["y"], domain=domain)
    with pytest.raises(ModelRefused, match=f"'Steal' of '{domain}'"):
        check_onnx(model([custom], [X], [Y]).SerializeToString())


def test_a_function_that_the_file_defines_itself_is_allowed() -> None:
    check_onnx(in_a_function(constant_of(helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]))).SerializeToString())


def test_an_operator_hidden_by_a_second_domain_field_is_refused() -> None:
    """Of a field that comes twice the last one counts, as in ONNX Runtime's own parser."""
    node = helper.make_node("Steal", ["x"], ["y"]).SerializeToString() + b"\x3a\x00\x3a\x04evil"
    graph = b"\x0a" + bytes([len(node)]) + node
    with pytest.raises(ModelRefused, match="'evil'"):
        check_onnx(b"\x08\x09\x3a" + bytes([len(graph)]) + graph)


def test_nesting_without_end_is_refused() -> None:
    """Built by hand: protobuf itself refuses to."""
    content = b""
    for _ in range(10_000):  # a node (1) with an attribute (5) that is a graph (6)
        for number in (6, 5, 1):
            content = bytes([number << 3 | 2]) + varint(len(content)) + content
    with pytest.raises(ModelRefused, match="nests deeper"):
        check_onnx(b"\x3a" + varint(len(content)) + content)


def test_ten_thousand_operators_in_a_row_are_allowed() -> None:
    names = ["x", *(f"v{number}" for number in range(9_999)), "y"]
    chain = [helper.make_node("Identity", [one], [other]) for one, other in itertools.pairwise(names)]
    check_onnx(model(chain, [X], [Y]).SerializeToString())


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"PK\x03\x04" + b"\0" * 60, b"\xff" * 40, b"\x08\x09"])
def test_what_is_not_onnx_is_refused(content: bytes) -> None:
    """A pickle, a zip, noise, a message without a graph."""
    with pytest.raises(ModelRefused, match="not ONNX"):
        check_onnx(content)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3))
def test_damage_is_refused_or_harmless_but_never_a_crash(position: int, noise: bytes) -> None:
    with contextlib.suppress(ModelRefused):  # anything else fails the test
        check_onnx(GOOD[:position] + noise + GOOD[position + len(noise) :])


def test_weights_are_skipped_and_not_read() -> None:
    """100 MB of them; reading them byte by byte would take half a minute."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [25_000_000], b"\0" * 100_000_000, raw=True)
    content = model([add()], [X], [Y], initializer=[weights]).SerializeToString()
    begun = time.monotonic()
    check_onnx(content)
    assert time.monotonic() - begun < 1
