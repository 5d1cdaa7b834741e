"""Replaying parity records: what is the same, what is near enough, and how the rest is told."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from headwater import parity
from headwater.errors import InvalidArgument
from headwater.parity import Parity, ParityMismatch, Sample, Tolerance
from headwater.parity.environment import differences, here
from headwater.parity.model import prepared_digest
from headwater.tensors import Tensor, byte_strings, digest

X = Tensor("x", "FP32", np.ones((1, 2), np.float32))


def recorded(output: Tensor, **more: Any) -> Parity:
    return Parity((Sample((X,), "", (output,)),), "", here(), **more)


def answering(*outputs: Tensor) -> parity.Predict:
    return lambda _inputs: list(outputs)


def y(*values: Any, datatype: str = "FP32", dtype: str = "<f4") -> Tensor:
    return Tensor("y", datatype, np.array(values, dtype))


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (y(1.0, float("nan"), float("inf")), y(1.0005, float("nan"), float("inf"))),
        (y(0.0), y(9e-6)),
        (y(1, datatype="INT64", dtype="<i8"), y(1, datatype="INT64", dtype="<i8")),
        (y(0x3F80, datatype="BF16", dtype="<u2"), y(0x3F80, datatype="BF16", dtype="<u2")),
        (Tensor("y", "BYTES", byte_strings([b"a\0"])), Tensor("y", "BYTES", byte_strings([b"a\0"]))),
    ],
)
def test_what_is_near_enough_holds(expected: Tensor, got: Tensor) -> None:
    parity.replay(recorded(expected), None, answering(got, Tensor("more", "FP32", X.array)))


@pytest.mark.parametrize(
    ("expected", "got", "why"),
    [
        (y(1.0, 2.0), y(1.0, 2.1), "1 of 2 numbers differ, by up to 0.1"),
        (y(1.0), y(float("nan")), "1 of 1 numbers differ"),
        (y(float("inf")), y(-float("inf")), "1 of 1 numbers differ, by up to inf"),
        (y(1.0), y(1.0, 2.0), r"FP32 \[2\] instead of FP32 \[1\]"),
        (y(1.0), y(1, datatype="INT32", dtype="<i4"), r"INT32 \[1\] instead of FP32 \[1\]"),
        (y(1, datatype="INT64", dtype="<i8"), y(2, datatype="INT64", dtype="<i8"), "1 of 1 elements differ"),
        (y(0x3F80, datatype="BF16", dtype="<u2"), y(0x4000, datatype="BF16", dtype="<u2"), "by up to 1"),
        (Tensor("y", "BYTES", byte_strings([b"a"])), Tensor("y", "BYTES", byte_strings([b"b"])), "1 of 1 elements"),
    ],
)
def test_what_differs_is_told_with_both_digests(expected: Tensor, got: Tensor, why: str) -> None:
    with pytest.raises(ParityMismatch, match=why) as refused:
        parity.replay(recorded(expected), None, answering(got))
    assert refused.value.metadata == {
        "sample": "0",
        "part": "y",
        "expected": digest([expected]),
        "got": digest([got]),
        "environment": "",
    }


def test_the_tolerance_is_the_records_own() -> None:
    parity.replay(recorded(y(1.0), tolerance=Tolerance(0.2, 0)), None, answering(y(1.1)))
    with pytest.raises(ParityMismatch):
        parity.replay(recorded(y(1.0), tolerance=Tolerance(0, 0)), None, answering(y(1.0000001)))


def test_an_output_that_is_gone_is_told() -> None:
    with pytest.raises(ParityMismatch, match="the model has no such output"):
        parity.replay(recorded(y(1.0)), None, answering(Tensor("z", "FP32", X.array)))


def test_a_model_that_refuses_the_sample_is_told() -> None:
    def refuse(_inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        raise InvalidArgument("other inputs")

    with pytest.raises(ParityMismatch, match=r"Sample 0 of the parity record, inputs: .*other inputs"):
        parity.replay(recorded(y(1.0)), None, refuse)


def test_a_pipeline_is_held_to_the_bit_and_the_first_sample_that_differs_is_named() -> None:
    def prepare(files: Sequence[bytes]) -> Tensor:
        return Tensor("x", "FP32", np.frombuffer(files[0], "<f4"))

    def sample(value: float) -> Sample:
        file = np.array([value], "<f4").tobytes()
        inputs = (Tensor("raw", "BYTES", byte_strings([file])),)
        return Sample(inputs, prepared_digest(prepare([file])), (y(1.0),))

    record = Parity((sample(1.0), sample(2.0)), f"sha256:{'0' * 64}", {"numpy": "0.0.1", "other": "1"})
    parity.replay(record, prepare, answering(y(1.0)))

    def nearly(files: Sequence[bytes]) -> Tensor:
        right = prepare(files)
        return Tensor("x", "FP32", np.nextafter(right.array, np.float32(9))) if right.array[0] == 2 else right

    with pytest.raises(
        ParityMismatch, match=r"Sample 1 .* preprocessing: .* Recorded elsewhere: numpy 0.0.1 → "
    ) as told:
        parity.replay(record, nearly, answering(y(1.0)))
    assert told.value.metadata["expected"] == record.samples[1].prepared

    def broken(files: Sequence[bytes]) -> Tensor:
        raise InvalidArgument("row 0 is not readable")

    with pytest.raises(ParityMismatch, match=r"Sample 0 .*row 0 is not readable"):
        parity.replay(record, broken, answering(y(1.0)))


def test_without_a_pipeline_samples_of_raw_bytes_are_left_out() -> None:
    raw = Sample((Tensor("raw", "BYTES", byte_strings([b"file"])),), f"sha256:{'1' * 64}", (y(1.0),))
    record = Parity((raw, Sample((X,), "", (y(1.0),))), f"sha256:{'0' * 64}", {})
    parity.replay(record, None, answering(y(1.0)))
    with pytest.raises(ParityMismatch, match="Sample 1"):
        parity.replay(record, None, answering(y(2.0)))


def test_only_what_both_have_can_differ() -> None:
    assert differences({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}) == "c 3 → 4"
    assert {"python", "machine", "numpy", "pillow"} <= here().keys()
