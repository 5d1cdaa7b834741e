"""Keras models tell their layers, ends and weights; what Keras would execute is listed."""

import importlib
import json
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.registry.formats import FileFacts, Format, InvalidModelFile, Layer, Tensor
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from tests.data.models import keras_files as files

os.environ.setdefault("KERAS_BACKEND", "torch")

# Keras's own, about torch and numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def _read(content: bytes) -> FileFacts:
    return read(MemoryContent(content))


def _bytes_of(facts: FileFacts, content: bytes) -> set[bytes]:
    return {content[each.begin : each.end] for each in facts.tensors}


@pytest.fixture(scope="module")
def keras() -> Any:
    return importlib.import_module("keras")  # takes seconds, and chooses what it computes with as it is imported


@pytest.fixture(scope="module")
def chain(keras: Any) -> Any:
    """A Sequential model that was compiled."""
    model = keras.Sequential(
        [
            keras.Input((4,), name="x"),
            keras.layers.Dense(3, activation="relu", name="hidden"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Dense(2, name="out"),
            keras.layers.Softmax(name="softmax"),
        ]
    )
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("extension", ["keras", "h5"])
def test_a_model_that_keras_wrote_is_read(chain: Any, extension: str, tmp_path: Path) -> None:
    """R-12, in both forms, against what Keras says of the model itself."""
    chain.save(path := tmp_path / f"model.{extension}")
    facts = _read(content := path.read_bytes())
    assert facts.format is Format.KERAS
    assert (facts.framework, facts.architecture) == ("keras", "Sequential")
    assert facts.framework_version.startswith("3.")
    assert [(each.name, tuple(each.shape)) for each in facts.inputs] == [("x", (-1, 4))]
    assert [(each.name, tuple(each.shape)) for each in facts.outputs] == [("softmax", (-1, 2))]
    assert facts.layers[1:] == [Layer(each.name, type(each).__name__) for each in chain.layers]
    assert facts.parameter_count == chain.count_params()
    assert sorted(tuple(each.shape) for each in facts.tensors) == sorted(tuple(w.shape) for w in chain.weights)
    assert _bytes_of(facts, content) == {weight.numpy().tobytes() for weight in chain.weights}
    assert facts.properties["optimizer_tensors"] == "2"
    assert not facts.problems
    assert not facts.code


def test_weights_alone_are_hdf5(chain: Any, tmp_path: Path) -> None:
    chain.save_weights(path := tmp_path / "model.weights.h5")
    facts = _read(path.read_bytes())
    assert facts.format is Format.HDF5
    assert facts.parameter_count == chain.count_params()


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("extension", ["keras", "h5"])
def test_a_graph_with_code_of_its_own_is_read_and_marked(keras: Any, extension: str, tmp_path: Path) -> None:
    """Promise 12: the model is described, and what loading it would execute is listed."""

    @keras.saving.register_keras_serializable(package="mine")
    class Twice(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: Any) -> Any:
            return inputs * 2

    image, words = keras.Input((8, 8, 3), name="image"), keras.Input((2,), dtype="int32", name="words")
    seen = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image))
    read_words = keras.layers.Flatten()(keras.layers.Embedding(5, 3)(words))
    joined = Twice(name="twice")(keras.layers.Concatenate()([seen, read_words]))
    shifted = keras.layers.Lambda(lambda each: each + 1, output_shape=(10,), name="shift")(joined)
    label = keras.layers.Dense(2, activation=lambda each: each, name="label")(shifted)
    score = keras.layers.Dense(1, name="score")(joined)
    model = keras.Model([image, words], [label, score])
    model.save(path := tmp_path / f"model.{extension}")

    facts = _read(path.read_bytes())
    assert facts.inputs == [Tensor("image", "FP32", (-1, 8, 8, 3)), Tensor("words", "INT32", (-1, 2))]
    assert facts.outputs == [Tensor("label", "FP32", (-1, 2)), Tensor("score", "FP32", (-1, 1))]
    assert facts.architecture == "Functional"
    lambdas = ['Lambda layer "shift" carries Python code', "a lambda carries Python code"]
    if extension == "keras":  # which says where the class is, so that Keras would import it
        twice = f"{Twice.__module__}.Twice"
        assert facts.problems == [f"{twice} is no part of Keras and would be imported", *lambdas]
    else:
        twice = "custom object mine>Twice"
        assert facts.problems == lambdas
    assert facts.code == [twice, 'Lambda layer "shift"', "lambda"]
    assert facts.parameter_count == model.count_params()


def test_outputs_are_told_as_keras_computes_them(keras: Any, tmp_path: Path) -> None:
    layers, endings = keras.layers, dict[str, Any]()
    endings["embedding"] = lambda: (keras.Input((7,), dtype="int32"), [layers.Embedding(9, 4)])
    endings["recurrent"] = lambda: (keras.Input((7, 3)), [layers.LSTM(5)])
    endings["sequence"] = lambda: (keras.Input((7, 3)), [layers.GRU(5, return_sequences=True)])
    endings["pooled"] = lambda: (keras.Input((6, 6, 2)), [layers.ReLU(), layers.GlobalMaxPooling2D()])
    endings["flat"] = lambda: (keras.Input((6, 6, 2)), [layers.MaxPooling2D(), layers.Flatten()])
    endings["reshaped"] = lambda: (keras.Input((6,)), [layers.Dense(6), layers.Reshape((2, 3))])
    endings["dropped"] = lambda: (
        keras.Input((6,)),
        [layers.Dense(5), layers.LayerNormalization(), layers.Dropout(0.1)],
    )
    for name, make in endings.items():
        entry, chain = make()
        after = entry
        for layer in chain:
            after = layer(after)
        for model in (keras.Sequential([entry, *chain]), keras.Model(entry, after)):
            model.save(path := tmp_path / f"{name}.keras")
            (told,) = _read(path.read_bytes()).outputs
            assert tuple(told.shape) == tuple(-1 if size is None else size for size in model.output_shape), name


def test_the_names_of_ends_may_be_keys() -> None:
    half = {"units": 2, "dtype": "mixed_float16"}
    config = {
        "class_name": "Functional",
        "config": {
            "name": "f",
            "layers": [
                files.layer("InputLayer", "in", config={"batch_shape": [None, 3], "dtype": "float32"}),
                files.layer("Dense", "out", config=half, build_config={"input_shape": [None, 3]}),
            ],
            "input_layers": {"a": ["in", 0, 0]},
            "output_layers": {"b": ["out", 0, 0]},
        },
    }
    facts = _read(files.archive(config))
    assert (facts.inputs, facts.outputs) == ([Tensor("a", "FP32", (-1, 3))], [Tensor("b", "FP16", (-1, 2))])


def test_a_model_of_keras_2_is_read() -> None:
    config = {
        "class_name": "Sequential",
        "config": [
            {
                "class_name": "Dense",
                "config": {"name": "d", "units": 2, "batch_input_shape": [None, 3], "dtype": "float32"},
            }
        ],
    }
    facts = _read(files.legacy(config, keras_version="2.15.0", backend="tensorflow"))
    assert (facts.framework_version, facts.properties["backend"]) == ("2.15.0", "tensorflow")
    assert facts.layers == [Layer("d", "Dense")]
    assert facts.inputs == [Tensor("d", "FP32", (-1, 3))]
    assert facts.outputs == [Tensor("d", "FP32", (-1, 2))]
    assert [each.name for each in facts.tensors] == ["dense/dense/kernel:0"]


def test_compressed_weights_are_told_without_their_places() -> None:
    facts = _read(files.archive(files.sequential(), zipfile.ZIP_DEFLATED))
    assert [(each.name, each.begin) for each in facts.tensors] == [("layers/dense/vars/0", -1)]


def test_layers_of_models_within_models_are_told_by_path() -> None:
    inner = files.sequential(files.layer("Dense", "a"))
    facts = _read(files.archive(files.sequential({**inner, "config": {**inner["config"], "name": "inner"}})))
    assert facts.layers == [Layer("inner", "Sequential"), Layer("inner/a", "Dense")]


@pytest.mark.parametrize("attack", files.MARKED.values(), ids=files.MARKED)
def test_what_would_execute_or_read_other_files_is_marked(attack: Callable[[], bytes]) -> None:
    """Promise 12: it is kept, listed and never served."""
    facts = _read(attack())
    assert facts.format in (Format.KERAS, Format.HDF5)
    assert facts.problems


@pytest.mark.parametrize("attack", files.REFUSED.values(), ids=files.REFUSED)
def test_what_is_broken_is_refused_at_bounded_cost(attack: Callable[[], bytes]) -> None:
    content = attack()
    tracemalloc.start()
    try:
        with pytest.raises(InvalidModelFile):
            _read(content)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 * 2**20


def test_members_that_unpack_to_much_are_not_all_unpacked() -> None:
    """Promise 8: a quarter of a megabyte that would be unpacked to 288, one file of weights after the other."""
    weights = files.hdf5(lambda file: file.create_dataset("w", data=np.zeros(6 * 2**20)))
    bomb: Any = {f"{number}__h5": weights for number in range(6)}
    facts = _read(files.archive(files.sequential(), zipfile.ZIP_DEFLATED, **bomb))
    assert facts.problems == ["5.h5 is compressed, and too large to be looked at, or after too many others"]


def test_a_file_of_very_many_files_of_weights_is_refused() -> None:
    many: Any = {f"{number}__h5": b"" for number in range(1001)}
    with pytest.raises(InvalidModelFile, match="1002 files of weights"):
        _read(files.archive(files.sequential(), **many))


def test_whatever_a_configuration_holds_in_place_of_what_it_should_is_read() -> None:
    """Numbers, lists and nothing where texts and objects belong."""
    good = files.sequential(
        files.layer("InputLayer", "x", config={"batch_shape": [None, 4]}), files.layer("Dense", "d")
    )
    strange: Any
    for strange in (None, 3, [], [[]], {}, "x", [None], {"class_name": None}):
        for place in ("class_name", "config", "module", "registered_name", "compile_config"):
            assert _read(files.archive({**good, place: strange})).format is Format.KERAS
        for field in ("layers", "name", "input_layers", "output_layers"):
            config = {"input_layers": [], "output_layers": [], **good["config"], field: strange}
            assert _read(files.archive({**good, "config": config})).format is Format.KERAS
        for field in ("config", "class_name", "build_config", "inbound_nodes"):
            layer = {**good["config"]["layers"][1], field: strange}
            assert _read(files.archive(files.sequential(layer))).format is Format.KERAS
            assert _read(files.legacy(json.dumps(files.sequential(layer)))).format is Format.KERAS
