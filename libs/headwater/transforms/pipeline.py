"""A pipeline that can be run here: parsed once, then applied to files or to the rows of a dataset."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Self

import numpy as np
import pyarrow as pa

from headwater.tensors import Array
from headwater.transforms import catalogue, document, engine, rows
from headwater.transforms.model import Definition, Step
from headwater.transforms.rows import Kind


@dataclasses.dataclass(frozen=True, slots=True)
class Pipeline:
    """What a pipeline does, whoever runs it. The same bytes give the same arrays, for one ``ENGINE_VERSION``."""

    definition: Definition

    @classmethod
    def parse(cls, text: str) -> Self:
        """The pipeline that a JSON or YAML document describes.

        Raises:
            PipelineInvalid: naming every fault.
        """
        return cls(document.parse(text))

    @property
    def name(self) -> str:
        """``digits-prep@1.0.0``."""
        return f"{self.definition.pipeline_id}@{self.definition.version}"

    @property
    def digest(self) -> str:
        """SHA-256 of what it does, as the preprocessing service tells it: not of what anything is called."""
        return self.definition.digest

    @property
    def document(self) -> str:
        """The canonical document: every option filled in, keys in order, no space. ``parse`` reads it back exactly."""
        return canonical(self.definition)

    @property
    def steps(self) -> Sequence[Step]:
        """The steps that are run, with the decoding that a pipeline of pixels leaves out."""
        return catalogue.with_decode(self.definition.steps)

    @property
    def leaves(self) -> Kind:
        """What it makes of an image: ``pixels`` (uint8, height × width × channels) or a ``tensor`` (float32, channels ×
        height × width)."""
        return catalogue.STEP_TYPES[self.steps[-1].step_type].gives

    def prepare(self, file: bytes, row: int = 0) -> Array:
        """The array that an image file becomes; ``row`` is what errors call it.

        Raises:
            RowInvalid: the file cannot be processed; ``metadata`` says at which ``step``.
        """
        return engine.transform(self.steps, rows.from_files([file], first_row=row)).arrays[0]

    def prepare_all(self, files: Sequence[bytes]) -> Array:
        """The arrays of several files, one after the other in a new first dimension.

        Raises:
            RowInvalid: a file cannot be processed, or becomes an array of another shape than the first.
        """
        return stacked([self.prepare(file, row) for row, file in enumerate(files)])

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that a preprocessing job stores of rows with file bytes in the column ``image``.

        Raises:
            RowInvalid, ColumnMissing
        """
        return engine.result(engine.run(self.steps, batch)[-1])


def canonical(definition: Definition) -> str:
    """See :attr:`Pipeline.document`."""
    value = {
        "id": definition.pipeline_id,
        "name": definition.display_name,
        "version": definition.version,
        "description": definition.description,
        "steps": [
            {"id": step.id, "step_type": step.step_type, "config": dict(step.config), "cache": step.cache}
            for step in definition.steps
        ],
        "metadata": dict(definition.metadata),
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def stacked(arrays: Sequence[Array]) -> Array:
    """The arrays, one after the other in a new first dimension.

    Raises:
        RowInvalid: one has another shape than the first.
    """
    for row, array in enumerate(arrays):
        rows.check_shape(f"row {row}", array.shape, arrays[0].shape)
    return np.stack(arrays)
