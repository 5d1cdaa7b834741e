"""Rows between steps: the untouched columns, and the images that the steps work on.

An image is *encoded* (a file's bytes), *pixels* (uint8, height × width × channels) or a *tensor* (float32, channels ×
height × width). Every kind has an Arrow form, so that what any step leaves can be cached and sent.
"""

import dataclasses
import enum
import json
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.transforms.errors import ColumnMissing, RowInvalid

SHAPE_METADATA: Final = b"headwater.shape"
"""Field metadata of a tensor column: its shape as a JSON list, channels first."""
_IMAGE: Final = "image"
_NO_COLUMNS: Final = pa.RecordBatch.from_arrays([], names=[])
_PIXELS: Final = pa.struct([("data", pa.binary()), ("shape", pa.list_(pa.int32(), 3))])


class Kind(enum.Enum):
    """What the images are."""

    ENCODED = "encoded"
    PIXELS = "pixels"
    TENSOR = "tensor"


_COLUMN: Final = {Kind.ENCODED: "image", Kind.PIXELS: "pixels", Kind.TENSOR: "tensor"}

Array = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, slots=True)
class Rows:
    """Some rows. ``others`` holds every column but the image column; ``images`` one item a row. ``first_row`` is what
    errors call the first of those that have no path."""

    kind: Kind
    images: list[bytes] | list[Array]
    others: pa.RecordBatch
    first_row: int = 0

    @property
    def arrays(self) -> list[Array]:
        """The images as arrays; only where ``kind`` says that they are."""
        assert self.kind is not Kind.ENCODED
        return self.images  # type: ignore[return-value]

    @property
    def files(self) -> list[bytes]:
        """The images as files; only where ``kind`` says that they are."""
        assert self.kind is Kind.ENCODED
        return self.images  # type: ignore[return-value]

    def label(self, row: int) -> str:
        """What to call a row in an error: its path where it has one, else its number."""
        if "path" in self.others.schema.names:
            return str(self.others.column("path")[row].as_py())
        return f"row {self.first_row + row}"


def from_files(files: Sequence[bytes], first_row: int = 0) -> Rows:
    """Rows of nothing but files."""
    return Rows(Kind.ENCODED, list(files), _NO_COLUMNS, first_row)


def from_encoded(batch: pa.RecordBatch) -> Rows:
    """Rows as a dataset holds them, with file bytes in the column ``image``.

    Raises:
        ColumnMissing: there is no such column, or it does not hold bytes.
        RowInvalid: a row has no image.
    """
    index = batch.schema.get_field_index(_IMAGE)
    if index < 0 or batch.schema.field(index).type not in (pa.binary(), pa.large_binary(), pa.binary_view()):
        raise ColumnMissing("The dataset version needs a column `image` of type binary.", column=_IMAGE)
    rows = Rows(Kind.ENCODED, batch.column(index).to_pylist(), batch.remove_column(index))
    for row, image in enumerate(rows.images):
        if image is None:
            raise RowInvalid(f"{rows.label(row)} has no image.", row=rows.label(row))
    return rows


def to_batch(rows: Rows) -> pa.RecordBatch:
    """The Arrow form, which :func:`from_batch` reads back exactly.

    Raises:
        RowInvalid: tensors of different shapes, which have no common column type.
    """
    fields = list(rows.others.schema)
    columns = list(rows.others.columns)
    field, column = _image_column(rows)
    return pa.RecordBatch.from_arrays([column, *columns], schema=pa.schema([field, *fields]))


def from_batch(batch: pa.RecordBatch) -> Rows:
    """What :func:`to_batch` wrote."""
    name = batch.schema.field(0).name
    others = batch.remove_column(0)
    column = batch.column(0)
    if name == _COLUMN[Kind.PIXELS]:
        pixels = [np.frombuffer(item["data"], dtype=np.uint8).reshape(item["shape"]) for item in column.to_pylist()]
        return Rows(Kind.PIXELS, pixels, others)
    if name == _COLUMN[Kind.TENSOR]:
        shape = json.loads(batch.schema.field(0).metadata[SHAPE_METADATA])
        tensors = column.flatten().to_numpy().reshape([len(column), *shape])
        return Rows(Kind.TENSOR, list(tensors), others)
    return Rows(Kind.ENCODED, column.to_pylist(), others)


def _image_column(rows: Rows) -> tuple[pa.Field, pa.Array]:
    name = _COLUMN[rows.kind]
    if rows.kind is Kind.ENCODED:
        return pa.field(name, pa.binary()), pa.array(rows.files, pa.binary())
    if rows.kind is Kind.PIXELS:
        items = [{"data": array.tobytes(), "shape": array.shape} for array in rows.arrays]
        return pa.field(name, _PIXELS), pa.array(items, _PIXELS)
    return _tensor_column(rows)


def _tensor_column(rows: Rows) -> tuple[pa.Field, pa.Array]:
    shape = rows.arrays[0].shape if rows.arrays else (0, 0, 0)
    for row, array in enumerate(rows.arrays):
        check_shape(rows.label(row), array.shape, shape)
    values = np.stack(rows.arrays).reshape(-1) if rows.arrays else np.empty(0, dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(values, pa.float32()), int(np.prod(shape)))
    metadata = {SHAPE_METADATA: json.dumps(list(shape)).encode()}
    return pa.field(_COLUMN[Kind.TENSOR], column.type, metadata=metadata), column


def check_shape(label: str, shape: tuple[int, ...], first: tuple[int, ...]) -> None:
    """Go on if a row has the shape of the first.

    Raises:
        RowInvalid: naming it.
    """
    if shape != first:
        raise RowInvalid(
            f"{label} has shape {list(shape)}, the first row {list(first)}; "
            "resize with mode `exact` or `fill`, so that all rows have one shape.",
            row=label,
        )
