"""The classification extension."""

import numpy as np
import pytest

from services.inference.errors import InvalidRequest
from services.inference.kserve.classes import highest
from services.inference.tensors.model import Array, Tensor


def classes(array: Array, datatype: str, count: int, *, rows: bool = True) -> list[object]:
    found: list[object] = highest(Tensor("y", datatype, array), count, rows=rows).array.tolist()
    return found


def test_the_highest_come_first_and_of_equals_the_first() -> None:
    array = np.array([[3, 9, 9, 1], [0, 0, 0, 0]], np.int32)
    assert classes(array, "INT32", 3) == [[b"9:1", b"9:2", b"3:0"], [b"0:0", b"0:1", b"0:2"]]


def test_nan_comes_last_and_there_are_no_more_than_values() -> None:
    array = np.array([[np.nan, -np.inf, 0.5]], np.float32)
    assert classes(array, "FP32", 5) == [[b"0.500000:2", b"-inf:1", b"nan:0"]]


def test_unsigned_numbers_keep_their_order() -> None:
    array = np.array([[0, 2**64 - 1, 5]], np.uint64)
    assert classes(array, "UINT64", 2) == [[b"18446744073709551615:1", b"5:2"]]


def test_further_dimensions_are_one_line_of_values() -> None:
    array = np.arange(6, dtype=np.float16).reshape(2, 1, 3)
    assert classes(array, "FP16", 1) == [[b"2.000000:2"], [b"5.000000:2"]]
    assert classes(array, "FP16", 2, rows=False) == [b"5.000000:5", b"4.000000:4"]
    assert classes(np.empty((0, 3), np.float32), "FP32", 2) == []


@pytest.mark.parametrize("datatype", ["BYTES", "BOOL", "BF16"])
def test_what_has_no_order_is_refused(datatype: str) -> None:
    with pytest.raises(InvalidRequest, match=f"it is {datatype}"):
        classes(np.zeros((1, 2), np.uint16), datatype, 1)
