"""How far answers are apart, and whether that is close enough."""

import datetime

import numpy as np
import pytest

from headwater import parity
from headwater.tensors import Array, Tensor
from services.inference.conversions.errors import CannotConvert, NotAccurate
from services.inference.conversions.model import ALLOWED, Conversion, Gate, Job, Plan, State, Target
from services.inference.conversions.working import samples
from services.inference.conversions.working.comparing import check, differences, top1_agreement
from services.inference.tensors.model import Signature, TensorSpec
from tests.contract.inference.test_conversion_store import EVIDENCE, PLAN

EVIDENCE_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
Y = TensorSpec("y", "FP32", (-1, 3))
SIGNATURE = Signature((TensorSpec("x", "FP32", (-1, 2)),), (Y,), batchable=True)


def of(*numbers: float, dtype: str = "<f4") -> list[list[Array]]:
    return [[np.array([numbers], dtype)]]


def test_numbers_within_the_tolerance_agree() -> None:
    """M-76: absolute + relative × |expected|."""
    (found,) = differences(SIGNATURE, of(1, 10, 100), of(1.001, 10, 100.1), Gate(0.0, 0.01))
    assert (found.elements, found.outside) == (3, 0)
    assert found.largest_absolute == pytest.approx(0.1, rel=1e-3)
    assert found.largest_relative == pytest.approx(0.001, rel=1e-3)
    check(Gate(0.0, 0.01), [found], 0.0)


def test_a_number_outside_of_it_is_named() -> None:
    gate = Gate(0.0, 0.0001)
    found = differences(SIGNATURE, of(1, 10, 100), of(1, 10, 101), gate)
    with pytest.raises(NotAccurate, match=r"'y': 1 of 3 numbers differ .* by 1 at most"):
        check(gate, found, 1.0)


@pytest.mark.parametrize("other", [of(1, float("nan"), 3), of(1, float("inf"), 3), of(1, 2), of(1, 2, 3, dtype="<f8")])
def test_what_is_no_number_or_of_another_shape_never_agrees(other: list[list[Array]]) -> None:
    found = differences(SIGNATURE, of(1, 2, 3), other, Gate(1e9, 0.5))
    assert found[0].outside
    assert found[0].largest_absolute is None
    with pytest.raises(NotAccurate):
        check(Gate(1e9, 0.5), found, 1.0)


def test_nan_agrees_with_nan() -> None:
    same = of(float("nan"), float("inf"), 0.0)
    (found,) = differences(SIGNATURE, same, same, Gate(0.0, 0.0))
    assert (found.outside, found.largest_absolute, found.largest_relative) == (0, 0.0, 0.0)


def test_classes_must_be_the_same() -> None:
    signature = Signature(SIGNATURE.inputs, (TensorSpec("label", "INT64", (-1,)),), batchable=True)
    labels = [[np.array([1, 2, 3])]], [[np.array([1, 2, 4])]]
    assert differences(signature, *labels, Gate(10.0, 0.5))[0].outside == 1


def test_agreement_in_the_largest_number_may_be_asked_for_instead() -> None:
    """P-20: 8-bit integers are never within a tolerance, and mostly right."""
    expected = [[np.array([[1, 2, 3], [3, 2, 1]], "<f4")], [np.array([[0, 1, 0]], "<f4")]]
    given = [[np.array([[1, 2, 4], [2, 3, 1]], "<f4")], [np.array([[0, 1, 0]], "<f4")]]
    agreement = top1_agreement(expected, given)
    assert agreement == pytest.approx(2 / 3)
    found = differences(SIGNATURE, expected, given, Gate())
    check(Gate(min_top1_agreement=0.6), found, agreement)
    with pytest.raises(NotAccurate, match=r"66\.7% of the rows; at least 70\.0%"):
        check(Gate(min_top1_agreement=0.7), found, agreement)
    assert top1_agreement(expected, [[each[0][:1]] for each in given]) == 0.0


def test_samples_have_various_numbers_of_rows_and_are_always_the_same() -> None:
    signature = Signature(
        (TensorSpec("x", "FP32", (-1, 2)), TensorSpec("ids", "INT64", (-1, -1)), TensorSpec("b", "BF16", (3,))),
        (Y,),
        batchable=False,
    )
    first, second = samples.drawn(signature, 4), samples.drawn(signature, 4)
    assert {each[0].shape[0] for each in first.inputs} == {1, 2, 3, 5}
    assert {int(number) for each in first.inputs for number in each[1].flat} <= {0, 1}
    for one, other in zip(first.inputs, second.inputs, strict=True):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_text_is_not_made_up() -> None:
    with pytest.raises(CannotConvert, match="register the version with samples"):
        samples.drawn(Signature((TensorSpec("text", "BYTES", (-1,)),), (Y,), batchable=True), 1)


def test_a_parity_record_gives_its_inputs_and_gets_the_new_answers() -> None:
    """N-04: what was converted is held to what it answered itself, where it was compared."""
    x, y = np.ones((1, 2), "<f4"), np.zeros((1, 3), "<f4")
    sample = parity.Sample((Tensor("x", "FP32", x),), "", (Tensor("y", "FP32", y),))
    document = parity.write(parity.Parity((sample,), "", {"machine": "elsewhere"}, parity.Tolerance(0.5, 0.25)))
    found = samples.recorded(SIGNATURE, document, "")
    np.testing.assert_array_equal(found.inputs[0][0], x)
    again = parity.read(found.record_of(SIGNATURE, [[y + 1]]))
    np.testing.assert_array_equal(again.samples[0].outputs[0].array, y + 1)
    np.testing.assert_array_equal(again.samples[0].inputs[0].array, x)
    assert again.tolerance == parity.Tolerance(0.5, 0.25)
    assert again.environment.get("machine") != "elsewhere"


def test_a_job_takes_only_steps_that_are_allowed() -> None:
    """Habit 7; promise 6."""
    job = Job("u", PLAN, State.PENDING, EVIDENCE_TIME, "tester")
    for state in State:
        for following in State:
            at = Job("u", PLAN, state, EVIDENCE_TIME, "tester")
            if following in ALLOWED[state]:
                assert at.moved(following).state is following
            else:
                with pytest.raises(ValueError, match="cannot follow"):
                    at.moved(following)
    assert job.moved(State.RUNNING, attempts=1).attempts == 1
    assert EVIDENCE.choice is EVIDENCE.candidates[0]
    assert Plan(PLAN.source, Conversion(Target.ONNX)).tuning is None
