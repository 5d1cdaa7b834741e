"""Columns as tensors."""

import json

import numpy as np
import pyarrow as pa
import pytest

from headwater.training.rows import SHAPE_KEY, NotATensor, to_tensor


def column(values: pa.Array, shape: list[int] | None = None) -> tuple[pa.ChunkedArray, pa.Field]:
    metadata = None if shape is None else {SHAPE_KEY: json.dumps(shape)}
    return pa.chunked_array([values]), pa.field("column", values.type, metadata=metadata)


def images(rows: int = 3) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(np.arange(rows * 8, dtype=np.float32)), 8)


def test_a_column_of_images_takes_the_shape_that_its_field_tells() -> None:
    tensor = to_tensor(*column(images(), [2, 2, 2]))
    assert tensor.shape == (3, 2, 2, 2)
    assert tensor.flatten().tolist() == list(range(24))


def test_without_a_shape_the_lists_are_the_rows() -> None:
    assert to_tensor(*column(images())).shape == (3, 8)


def test_numbers_give_one_dimension() -> None:
    assert to_tensor(*column(pa.array([1, 2, 3], pa.int64()))).tolist() == [1, 2, 3]


def test_one_piece_of_memory_is_not_copied() -> None:
    values = images()
    tensor = to_tensor(*column(values, [8]))
    assert tensor.data_ptr() == values.values.buffers()[1].address


def test_a_slice_gives_its_own_rows() -> None:
    sliced = pa.chunked_array([images(4).slice(1, 2)])
    assert to_tensor(sliced, pa.field("column", sliced.type)).flatten().tolist() == list(range(8, 24))


def test_many_pieces_are_put_together() -> None:
    pieces = pa.chunked_array([images(), images()])
    assert to_tensor(pieces, pa.field("column", pieces.type)).shape == (6, 8)


def test_the_tensor_keeps_the_memory_when_arrow_is_done_with_it() -> None:
    tensor = to_tensor(*column(images(), [8]))
    _garbage = [np.full(24, -1, np.float32) for _ in range(100)]
    assert tensor.flatten().tolist() == list(range(24))


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a"]),
        pa.array([1.0, None]),
        pa.array([[1.0], None], pa.list_(pa.float32(), 1)),
        pa.array([[1.0, None]], pa.list_(pa.float32(), 2)),
        pa.array([[1.0]]),
        pa.array([True]),
    ],
    ids=["text", "null", "null row", "null within", "list of any size", "bits"],
)
def test_what_is_no_tensor_is_refused_by_name(values: pa.Array) -> None:
    with pytest.raises(NotATensor, match="column"):
        to_tensor(*column(values))


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(NotATensor, match=r"\[3, 3\]"):
        to_tensor(*column(images(), [3, 3]))
