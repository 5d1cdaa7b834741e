"""N-04: what a module answers where it was trained is what its servers have to answer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headwater import parity
from headwater.parity import OnnxModel, ParityInvalid, ParityMismatch
from headwater.tensors import Tensor
from headwater.training.export import export
from headwater.training.samples import parity_of


class Two(torch.nn.Module):
    """Sum and difference, scaled by what was trained."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([0.1, 0.7]))

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (a + b) * self.scale, torch.sin(a - b)


ROWS = {"a": torch.arange(8.0).reshape(4, 2), "b": torch.ones(4, 2)}


def exported(directory: Path, **more: Any) -> dict[str, Path]:
    example = {"a": torch.zeros(1, 2), "b": torch.zeros(1, 2)}
    return export(Two(), directory, example=example, outputs=["sum", "difference"], properties={}, **more)


def test_the_exported_file_answers_as_the_module_did(tmp_path: Path) -> None:
    files = exported(tmp_path, samples=ROWS)
    record = parity.read(files["parity.json"].read_bytes())
    assert len(record.samples) == 4
    assert torch.__version__.startswith(record.environment["torch"])
    model = OnnxModel(files["model.onnx"])
    parity.replay(record, None, lambda inputs: model.predict(list(inputs.values())))

    def other(inputs: Any) -> Any:
        return [Tensor(each.name, each.datatype, each.array + 0.01) for each in model.predict(list(inputs.values()))]

    with pytest.raises(ParityMismatch, match="Sample 0 of the parity record, sum"):
        parity.replay(record, None, other)


@pytest.mark.parametrize(
    ("samples", "outputs", "told"),
    [
        ({"a": ROWS["a"]}, ["sum", "difference"], "must have a, b, as the example; have a"),
        ({"a": ROWS["a"], "b": ROWS["b"][:3]}, ["sum", "difference"], r"they have \[3, 4\]"),
        ({"a": ROWS["a"][:0], "b": ROWS["b"][:0]}, ["sum", "difference"], "1 to 64 samples; 0 are given"),
        ({name: torch.zeros(65, 2) for name in "ab"}, ["sum", "difference"], "1 to 64 samples; 65 are given"),
        (ROWS, ["sum"], "The module gives 2 outputs; 1 are named"),
    ],
)
def test_samples_that_are_none_are_refused(samples: Any, outputs: list[str], told: str) -> None:
    with pytest.raises(ParityInvalid, match=told):
        parity_of(Two(), samples, ["a", "b"], outputs)


def test_bfloat16_is_kept_bit_by_bit() -> None:
    rows = {"x": torch.tensor([[1.5], [-2.0]], dtype=torch.bfloat16)}
    record = parity.read(parity_of(torch.nn.Identity(), rows, ["x"], ["y"]))
    [answer] = record.samples[1].outputs
    assert (answer.datatype, answer.array.dtype) == ("BF16", np.dtype("<u2"))
    assert answer.array.tolist() == [[0xC000]]
