"""Which input of a model takes what a pipeline leaves, and how: the same for parity records and for serving."""

import dataclasses
from collections.abc import Sequence
from typing import Final, Self

from headwater.tensors import Array
from headwater.transforms.errors import PipelineMisfit, RowInvalid
from headwater.transforms.pipeline import Pipeline
from headwater.transforms.rows import Kind

_DATATYPES: Final = {Kind.PIXELS: "UINT8", Kind.TENSOR: "FP32"}
_AXES: Final = {Kind.PIXELS: "height, width, channels", Kind.TENSOR: "channels, height, width"}
_ROW_RANK: Final = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Input:
    """One input of a model: a dimension of -1 varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Feed:
    """A model's only input, which fits to what a pipeline leaves. ``shape`` is that of one row in it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    has_rows: bool
    """Whether the input has a dimension for rows; without one it takes a single row."""

    @classmethod
    def of(cls, pipeline: Pipeline, inputs: Sequence[Input]) -> Self:
        """The input that takes what ``pipeline`` leaves.

        Raises:
            PipelineMisfit: the model has several inputs, or one of another element type or number of dimensions.
        """
        if len(inputs) != 1:
            raise PipelineMisfit(f"A pipeline fills one input; the model has {len(inputs)}.", pipeline=pipeline.name)
        [taken] = inputs
        datatype = _DATATYPES[pipeline.leaves]
        if taken.datatype != datatype or len(taken.shape) - _ROW_RANK not in (0, 1):
            raise PipelineMisfit(
                f"{pipeline.name} leaves {datatype} [{_AXES[pipeline.leaves]}] of each row; "
                f"the model's input {taken.name} takes {taken.datatype} {list(taken.shape)}.",
                pipeline=pipeline.name,
            )
        has_rows = len(taken.shape) > _ROW_RANK
        return cls(taken.name, datatype, taken.shape[1:] if has_rows else taken.shape, has_rows)

    def admits(self, row: Array) -> bool:
        """Whether the model takes a row of this shape."""
        return all(wanted in (-1, given) for wanted, given in zip(self.shape, row.shape, strict=True))

    def tensor(self, rows: Array) -> Array:
        """The input for prepared rows.

        Raises:
            RowInvalid: there are several, and the input has no dimension for them.
        """
        if not self.has_rows and len(rows) != 1:
            raise RowInvalid(f"The model takes one row at a time; {len(rows)} came.", row="row 1")
        return rows if self.has_rows else rows[0]
