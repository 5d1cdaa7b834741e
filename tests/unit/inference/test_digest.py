"""The digest of tensors: its form is a contract, since records and receipts carry it."""

import hashlib
import struct

import blake3
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headwater.tensors import NUMPY_TYPES, canonical, from_canonical
from services.inference.tensors.codec import from_raw, from_values
from services.inference.tensors.digest import digest
from services.inference.tensors.model import Tensor


def test_the_form_is_the_documented_one() -> None:
    tensors = [
        Tensor("b", "FP32", np.array([[1.5, -0.0]], "<f4")),
        Tensor("ä", "BYTES", np.array([b"xy", b""], np.object_)),
        Tensor("a", "INT64", np.array(7)),
    ]
    one = struct.pack("<I1sI5sIQ8s", 1, b"a", 5, b"INT64", 0, 8, struct.pack("<q", 7))
    two = struct.pack("<I1sI4sIQQQ8s", 1, b"b", 4, b"FP32", 2, 1, 2, 8, struct.pack("<ff", 1.5, -0.0))
    three = struct.pack("<I2sI5sIQQ10s", 2, "ä".encode(), 5, b"BYTES", 1, 2, 10, b"\2\0\0\0xy\0\0\0\0")
    by_hand = hashlib.sha256(b"headwater.tensors.v1" + struct.pack("<I", 3) + one + two + three)

    assert digest(tensors) == f"sha256:{by_hand.hexdigest()}"


def test_the_form_never_changes() -> None:
    tensor = Tensor("pixels", "UINT8", np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert digest([tensor]) == "sha256:64b5358a640385045ffd2e706ad014492f842048b4df1fa55449c2fd627fd203"


def test_order_and_encoding_do_not_matter() -> None:
    raw = from_raw("x", "FP32", [2], struct.pack("<ff", 1, 2))
    typed = from_values("x", "FP32", [2], [1.0, 2.0])
    other = from_values("y", "INT8", [1], [3])

    assert digest([raw, other]) == digest([other, typed])


def test_every_part_matters() -> None:
    values = np.array([1, 2], "<i4")
    digests = {
        digest([Tensor("x", "INT32", values)]),
        digest([Tensor("y", "INT32", values)]),
        digest([Tensor("x", "UINT32", values)]),
        digest([Tensor("x", "INT32", values.reshape(2, 1))]),
        digest([Tensor("x", "INT32", values[::-1])]),
        digest([Tensor("x", "INT32", values), Tensor("y", "INT32", values)]),
        digest([]),
    }
    assert len(digests) == 7


def test_a_view_into_a_batch_has_the_digest_of_its_own_rows() -> None:
    batch = np.arange(12, dtype="<f4").reshape(4, 3)
    assert digest([Tensor("x", "FP32", batch[1:3])]) == digest([Tensor("x", "FP32", batch[1:3].copy())])


def test_nan_is_a_value_like_any_other() -> None:
    nan = np.array([np.nan], "<f4")
    assert digest([Tensor("x", "FP32", nan)]) == digest([Tensor("x", "FP32", nan.copy())])


def by_hand(tensors: list[Tensor]) -> str:
    """The documented form again, byte by byte."""
    form = bytearray(b"headwater.tensors.v1") + len(tensors).to_bytes(4, "little")
    for tensor in sorted(tensors, key=lambda each: each.name.encode()):
        if tensor.datatype == "BYTES":
            content = b"".join(len(each).to_bytes(4, "little") + each for each in tensor.array.flat)
        else:
            content = b"".join(element.tobytes() for element in tensor.array.flat)
        for text in (tensor.name, tensor.datatype):
            form += len(text.encode()).to_bytes(4, "little") + text.encode()
        form += tensor.array.ndim.to_bytes(4, "little")
        for dimension in tensor.array.shape:
            form += dimension.to_bytes(8, "little")
        form += len(content).to_bytes(8, "little")
        form += content if len(content) <= 4096 else blake3.blake3(content).digest()
    return f"sha256:{hashlib.sha256(form).hexdigest()}"


@pytest.mark.parametrize("datatype", [each for each in NUMPY_TYPES if each != "BYTES"])
def test_long_contents_of_every_element_type_go_in_as_their_blake3_digest(datatype: str) -> None:
    values = (np.arange(3 * 4 * 600) % 2).astype(NUMPY_TYPES[datatype]).reshape(3, 4, 600)
    for array in (values, values[:, ::-1], values.T):
        assert digest([Tensor("x", datatype, array)]) == by_hand([Tensor("x", datatype, array)])


@settings(max_examples=40, deadline=None)
@given(size=st.integers(4090, 4102), kind=st.sampled_from(["UINT8", "BYTES"]), seed=st.integers(0, 255))
@example(size=4096, kind="UINT8", seed=0)
@example(size=4097, kind="UINT8", seed=0)
def test_around_4096_bytes_both_ways_to_say_the_form_agree_and_what_is_kept_has_the_same_digest(
    size: int, kind: str, seed: int
) -> None:
    raw = bytes((seed + n * n) % 256 for n in range(size))
    array = np.frombuffer(raw, np.uint8) if kind == "UINT8" else np.array([raw[4:]], np.object_)
    tensors = [Tensor("long", kind, array), Tensor("a", "INT8", np.array([1], np.int8))]
    assert digest(tensors) == by_hand(tensors)
    assert digest(from_canonical(canonical(tensors))) == digest(tensors)
    assert raw[4:] in canonical(tensors), "what is kept is whole"


def test_a_long_content_and_its_digest_are_not_the_same() -> None:
    long = np.arange(5000, dtype=np.uint8)
    short = np.frombuffer(blake3.blake3(long.data).digest(), np.uint8)
    assert digest([Tensor("x", "UINT8", long)]) != digest([Tensor("x", "UINT8", short)])
