"""Files that belong together are one model, whether they are the files of a version or lie in a tar."""

import itertools
from collections.abc import Mapping

import pytest

from services.registry.formats import FileFacts, Format, InvalidModelFile, Layer, Tensor
from services.registry.formats.bundles import MAX_TEXTS, main_path, misfits, together
from services.registry.formats.content import MemoryContent
from services.registry.formats.detect import read
from tests.data.models import tensorflow_files as tensorflow
from tests.data.models.onnx_files import linear_model
from tests.data.models.safetensors_files import safetensors
from tests.data.models.tars import tar


def _saved_model(shards: int = 2, *names: str) -> Mapping[str, bytes]:
    """A directory with two variables, of which the graph knows ``names``."""
    described = [("root", "_tf_keras_sequential", {"class_name": "Sequential", "config": {"name": "m", "layers": []}})]
    described.append(("root.layer-0", "_tf_keras_layer", {"class_name": "Dense", "config": {"name": "dense"}}))
    variables = tensorflow.variables({"layer/0": (4, 3), "layer/1": (3,)}, shards)
    graph = tensorflow.meta_graph(operators=["VarHandleOp", "MatMul"])
    return {
        "saved_model.pb": tensorflow.saved_model(tensorflow.with_variables(graph, *names) if names else graph),
        "keras_metadata.pb": tensorflow.keras_metadata(*described),
        "fingerprint.pb": b"\x08\x01",
        **{f"variables/{name}": content for name, content in variables.items()},
    }


def _told(files: Mapping[str, bytes]) -> Mapping[str, FileFacts]:
    return {path: read(MemoryContent(content)) for path, content in files.items()}


@pytest.mark.parametrize("in_tar", [True, False], ids=["in a tar", "beside each other"])
def test_the_directory_of_a_saved_model_is_one_model(in_tar: bool) -> None:
    """R-12, R-14: signatures of the graph, variables of the index, layers as Keras described them."""
    files = _saved_model()
    facts = read(MemoryContent(tar(**{f"digits/{name}": data for name, data in files.items()}))) if in_tar else None
    facts = facts or together(_told(files))
    assert facts.format is Format.TENSORFLOW_SAVED_MODEL
    assert [each.name for each in facts.inputs] == ["x"]
    assert [(each.name, tuple(each.shape)) for each in facts.tensors] == [("layer/0", (4, 3)), ("layer/1", (3,))]
    assert facts.parameter_count == 15
    assert (facts.framework, facts.framework_version, facts.architecture) == ("tensorflow", "2.18.0", "Sequential")
    assert facts.layers == [Layer("dense", "Dense")]
    assert not facts.problems


def test_variables_have_the_names_that_the_graph_gives_them() -> None:
    facts = together(_told(_saved_model(2, "dense/kernel:0", "dense/bias:0")))
    assert [each.name for each in facts.tensors] == ["dense/kernel:0", "dense/bias:0"]


def _without(files: Mapping[str, bytes], path: str) -> Mapping[str, bytes]:
    return {each: content for each, content in files.items() if each != path}


@pytest.mark.parametrize("name", ["index", "data-00000-of-00002", "data-00001-of-00002"])
def test_variables_and_each_of_their_shards_must_be_there(name: str) -> None:
    """R-14, "sharded storage"."""
    files, path = _saved_model(), f"variables/variables.{name}"
    for part in (
        _without(files, path),
        {**files, path: files[path][:-1]} if name != "index" else _without(files, path),
    ):
        sizes = {each: len(content) for each, content in part.items()}
        ((_, wrong),) = list(misfits(_told(part), sizes))
        assert path in wrong
        with pytest.raises(InvalidModelFile, match="is not there or is too short"):
            read(MemoryContent(tar(**part)))


def test_a_checkpoint_may_have_any_name() -> None:
    folder = tensorflow.variables({"a": (2,)})
    files = {name.replace("variables", "ckpt-7"): content for name, content in folder.items()}
    told, sizes = _told(files), {name: len(content) for name, content in files.items()}
    assert not list(misfits(told, sizes))
    assert together(told).format is Format.TENSORFLOW_VARIABLES
    assert list(misfits(told, {"ckpt-7.index": 1}))


def test_one_file_stands_for_all_whatever_their_order() -> None:
    """What holds a whole model before weights, weights before what describes them, the outer before the inner."""
    files = {
        "model.onnx": linear_model(4, 3),
        "deep/model.onnx": linear_model(4, 3),
        "model.safetensors": safetensors(a=(3,)),
        "notes.txt": b"hello",
    }
    for order in itertools.permutations(_told(files).items()):
        left = dict(order)
        for expected in files:
            assert main_path(left) == expected
            del left[expected]


def test_every_format_has_its_rank() -> None:
    for format_ in Format:
        assert main_path({"a": FileFacts(format_), "b": FileFacts(format_)}) == "a"


def test_shards_are_counted_together_and_checkpoints_are_not() -> None:
    def weights(name: str) -> FileFacts:
        return FileFacts(Format.PYTORCH, tensors=[Tensor(name, "FP32", (5,))])

    shards = {f"model-{number:05d}-of-00002.bin": weights(str(number)) for number in (1, 2)}
    assert together({**shards, "other.bin": FileFacts()}).parameter_count == 10
    assert together({"epoch-1.pt": weights("a"), "epoch-2.pt": weights("b")}).parameter_count == 5


def test_what_is_wrong_with_any_file_is_told_with_its_path() -> None:
    files = {"a": FileFacts(problems=["bad"], code=["x.py"]), "b": FileFacts(Format.ONNX, problems=["worse"])}
    facts = together(files)
    assert facts.problems == ["a: bad", "b: worse"]
    assert facts.code == ["a: x.py"]
    many = together({"a": FileFacts(problems=["bad"] * (MAX_TEXTS + 5))})
    assert many.problems[-1] == "and 5 more"
