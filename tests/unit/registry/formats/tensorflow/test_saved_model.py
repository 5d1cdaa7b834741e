"""What a SavedModel says of itself, out of its graph alone."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.formats import FileFacts, Format, InvalidModelFile, Layer, Signature, Tensor
from services.registry.formats.content import MemoryContent, RangedContent
from services.registry.formats.detect import read
from tests.data.models import tensorflow_files as files


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


def test_signatures_operators_and_version_are_told() -> None:
    """R-12, R-14."""
    graph = files.meta_graph(operators=["MatMul", "AddV2", "MatMul"])
    graph.graph_def.library.function.add().node_def.add(name="f", op="Relu")
    graph.signature_def["__saved_model_init_op"].outputs["init"].dtype = files.DT_INT64
    graph.asset_file_def.add(filename="vocabulary.txt")
    facts = _read(files.saved_model(graph))
    ends = [Tensor("x", "FP32", (-1, 4))], [Tensor("y", "FP32", (-1, 3))]
    assert facts.format is Format.TENSORFLOW_SAVED_MODEL
    assert (facts.inputs, facts.outputs) == ends
    assert facts.signatures == {"serving_default": Signature(*ends)}
    assert facts.operators == {"AddV2": 1, "MatMul": 2, "Relu": 1}
    assert (facts.framework, facts.framework_version) == ("tensorflow", "2.18.0")
    assert facts.opsets == {"tensorflow": 1882}
    assert facts.properties == {
        "tags": "serve",
        "node_count": "4",
        "function_count": "1",
        "assets": "vocabulary.txt",
    }
    assert not facts.problems
    assert not facts.external


def test_the_form_that_serves_stands_for_the_model() -> None:
    training = files.meta_graph("train", ["Gradient"])
    training.signature_def["loss"].inputs["labels"].dtype = files.DT_INT64
    training.signature_def["serving_default"].inputs["other"].dtype = files.DT_INT64
    facts = _read(files.saved_model(training, files.meta_graph("serve")))
    assert list(facts.signatures) == ["loss", "serving_default"]
    assert [each.name for each in facts.inputs] == ["x"]
    assert facts.operators == {"MatMul": 1}
    assert facts.properties["tags"] == "serve; train"


def test_a_function_of_another_name_serves_if_it_is_the_only_one() -> None:
    graph = files.meta_graph()
    graph.signature_def["score"].CopyFrom(graph.signature_def["serving_default"])
    del graph.signature_def["serving_default"]
    assert [each.name for each in _read(files.saved_model(graph)).inputs] == ["x"]
    graph.signature_def["other"].inputs["z"].dtype = files.DT_INT64
    assert not _read(files.saved_model(graph)).inputs


def test_variables_have_the_names_they_were_given_or_their_paths() -> None:
    """R-14: the objects tell the names, and say that values are in another file."""
    facts = _read(files.saved_model(files.with_variables(files.meta_graph(), "dense/kernel:0", "bias", "bias", "")))
    assert [each.name for each in facts.tensors] == ["dense/kernel:0", "layer/1", "layer/2", "layer/3"]
    assert facts.tensors[0] == Tensor("dense/kernel:0", "FP32", (4, 3))
    assert facts.parameter_count == 48
    assert [(each.location, each.end) for each in facts.external] == [("variables/variables.index", 0)]


def test_operators_of_another_package_and_registered_classes_are_code() -> None:
    graph = files.meta_graph(operators=["Addons>Gelu", "MatMul"])
    graph.object_graph_def.nodes.add().registered_name = "Custom.Table"
    graph.object_graph_def.nodes.add().registered_name = "tf.TrackableConstant"
    facts = _read(files.saved_model(graph))
    assert facts.code == ["operator Addons>Gelu", "custom object Custom.Table"]
    assert not facts.problems


def test_layers_that_keras_described_are_told() -> None:
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 3}}
    facts = _read(files.saved_model(files.with_keras_layer(files.with_variables(files.meta_graph()), dense)))
    assert facts.layers == [Layer("dense", "Dense")]
    model = {"class_name": "Sequential", "config": {"name": "model", "layers": [dense]}}
    described = ("root", "_tf_keras_sequential", model), ("root.layer-0", "_tf_keras_layer", dense)
    facts = _read(files.keras_metadata(*described))
    assert (facts.format, facts.architecture, facts.layers) == (Format.KERAS, "Sequential", [Layer("dense", "Dense")])


@pytest.mark.parametrize("attack", files.MARKED.values(), ids=files.MARKED)
def test_what_would_execute_is_marked(attack: Callable[[], bytes]) -> None:
    """Promise 12: it is kept, listed and never served."""
    assert _read(attack()).problems


_GOOD = files.saved_model(files.with_variables(files.meta_graph(operators=["A", "B"]), "v"), files.meta_graph("train"))


@given(st.lists(st.tuples(st.integers(0, len(_GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_read_or_refused_and_nothing_else(changes: list[tuple[int, int]]) -> None:
    content = bytearray(_GOOD)
    for position, byte in changes:
        content[position] = byte
    try:
        facts = _read(bytes(content))
    except InvalidModelFile:
        return
    assert facts.format in (Format.TENSORFLOW_SAVED_MODEL, Format.UNSPECIFIED)


@given(st.binary(max_size=200))
def test_any_bytes_after_a_version_are_read_or_refused(content: bytes) -> None:
    try:
        _read(b"\x08\x01\x12" + bytes([len(content) % 128]) + content)
    except InvalidModelFile:
        return


def test_constants_are_not_fetched() -> None:
    """What is read does not grow with the weights that were frozen into the graph."""
    fetched = []
    for size in (2**21, 2**25):
        graph = files.meta_graph()
        graph.graph_def.node.add(name="w", op="Const").attr["value"].tensor.tensor_content = bytes(size)
        content, asked = files.saved_model(graph), list[int]()

        def fetch(begin: int, length: int, content: bytes = content, asked: list[int] = asked) -> bytes:
            asked.append(length)
            return content[begin : begin + length]

        assert read(RangedContent(len(content), fetch)).operators == {"Const": 1, "MatMul": 1}
        fetched.append(sum(asked))
    assert fetched[1] <= 1.2 * fetched[0]
