"""What a job's process does, in this one: sources of every kind, with random samples and with a parity record."""

import dataclasses
import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from headwater import parity
from headwater.errors import HeadwaterError
from headwater.names import ModelVersionName
from headwater.tensors import Array, Tensor
from headwater.transforms import Pipeline
from headwater.transforms.feeding import Input
from services.inference.conversions.errors import CannotConvert, NotAccurate
from services.inference.conversions.model import Conversion, Gate, Plan, Target
from services.inference.conversions.working import source as sources
from services.inference.conversions.working.convert import convert
from services.inference.conversions.working.outcome import Outcome
from services.inference.engines.formats import load_here
from services.inference.engines.options import EngineOptions
from services.inference.engines.order import Order
from services.inference.tensors.model import TensorSpec
from tests.integration.inference.pipelines import document, image

# Its newer forms are what conversion is for.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

VERSION = ModelVersionName("p", "m", "1")
X = TensorSpec("x", "FP32", (-1, 16))
SAID = EngineOptions(threads=1, inputs=(X,))
ANY_GATE = Gate()
ROWS = np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).eval()


def scripted(module: nn.Module) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module), buffer)
    return buffer.getvalue()


def weights(module: nn.Module) -> bytes:
    return safetensors.torch.save(module.state_dict())


def made(
    content: bytes, order: Order, target: Target, gate: Gate = ANY_GATE, record: bytes = b"", pipeline: str = ""
) -> Outcome:
    plan = Plan(VERSION, Conversion(target), engine=order.options, gate=gate, sample_count=4)
    return convert(sources.load(content, order), plan, order, record, pipeline)


def answers(content: bytes, order: Order) -> Sequence[Array]:
    return load_here(content, order).predict([ROWS])


def expected(module: nn.Module) -> Any:
    with torch.inference_mode():
        return module(torch.from_numpy(ROWS)).numpy()


def test_torchscript_becomes_onnx_and_8_bit_integers() -> None:
    """P-20, P-28, M-76: rows stay free, names stay, integers are smaller and near."""
    module, order = network(), Order("torchscript", SAID)
    outcome = made(scripted(module), order, Target.ONNX)
    assert (outcome.format, outcome.failure) == ("onnx", "")
    engine = load_here(outcome.model, Order("onnx", EngineOptions(threads=1)))
    assert [spec.name for spec in engine.signature.inputs] == ["x"]
    assert engine.signature.batchable
    np.testing.assert_allclose(engine.predict([ROWS])[0], expected(module), atol=1e-5)

    int8 = made(outcome.model, Order("onnx", EngineOptions(threads=1)), Target.ONNX_INT8, Gate(0.05, 0.05))
    assert int8.failure == ""
    assert len(int8.model) < len(outcome.model)
    near = answers(int8.model, Order("onnx", EngineOptions(threads=1)))[0]
    np.testing.assert_allclose(near, expected(module), atol=0.05)
    refused = made(outcome.model, Order("onnx", EngineOptions(threads=1)), Target.ONNX_INT8)
    assert (refused.failure_reason, refused.model) == (NotAccurate.reason, b"")
    assert refused.evidence is not None
    assert refused.evidence.candidates[0].differences[0].outside > 0


def test_weights_become_torchscript() -> None:
    """P-19: through a registered architecture."""
    module = network()
    order = Order("safetensors", dataclasses.replace(SAID, architecture="mlp"))
    outcome = made(weights(module), order, Target.TORCHSCRIPT)
    assert (outcome.format, outcome.failure) == ("torchscript", "")
    np.testing.assert_allclose(answers(outcome.model, Order("torchscript", SAID))[0], expected(module), atol=1e-6)
    assert outcome.evidence is not None
    assert (outcome.evidence.inputs, outcome.evidence.sample_count) == ((X,), 4)
    assert outcome.parity == b""


def test_the_samples_of_a_parity_record_are_compared_and_recorded_anew() -> None:
    """N-04, M-76."""
    module = network()
    wanted = expected(module)
    sample = parity.Sample((Tensor("x", "FP32", ROWS),), "", (Tensor("output_0", "FP32", wanted),))
    record = parity.write(parity.Parity((sample,), "", {}))
    outcome = made(scripted(module), Order("torchscript", SAID), Target.ONNX, record=record)
    assert outcome.evidence is not None
    assert (outcome.evidence.from_parity_record, outcome.evidence.sample_count) == (True, 1)
    again = parity.read(outcome.parity)
    given = load_here(outcome.model, Order("onnx", EngineOptions(threads=1))).predict([ROWS])[0]
    np.testing.assert_array_equal(again.samples[0].outputs[0].array, given)
    assert again.samples[0].outputs[0].name == "output_0"


class Scorer:
    """A network behind a pipeline that leaves images of 4 by 4, as a parity record knows models."""

    inputs: Sequence[Input] = (Input("x", "FP32", (-1, 1, 4, 4)),)

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def predict(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """Its answer."""
        with torch.inference_mode():
            given = self.module(torch.from_numpy(inputs[0].array))
        return [Tensor("output_0", "FP32", given.numpy())]


def test_raw_samples_are_prepared_by_the_versions_pipeline() -> None:
    """N-04: and stay raw in the record of what was made."""
    module, text = nn.Sequential(nn.Flatten(), network()).eval(), document()
    given = [parity.Given(files=(image(seed),)) for seed in (1, 2)]
    record = parity.write(parity.record(given, Scorer(module), Pipeline.parse(text)))
    said = EngineOptions(threads=1, inputs=(TensorSpec("x", "FP32", (-1, 1, 4, 4)),))
    outcome = made(scripted(module), Order("torchscript", said), Target.ONNX, record=record, pipeline=text)
    assert outcome.failure == ""
    before, after = parity.read(record), parity.read(outcome.parity)
    assert [each.prepared for each in after.samples] == [each.prepared for each in before.samples]
    assert [each.files for each in after.samples] == [[image(1)], [image(2)]]
    with pytest.raises(CannotConvert, match="no pipeline was recorded"):
        made(scripted(module), Order("torchscript", said), Target.ONNX, record=record)


class Running(nn.Module):
    """Each row with the sum of those before it: a loop over as many rows as there are."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See above."""
        total = torch.zeros(4)
        for row in range(x.shape[0]):
            total = total + x[row, :4]
        return x[:, :4] + total


def test_a_loop_over_rows_stays_a_loop() -> None:
    """M-76: it is compared with several numbers of rows."""
    module = Running()
    outcome = made(scripted(module), Order("torchscript", SAID), Target.ONNX)
    assert outcome.failure == ""
    rows = answers(outcome.model, Order("onnx", EngineOptions(threads=1)))[0]
    np.testing.assert_allclose(rows, expected(module), atol=1e-5)


@pytest.mark.parametrize(
    ("content", "order", "target", "reason"),
    [
        (b"no model", Order("torchscript", SAID), Target.ONNX, "MODEL_REFUSED"),
        (b"no model", Order("onnx"), Target.ONNX_INT8, "MODEL_REFUSED"),
        (b"no model", Order("xgboost"), Target.ONNX, "CANNOT_CONVERT"),
        (weights(network()), Order("safetensors", SAID), Target.ONNX, "MODEL_REFUSED"),
        (weights(network()), Order("safetensors", EngineOptions(architecture="mlp")), Target.ONNX, "MODEL_REFUSED"),
    ],
)
def test_what_is_no_source_is_refused(content: bytes, order: Order, target: Target, reason: str) -> None:
    with pytest.raises(HeadwaterError) as error:
        made(content, order, target)
    assert error.value.reason == reason


def test_what_has_no_matrices_cannot_be_8_bit_integers() -> None:
    script = made(scripted(Running()), Order("torchscript", SAID), Target.ONNX_INT8)
    assert script.failure_reason == CannotConvert.reason
    assert "no matrices of weights" in script.failure
