"""A torch model becomes an ONNX model that computes the same, on this machine (M-76)."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
import yaml

from headwater import packaging
from headwater.packaging.converting import CannotConvert, convert
from headwater.packaging.local import LocalFileRefused
from tests.unit.packaging.documents import package

pytestmark = pytest.mark.filterwarnings("ignore")  # torch remarks on its own deprecated parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh()).eval()
    torch.jit.save(torch.jit.script(module), tmp_path / "model.pt")
    torch.export.save(torch.export.export(module, (torch.rand(2, 4),)), tmp_path / "model.pt2")
    (tmp_path / "broken.pt").write_bytes(b"PK")
    return tmp_path


def section(path: str = "model.pt", shape: tuple[int, ...] = (-1, 4), **changes: Any) -> packaging.ModelPackage:
    whole = {
        "onnx_convertible": True,
        "model_source": {"initial_model_local": {"path": path}},
        "tf_inputs": {"features": list(shape)},
        "tf_outputs": ["scores"],
    }
    return package(convert={**whole, **changes})


@pytest.mark.parametrize("name", ["model.pt", "model.pt2"])
def test_a_model_is_converted_and_compared(name: str, folder: Path) -> None:
    done = convert(section(name, (2, 4) if name.endswith("2") else (-1, 4)), folder)
    assert done.path == folder / "model.onnx"
    assert done.largest_difference < 1e-5
    session = onnxruntime.InferenceSession(str(done.path))
    assert [each.name for each in session.get_inputs()] == ["features"]
    assert [each.name for each in session.get_outputs()] == ["scores"]
    rows = 5 if name == "model.pt" else 2
    assert session.run(None, {"features": torch.rand(rows, 4).numpy()})[0].shape == (rows, 3)


def test_a_model_that_computes_something_else_is_not_kept(folder: Path) -> None:
    """The bounds of the document decide."""

    class Noisy(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features + torch.rand(features.shape)

    torch.jit.save(torch.jit.script(Noisy()), folder / "noisy.pt")
    with pytest.raises(CannotConvert, match=r"gives other values, by up to .*tf_rtol 0 and .*tf_atol 1e-06"):
        convert(section("noisy.pt", tf_rtol=0, tf_atol=1e-6), folder)
    assert not (folder / "noisy.onnx").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"onnx_convertible": False}, r"convert\.onnx_convertible is not true"),
        (
            {"model_source": {"initial_model_local": {"url": "https://x.example"}}},
            r"initial_model_local\.path must name",
        ),
        ({"tf_inputs": {}}, r"convert\.tf_inputs must give"),
        ({"path": "broken.pt"}, r"torch cannot convert broken\.pt"),
    ],
)
def test_what_is_missing_is_named(changes: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(CannotConvert, match=message):
        convert(section(**changes), folder)


def test_a_tensorflow_model_needs_what_is_not_installed(folder: Path) -> None:
    text = yaml.safe_dump(
        {
            "name": "x",
            "framework": {"name": "TensorFlow"},
            "convert": {
                "onnx_convertible": True,
                "model_source": {"initial_model_local": {"path": "model.pt"}},
                "tf_inputs": {"X:0": [1]},
                "tf_outputs": ["pred:0"],
            },
        }
    )
    document = packaging.read(text).document
    assert isinstance(document, packaging.ModelPackage)
    with pytest.raises(CannotConvert, match="needs tf2onnx"):
        convert(document, folder)


def test_nothing_is_written_over_or_outside(folder: Path) -> None:
    (folder / "model.onnx").write_text("mine")
    with pytest.raises(CannotConvert, match=r"model\.onnx is there already"):
        convert(section(), folder)
    assert (folder / "model.onnx").read_text() == "mine"
    outside = {"onnx_model_local": {"path": "../model.onnx"}}
    with pytest.raises(LocalFileRefused, match="onnx_model_local"):
        convert(section(onnx_converted_model=outside), folder)
