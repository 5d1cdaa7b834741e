"""Parity records as documents: what is written is read back, and what is no record is refused."""

import base64
import contextlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from headwater import parity
from headwater.parity import Parity, ParityInvalid, Sample, Tolerance
from headwater.tensors import NUMPY_TYPES, Tensor, byte_strings, digest

DIGEST = f"sha256:{'a' * 64}"
DATATYPES = [name for name in NUMPY_TYPES if name != "BYTES"]


@st.composite
def tensors(draw: st.DrawFn, name: str = "x") -> Tensor:
    if draw(st.booleans()):
        return Tensor(name, "BYTES", byte_strings(draw(st.lists(st.binary(max_size=9), max_size=4))))
    datatype = draw(st.sampled_from(DATATYPES))
    shape = draw(arrays.array_shapes(max_dims=3, max_side=3, min_side=0))
    return Tensor(name, datatype, draw(arrays.arrays(NUMPY_TYPES[datatype], shape)))


@settings(max_examples=50, deadline=None)
@given(tensor=tensors(), output=tensors("y"), files=st.lists(st.binary(max_size=9), min_size=1, max_size=3))
def test_what_is_written_is_read_back(tensor: Tensor, output: Tensor, files: list[bytes]) -> None:
    raw = Tensor("raw", "BYTES", byte_strings(files))
    samples = (Sample((tensor,), "", (output,)), Sample((raw,), DIGEST, (output,)))
    record = Parity(samples, DIGEST, {"python": "3.11"}, Tolerance(0.5, 0.25))
    read = parity.read(parity.write(record))
    assert parity.write(read) == parity.write(record)
    assert (read.tolerance, read.environment, read.pipeline) == (Tolerance(0.5, 0.25), {"python": "3.11"}, DIGEST)
    assert read.samples[1].files == files
    for before, after in zip(samples, read.samples, strict=True):
        assert digest(before.inputs) == digest(after.inputs)
        assert digest(before.outputs) == digest(after.outputs)


def told(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "INT8", "shape": [2], "data": base64.b64encode(b"ab").decode()}
    sample = {"inputs": [tensor], "prepared": "", "outputs": [{**tensor, "name": "y"}]}
    return {
        "format": "headwater.parity/1",
        "pipeline": "",
        "environment": {},
        "tolerance": {"absolute": 0, "relative": 0},
        "samples": [sample],
        **changes,
    }


def one(**changes: Any) -> dict[str, Any]:
    """A record whose only input is changed."""
    value = told()
    value["samples"][0]["inputs"][0].update(changes)
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "record: must be an object"),
        (told(format="other"), "format: must be"),
        (told(pipeline="x"), "pipeline: must be sha256:"),
        (told(samples=[]), "1 to 64 samples"),
        (told(samples=told()["samples"] * 65), "samples: at most 64"),
        (told(samples=[{**told()["samples"][0], "prepared": DIGEST}]), "the record names no pipeline"),
        (told(samples=[{**told()["samples"][0], "outputs": []}]), "inputs and outputs are needed"),
        (told(samples=[{**told()["samples"][0], "outputs": told()["samples"][0]["inputs"] * 2}]), "is there twice"),
        (
            told(pipeline=DIGEST, samples=[{**told()["samples"][0], "prepared": DIGEST}]),
            "a prepared sample has one input, `raw`",
        ),
        (told(tolerance={"absolute": 1, "relative": 0}), "from 0 to below 1"),
        (told(tolerance={"absolute": True, "relative": 0}), "must be a number"),
        (told(environment={"python": 3}), "environment.python: must be text"),
        (told(environment={"\ud800": "3.11"}), "environment: must be text that UTF-8 can say"),
        (one(name="\udfff"), r"inputs\[0\].name: must be text that UTF-8 can say"),
        (told(more=1), "record: must have the keys"),
        (one(datatype="INT9"), r"samples\[0\].inputs\[0\].datatype: must be one of"),
        (one(shape=[3]), r"shape \[3\] takes 3 elements; 2 are there"),
        (one(shape=[-2]), "must be at most 32 whole numbers"),
        (one(shape=[True, 2]), "must be at most 32 whole numbers"),
        (one(shape=[0, *[2**31 - 1] * 31], data=""), r"inputs\[0\].shape: .* is too large"),
        (one(shape=[1] * 33), "must be at most 32 whole numbers"),
        (one(data="é"), "data: must be base64"),
        (one(data="ab"), "data: must be base64"),
        (one(datatype="INT32"), "2 bytes are no whole number of INT32"),
        (one(datatype="BYTES"), "must have the keys name, datatype, shape, elements"),
        (one(extra=1), "and no others"),
    ],
)
def test_what_is_no_record_is_refused_by_its_place(value: object, why: str) -> None:
    with pytest.raises(ParityInvalid, match=why):
        parity.read(json.dumps(value).encode())


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 200_000, b'{"a": NaN}', b" " * (parity.MAX_BYTES + 1)])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ParityInvalid):
        parity.read(text)


@settings(max_examples=50, deadline=None)
@given(cut=st.integers(0, 400), byte=st.integers(0, 255))
def test_damage_is_refused_or_changes_what_is_read(cut: int, byte: int) -> None:
    """Never another error than the one that says so."""
    whole = bytearray(json.dumps(told()).encode())
    whole[cut % len(whole)] = byte
    with contextlib.suppress(ParityInvalid):
        parity.read(bytes(whole))


def test_a_record_that_is_too_large_is_not_written() -> None:
    large = Tensor("x", "UINT8", np.zeros(parity.MAX_BYTES, np.uint8))
    with pytest.raises(ParityInvalid, match="at most 16,777,216 are kept"):
        parity.write(Parity((Sample((large,), "", (large,)),), "", {}))
