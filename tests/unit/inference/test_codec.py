"""Tensors between bytes and arrays."""

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.tensors import byte_strings
from services.inference.tensors.codec import from_raw, from_values, to_raw
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.errors import InvalidTensor
from services.inference.tensors.model import Tensor, size_bytes

NUMBERS = sorted(set(NUMPY_TYPES) - {"BYTES", "BOOL"})
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)


@given(datatype=st.sampled_from(NUMBERS), shape=shapes, data=st.data())
def test_any_bits_come_back_as_they_went_in(datatype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    """NaNs of any kind included."""
    size = math.prod(shape) * NUMPY_TYPES[datatype].itemsize
    raw = data.draw(st.binary(min_size=size, max_size=size))

    decoded = from_raw("x", datatype, shape, raw)

    assert decoded.array.shape == shape
    assert to_raw(decoded) == raw


@given(elements=st.lists(st.binary(max_size=20), max_size=6))
def test_byte_strings_come_back_as_they_went_in(elements: list[bytes]) -> None:
    raw = b"".join(struct.pack("<I", len(element)) + element for element in elements)

    decoded = from_raw("x", "BYTES", [len(elements)], raw)

    assert list(decoded.array) == elements
    assert to_raw(decoded) == raw
    assert to_raw(from_values("x", "BYTES", [len(elements)], elements)) == raw


@given(size=st.integers(0, 5), count=st.integers(30, 40), odd=st.booleans(), data=st.data())
def test_byte_strings_of_one_length_and_of_several_come_back_as_they_went_in(
    size: int, count: int, odd: bool, data: st.DataObject
) -> None:
    """Those of one length go another way, from some number of them on; NULs at their ends stay."""
    elements = data.draw(st.lists(st.binary(min_size=size, max_size=size), min_size=count, max_size=count))
    if odd:
        elements[data.draw(st.integers(0, count - 1))] += b"\0"
    raw = b"".join(struct.pack("<I", len(element)) + element for element in elements)

    for given_raw in (raw, memoryview(raw)):
        decoded = from_raw("x", "BYTES", [count], given_raw)
        assert list(decoded.array) == elements
        assert {type(element) for element in decoded.array} == {bytes}
        assert to_raw(decoded) == raw


@given(st.binary(min_size=128, max_size=300), st.integers(30, 40))
def test_any_bytes_are_so_many_byte_strings_or_refused(raw: bytes, count: int) -> None:
    try:
        decoded = from_raw("x", "BYTES", [count], raw)
    except InvalidTensor:
        return
    assert to_raw(decoded) == raw


@pytest.mark.parametrize("datatype", NUMBERS)
def test_numbers_are_not_copied(datatype: str) -> None:
    """Nor looked at one by one: FP16 and BF16 among them."""
    raw = bytes(6 * NUMPY_TYPES[datatype].itemsize)

    decoded = from_raw("x", datatype, [2, 3], raw)

    octets = np.frombuffer(raw, np.uint8)
    assert decoded.array.__array_interface__["data"][0] == octets.__array_interface__["data"][0]
    assert not decoded.array.flags.writeable


def test_typed_values_are_the_same_tensor_as_raw_ones() -> None:
    typed = from_values("x", "INT16", [3], [1, -2, 3])

    assert to_raw(typed) == np.array([1, -2, 3], "<i2").tobytes()


@pytest.mark.parametrize(
    ("datatype", "shape", "raw", "told"),
    [
        ("FP32", [2, 3], b"\0" * 20, r"takes 24 bytes; 20 came"),
        ("FP32", [2, 3], b"\0" * 28, r"takes 24 bytes; 28 came"),
        ("FP33", [1], b"\0" * 4, r"datatype must be one of .*; it is 'FP33'"),
        ("", [1], b"\0" * 4, r"it is ''"),
        ("FP32", [-1, 3], b"\0" * 12, r"negative; shape is \[-1, 3\]"),
        ("FP32", [-1, -3], b"\0" * 12, r"negative"),
        ("INT8", [1] * 33, b"\0", r"may have 32 dimensions; 33 came"),
        ("FP32", [2**32, 2**32], b"", r"larger than any tensor"),
        ("FP32", [2**62, 4], b"", r"larger than any tensor"),
        ("FP32", [0, 2**40], b"", r"larger than any tensor"),
        ("BOOL", [2], b"\1\2", r"a BOOL is the byte 0 or 1; 2 came"),
        ("BYTES", [1], b"\5\0\0\0abc", r"element 0 claims 5 bytes; 3 are left"),
        ("BYTES", [1], b"\xff\xff\xff\xff", r"element 0 claims 4294967295 bytes; 0 are left"),
        ("BYTES", [2], b"\4\0\0\0abcd\1\0", r"end before element 1 of 2"),
        ("BYTES", [1], b"\1\0\0\0abc", r"2 bytes are left after 1 elements"),
        ("BYTES", [1], b"\1\0", r"take at least 4 bytes; 2 came"),
        ("BYTES", [2**30], b"\0\0\0\0", r"take at least 4294967296 bytes; 4 came"),
    ],
)
def test_raw_bytes_that_do_not_fit_are_refused_with_what_was_expected(
    datatype: str, shape: list[int], raw: bytes, told: str
) -> None:
    with pytest.raises(InvalidTensor, match=told):
        from_raw("x", datatype, shape, raw)


@pytest.mark.parametrize(
    ("datatype", "shape", "values", "told"),
    [
        ("INT8", [1], [300], r"element 0 is 300, outside of the range of INT8 \(-128 to 127\)"),
        ("UINT8", [1], [300], r"outside of the range of UINT8 \(0 to 255\)"),
        ("INT64", [3], [1, 2, 10**400], r"element 2 is 1000.*…, outside of the range of INT64"),
        ("FP32", [2, 2], [1.0], r"takes 4 elements; 1 came"),
        ("BYTES", [1], [], "takes 1 elements; 0 came"),
    ],
)
def test_typed_values_that_do_not_fit_are_refused(
    datatype: str, shape: list[int], values: list[object], told: str
) -> None:
    with pytest.raises(InvalidTensor, match=told):
        from_values("x", datatype, shape, values)


def test_a_long_name_is_not_sent_back_in_full() -> None:
    with pytest.raises(InvalidTensor) as refused:
        from_raw("n" * 100_000, "FP32", [1], b"")
    assert len(refused.value.message) < 300


def test_a_scalar_has_one_element() -> None:
    assert from_raw("x", "INT64", [], struct.pack("<q", -5)).array.item() == -5


def test_byte_strings_in_another_order_are_sent_row_by_row() -> None:
    array = byte_strings([b"a", b"bb", b"", b"d\0"]).reshape(2, 2).T
    assert to_raw(Tensor("x", "BYTES", array)) == to_raw(from_values("x", "BYTES", [4], [b"a", b"", b"bb", b"d\0"]))


def test_an_array_in_another_order_is_sent_row_by_row() -> None:
    array = np.asfortranarray(np.arange(6, dtype="<i4").reshape(2, 3))
    assert to_raw(Tensor("x", "INT32", array)) == np.arange(6, dtype="<i4").tobytes()


def test_byte_strings_count_as_memory() -> None:
    assert size_bytes(from_values("x", "BYTES", [2], [b"a" * 1000, b"b" * 500]).array) >= 1500
    assert size_bytes(from_values("x", "INT64", [2], [1, 2]).array) == 16
