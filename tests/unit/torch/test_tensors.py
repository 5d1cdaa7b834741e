"""Columns as tensors."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

from headwater.datasets.shapes import SHAPE_KEY
from headwater.torch import NotATensor, to_tensor, to_tensors


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


def test_each_type_becomes_what_torch_has_for_it() -> None:
    rows = pa.table(
        {
            "flag": [True, False, True],
            "time": pa.array([1, 2, 3], pa.timestamp("ms", "UTC")),
            "day": pa.array([1, 2, 3], pa.date32()),
            "half": pa.array([0.5, 1.0, 1.5], pa.float16()),
            "byte": pa.array([1, 2, 255], pa.uint8()),
            "text": ["a", None, "c"],
            "image": [b"1", b"2", None],
            "tags": [["x"], [], None],
        }
    )
    made = to_tensors(rows.slice(1))
    assert list(made) == rows.column_names
    types = {name: value.dtype for name, value in made.items() if isinstance(value, torch.Tensor)}
    assert types == {
        "flag": torch.bool,
        "time": torch.int64,
        "day": torch.int32,
        "half": torch.float16,
        "byte": torch.uint8,
    }
    assert {name: value.tolist() if name in types else value for name, value in made.items()} == {
        "flag": [False, True],
        "time": [2, 3],
        "day": [2, 3],
        "half": [1.0, 1.5],
        "byte": [2, 255],
        "text": [None, "c"],
        "image": [b"2", None],
        "tags": [[], None],
    }


def test_tensors_of_an_extension_type_have_its_shape() -> None:
    kind = pa.fixed_shape_tensor(pa.float32(), [2, 2])
    storage = pa.array([[1, 2, 3, 4], [5, 6, 7, 8]], pa.list_(pa.float32(), 4))
    rows = pa.table({"x": pa.ExtensionArray.from_storage(kind, storage)})
    for table in (rows, pa.concat_tables([rows[:1], rows[1:]])):
        assert to_tensors(table)["x"].tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


@pytest.mark.parametrize("start", range(0, 40, 3))
def test_tensors_are_aligned_wherever_their_rows_begin(start: int) -> None:
    """So that the same rows give the same bits."""
    rows = pa.table({"number": np.arange(100, dtype=np.int32), "flag": np.arange(100) % 2 == 0, "x": np.arange(100.0)})
    made = to_tensors(rows.slice(start, 50))
    assert {name: tensor.data_ptr() % 64 for name, tensor in made.items()} == {"number": 0, "flag": 0, "x": 0}
    assert made["number"].tolist() == list(range(start, start + 50))


def test_aligned_rows_are_not_copied() -> None:
    memory = pa.allocate_buffer(128 * 8 * 4)  # Arrow aligns its own memory, NumPy does not
    memory_of_rows = np.frombuffer(memory, np.float32).reshape(128, 8)
    memory_of_rows[:] = np.arange(8)
    values = pa.FixedSizeListArray.from_arrays(pa.Array.from_buffers(pa.float32(), 128 * 8, [None, memory]), 8)
    made = to_tensors(pa.table({"x": values}).slice(64))["x"]
    assert made.data_ptr() == memory.address + 64 * 8 * 4


def test_no_rows_are_tensors_without_rows() -> None:
    rows = pa.table({"x": images(), "flag": [True] * 3, "time": pa.array([1, 2, 3], pa.timestamp("s"))})
    shapes = {name: tuple(value.shape) for name, value in to_tensors(rows[:0]).items()}
    assert shapes == {"x": (0, 8), "flag": (0,), "time": (0,)}
    assert to_tensors(rows.schema.empty_table())["x"].shape == (0, 8)


@pytest.mark.parametrize("kind", [pa.bool_(), pa.timestamp("s"), pa.int64(), pa.list_(pa.int8(), 1)], ids=str)
def test_nulls_have_no_place_in_a_tensor(kind: pa.DataType) -> None:
    with pytest.raises(NotATensor, match="column"):
        to_tensors(pa.table({"column": pa.array([None, None], kind)}))
