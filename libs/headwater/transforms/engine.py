"""Runs a pipeline's steps over rows: those of a dataset's chunk in a job, and those of a request in serving.

Pure: called in worker processes, by any launcher, and in any thread.
"""

import dataclasses
import importlib.metadata
import io
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
from PIL import Image

from headwater.transforms import catalogue, rows
from headwater.transforms.errors import RowInvalid
from headwater.transforms.model import Step
from headwater.transforms.rows import Kind, Rows

ENGINE_VERSION: Final = "1" + "".join(
    f"+{package}-{importlib.metadata.version(package)}" for package in ("numpy", "pillow")
)
"""Part of every cache key: the same steps on another version of this code or of its libraries are another result."""


@dataclasses.dataclass(frozen=True, slots=True)
class Prefix:
    """The result of the first ``length`` steps, in its Arrow form."""

    length: int
    batch: pa.RecordBatch


def run(steps: Sequence[Step], source: pa.RecordBatch | Prefix, keep: Sequence[int] = ()) -> tuple[Prefix, ...]:
    """Run ``steps`` on rows as the dataset holds them, or on from a prefix of them that is known already.

    Returns:
        The result after each prefix length in ``keep``, in order, and last the result of all steps.

    Raises:
        RowInvalid: naming the row that a step cannot work on.
        ColumnMissing: the rows have no image.
    """
    if isinstance(source, Prefix):
        done, current = source.length, rows.from_batch(source.batch)
    else:
        done, current = 0, rows.from_encoded(source)
    prefixes = []
    for length in range(done + 1, len(steps) + 1):
        current = _step(steps[length - 1], current)
        if length in keep and length < len(steps):
            prefixes.append(Prefix(length, rows.to_batch(current)))
    return (*prefixes, Prefix(len(steps), rows.to_batch(current)))


def transform(steps: Sequence[Step], current: Rows) -> Rows:
    """What the steps make of the rows, without the Arrow form between them.

    Raises:
        RowInvalid: naming the row that a step cannot work on, in the text, and the step, in ``metadata``.
    """
    for step in steps:
        current = _step(step, current)
    return current


def result(last: Prefix) -> pa.RecordBatch:
    """The rows to store of the result of all steps: tensors as they are, pixels as PNG in the column ``image``."""
    current = rows.from_batch(last.batch)
    if current.kind is not Kind.PIXELS:
        return last.batch
    encoded = [_png(Image.fromarray(a[:, :, 0] if a.shape[2] == 1 else a)) for a in current.arrays]
    return rows.to_batch(dataclasses.replace(current, kind=Kind.ENCODED, images=encoded))


def _step(step: Step, current: Rows) -> Rows:
    step_type = catalogue.STEP_TYPES[step.step_type]
    try:
        return step_type.run(step_type.config.model_validate(step.config), current)
    except RowInvalid as error:
        error.metadata.setdefault("step", step.id)
        raise


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()
