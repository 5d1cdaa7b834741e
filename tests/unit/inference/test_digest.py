"""The digest of tensors: its form is a contract, since records and receipts carry it."""

import hashlib
import struct

import numpy as np

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
