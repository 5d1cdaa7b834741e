"""Logits always, features by ``return_features`` (P-23)."""

import pytest

from services.inference.features import choose_outputs
from services.inference.question import Question
from services.inference.tensors.errors import SignatureMismatch
from services.inference.tensors.model import Signature, TensorSpec

X = (TensorSpec("x", "FP32", (-1, 4)),)
LOGITS, FEATURES = TensorSpec("logits", "FP32", (-1, 3)), TensorSpec("features", "FP32", (-1, 8))
BOTH = Signature(X, (FEATURES, LOGITS), batchable=True)
LOGITS_ONLY = Signature(X, (LOGITS,), batchable=True)
FEATURES_ONLY = Signature(X, (FEATURES,), batchable=True)


def chosen(signature: Signature, wanted: bool | None, *outputs: str) -> list[str]:
    question = Question("m", "", {}, outputs, "caller", "", 0.0, return_features=wanted)
    return [signature.outputs[index].name for index in choose_outputs(signature, question)]


@pytest.mark.parametrize(
    ("signature", "wanted", "outputs", "answered"),
    [
        (BOTH, None, [], ["features", "logits"]),
        (BOTH, False, [], ["logits"]),
        (BOTH, True, [], ["features", "logits"]),
        (BOTH, True, ["logits"], ["logits", "features"]),
        (BOTH, True, ["features"], ["features"]),
        (BOTH, False, ["logits"], ["logits"]),
        (LOGITS_ONLY, False, [], ["logits"]),
        (LOGITS_ONLY, None, [], ["logits"]),
    ],
)
def test_features_come_when_they_are_wanted(
    signature: Signature, wanted: bool | None, outputs: list[str], answered: list[str]
) -> None:
    assert chosen(signature, wanted, *outputs) == answered


@pytest.mark.parametrize(
    ("signature", "wanted", "outputs", "told"),
    [
        (LOGITS_ONLY, True, [], "has no output features"),
        (BOTH, False, ["features"], "return_features is false"),
        (FEATURES_ONLY, False, [], "nothing but features"),
    ],
)
def test_what_cannot_be_is_an_error(signature: Signature, wanted: bool, outputs: list[str], told: str) -> None:
    with pytest.raises(SignatureMismatch, match=told):
        chosen(signature, wanted, *outputs)
