"""PyTorch's files, in worker processes as they are served (P-19, P-22, P-23)."""

import io
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from services.inference.engines.engine import DeviceUnavailable, Engine, EngineFailed, ModelRefused
from services.inference.engines.loader import Bounds, Engines
from services.inference.engines.options import EngineOptions, Precision
from services.inference.tensors.model import Array, Signature, TensorSpec
from tests.unit.inference.worker.conftest import a_file

X = TensorSpec("x", "FP32", (-1, 4))
ROWS = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)


class Both(nn.Module):
    """Logits, and the features that they were computed from."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.last = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = torch.relu(self.hidden(x))
        return {"logits": self.last(features), "features": features}


class Difference(nn.Module):
    """Two inputs whose order matters."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left - right


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    made = Engines(Bounds(threads=1))
    yield made
    made.close()


@pytest.fixture(scope="module")
def both() -> nn.Module:
    torch.manual_seed(0)
    return Both().eval()


@pytest.fixture(scope="module")
def program(both: nn.Module) -> bytes:
    """The same as a ``.pt2``."""
    return exported(both, torch.zeros(2, 4))


def scripted(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


def exported(module: nn.Module, *arguments: torch.Tensor, **named: torch.Tensor) -> bytes:
    buffer = io.BytesIO()
    rows = torch.export.Dim("rows")
    shapes: Any = [{0: rows} for _ in (*arguments, *named)]
    program = torch.export.export(module, arguments, named, dynamic_shapes=tuple(shapes))
    torch.export.save(program, buffer)
    return buffer.getvalue()


def load(engines: Engines, kind: str, content: bytes, signature: Signature | None = None, **options: Any) -> Engine:
    return engines.load(kind, a_file(content), EngineOptions(**options), signature=signature)


def expected(module: nn.Module, *inputs: Array) -> Any:
    with torch.inference_mode():
        return module(*(torch.from_numpy(each) for each in inputs))


def test_torchscript_is_served_with_what_the_deployment_says_of_its_inputs(engines: Engines) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.Softmax(-1)).eval()
    engine = load(engines, "torchscript", scripted(module), inputs=(X,))
    assert engine.platform == "pytorch_libtorch"
    assert engine.signature == Signature((X,), (TensorSpec("output_0", "FP32", (-1, 3)),), batchable=True)
    np.testing.assert_allclose(engine.predict([ROWS])[0], expected(module, ROWS), atol=1e-6)


def test_what_was_registered_stands_where_a_deployment_says_nothing(engines: Engines) -> None:
    """Inputs are given by their names, whatever their order."""
    left, right = (TensorSpec(name, "FP32", (-1, 2)) for name in ("left", "right"))
    registered = Signature((right, left), (TensorSpec("difference", "", ()),), batchable=False)
    engine = load(engines, "torchscript", scripted(Difference()), registered)
    assert [spec.name for spec in engine.signature.inputs] == ["right", "left"]
    assert engine.signature.outputs == (TensorSpec("difference", "FP32", (-1, 2)),)
    ones = np.ones((1, 2), np.float32)
    assert engine.predict([ones, 3 * ones])[0].tolist() == [[2, 2]]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((), "say it in the deployment's engine.inputs"),
        ((TensorSpec("x", "FP32", (-1, 5)),), "fails on zeros"),
        ((X, TensorSpec("y", "FP32", (-1, 5))), "takes 1 inputs"),
        ((TensorSpec("x", "BYTES", (-1, 4)),), "which PyTorch does not have"),
    ],
)
def test_inputs_that_are_not_known_or_cannot_be_are_refused(
    engines: Engines, inputs: tuple[TensorSpec, ...], words: str
) -> None:
    with pytest.raises(ModelRefused, match=words):
        load(engines, "torchscript", scripted(nn.Linear(4, 3)), inputs=inputs)


def test_an_exported_program_tells_everything_itself(engines: Engines, both: nn.Module, program: bytes) -> None:
    """P-23: logits and features by their names."""
    engine = load(engines, "torch_export", program)
    outputs = TensorSpec("logits", "FP32", (-1, 3)), TensorSpec("features", "FP32", (-1, 8))
    assert engine.signature == Signature((X,), outputs, batchable=True)
    wanted = expected(both, ROWS)
    for spec, output in zip(outputs, engine.predict([ROWS]), strict=True):
        np.testing.assert_allclose(output, wanted[spec.name], atol=1e-6)


def test_an_exported_program_takes_inputs_by_place_and_by_name(engines: Engines) -> None:
    engine = load(engines, "torch_export", exported(Difference(), torch.zeros(2, 3), right=torch.zeros(2, 3)))
    assert [spec.name for spec in engine.signature.inputs] == ["left", "right"]
    ones = np.ones((1, 3), np.float32)
    assert engine.predict([3 * ones, ones])[0].tolist() == [[2, 2, 2]]


@pytest.mark.parametrize("member", ["data/aotinductor/model/x.so", "data/constants/opaque_obj_0", "a/custom_obj_1"])
def test_an_exported_program_that_brings_code_is_refused(engines: Engines, member: str) -> None:
    content = io.BytesIO(exported(Difference(), torch.zeros(2, 3), torch.zeros(2, 3)))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(f"archive/{member}", b"")
    with pytest.raises(ModelRefused, match=r"would be executed"):
        load(engines, "torch_export", content.getvalue())


@pytest.mark.parametrize("kind", ["torchscript", "torch_export"])
def test_what_is_no_such_file_is_refused(engines: Engines, kind: str) -> None:
    with pytest.raises(ModelRefused):
        load(engines, kind, b"\x80\x04K\x01.", inputs=(X,) if kind == "torchscript" else ())


@pytest.mark.parametrize("kind", ["safetensors", "pytorch"])
@pytest.mark.parametrize("prefix", ["", "layers."])
def test_a_state_is_served_through_an_architecture_that_ships(engines: Engines, kind: str, prefix: str) -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    state = {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = safetensors.torch.save(state) if kind == "safetensors" else buffer.getvalue()
    engine = load(engines, kind, content, inputs=(X,), architecture="mlp")
    np.testing.assert_allclose(engine.predict([ROWS])[0], expected(module, ROWS), atol=1e-6)


def test_the_network_of_the_example_is_an_architecture(engines: Engines) -> None:
    layers = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *(nn.Linear(64 * 2 * 2, 64), nn.ReLU()),
        nn.Linear(64, 10),
    ).eval()
    content = safetensors.torch.save({f"layers.{name}": each for name, each in layers.state_dict().items()})
    image = TensorSpec("image", "FP32", (-1, 1, 8, 8))
    engine = load(engines, "safetensors", content, inputs=(image,), architecture="small-cnn")
    images = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    np.testing.assert_allclose(engine.predict([images])[0], expected(layers, images), atol=1e-5)


@pytest.mark.parametrize(
    ("state", "options", "words"),
    [
        ({"0.weight": torch.zeros(3, 4), "0.bias": torch.zeros(3)}, {}, "not served"),
        ({"0.weight": torch.zeros(3, 4)}, {"architecture": "mlp"}, "not those of mlp"),
        ({"a": torch.zeros(3, 4)}, {"architecture": "mlp"}, "not those of mlp"),
        ({"a": torch.zeros(3, 4)}, {"architecture": "small-cnn"}, "not those of small-cnn"),
        ({"a": torch.zeros(3, 4)}, {"architecture": "bert"}, "No architecture bert is registered; these ship: mlp"),
    ],
)
def test_a_state_without_its_architecture_is_refused(
    engines: Engines, state: dict[str, torch.Tensor], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ModelRefused, match=words):
        load(engines, "safetensors", safetensors.torch.save(state), inputs=(X,), **options)


class Evil:
    """A pickle that would write a file."""

    def __reduce__(self) -> Any:
        return (open, ("/tmp/executed", "w"))


def test_a_pickle_is_not_executed(engines: Engines) -> None:
    """Promise 12."""
    buffer = io.BytesIO()
    torch.save({"weight": Evil()}, buffer)
    with pytest.raises(ModelRefused, match="cannot load the file as weights"):
        load(engines, "pytorch", buffer.getvalue(), inputs=(X,), architecture="mlp")


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16])
def test_autocast_computes_less_exactly_and_answers_in_the_same_type(
    engines: Engines, both: nn.Module, program: bytes, precision: Precision
) -> None:
    """P-22."""
    exact = expected(both, ROWS)["logits"].numpy()
    engine = load(engines, "torch_export", program, autocast=precision)
    lower = engine.predict([ROWS])[0]
    assert engine.signature.outputs[0].datatype == "FP32"
    assert lower.dtype == np.float32
    assert 0 < np.abs(lower - exact).max() < 0.02


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(engines: Engines, program: bytes) -> None:
    with pytest.raises(DeviceUnavailable, match="no GPU here"):
        load(engines, "torch_export", program, device="cuda:1")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("precision", [Precision.NONE, Precision.FP16])
def test_a_gpu_gives_the_same_answers(engines: Engines, both: nn.Module, program: bytes, precision: Precision) -> None:
    """P-22."""
    options: dict[str, Any] = {"device": "cuda:0", "autocast": precision}
    wanted = expected(both, ROWS)["logits"]
    programs = [
        load(engines, "torch_export", program, **options),
        load(engines, "torchscript", scripted(both), inputs=(X,), **options),
    ]
    for engine in programs:
        logits = [spec.name for spec in engine.signature.outputs].index("logits")
        np.testing.assert_allclose(engine.predict([ROWS])[logits], wanted, atol=2e-2 if precision.value else 1e-5)
    with pytest.raises(DeviceUnavailable, match="There is no cuda:99"):
        load(engines, "torchscript", scripted(both), inputs=(X,), device="cuda:99")


def test_an_input_that_the_model_cannot_compute_fails_and_the_next_does_not(engines: Engines) -> None:
    lookup = scripted(nn.Embedding(4, 2))
    engine = load(engines, "torchscript", lookup, inputs=(TensorSpec("input", "INT64", (-1,)),))
    with pytest.raises(EngineFailed):
        engine.predict([np.array([99], np.int64)])
    assert engine.predict([np.array([1], np.int64)])[0].shape == (1, 2)


def test_bfloat16_passes_through_as_its_bits(engines: Engines) -> None:
    spec = TensorSpec("input", "BF16", (-1, 2))
    engine = load(engines, "torchscript", scripted(nn.Identity()), inputs=(spec,))
    bits = np.array([[0x3F80, 0x7FC1]], np.uint16)
    assert engine.signature.outputs[0].datatype == "BF16"
    assert engine.predict([bits])[0].tolist() == bits.tolist()
