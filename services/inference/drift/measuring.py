"""The features of tensors: what of a request and its answer is watched, as numbers or texts, one for each row.

Of an input: its columns; of images the brightness, and each channel's mean and deviation; of what has more columns than
are watched one by one, or more dimensions, the mean and the deviation; of texts the texts and their lengths, of raw
files their sizes. Of an output: the number, or the largest of several and which it is (the predicted class and, where
they are probabilities, how sure the model was).
"""

import dataclasses
import enum
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from headwater.parity.words import RAW
from services.inference.drift.options import MAX_COLUMNS
from services.inference.drift.reference import Values
from services.inference.drift.statistics import Floats
from services.inference.tensors.model import Array, Tensor

_IMAGE_DIMENSIONS, _MAX_CHANNELS = 4, 4
_MAX_TEXT = 256


class Side(enum.StrEnum):
    """Which side of a request a feature is of."""

    INPUT = "input"
    PREDICTION = "prediction"


class Of(enum.Enum):
    """What of a dataset's column the values of a feature can be compared with."""

    VALUES = enum.auto()
    LENGTHS = enum.auto()
    NOTHING = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Feature:
    """One thing that is watched. ``column`` is the dataset's; empty where none is known."""

    name: str
    side: Side
    column: str = ""
    of: Of = Of.VALUES


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """The names of an input's or output's columns, and which are never looked at, by number; None: all of them."""

    names: tuple[str, ...] = ()
    hidden: frozenset[int] | None = frozenset()


def measure(
    tensors: Sequence[Sequence[Tensor]], side: Side, known: Mapping[str, Columns], *, batchable: bool
) -> Iterator[tuple[Feature, Values]]:
    """The features of one side of several requests. A feature comes once for each shape that its tensor came in."""
    together: dict[tuple[str, str, tuple[int, ...]], list[Array]] = {}
    for request in tensors:
        for tensor in request:
            array = tensor.array if batchable and tensor.array.ndim else tensor.array[None]
            if array.size:
                together.setdefault((tensor.name, tensor.datatype, array.shape[1:]), []).append(array)
    for (name, datatype, shape), arrays in together.items():
        columns = known.get(name, Columns())
        if columns.hidden is None:
            continue
        array = np.concatenate(arrays).reshape(-1, *(shape if shape != (1,) else ()))
        if datatype == "BYTES":
            yield from _texts(name, array, side, columns)
        else:
            yield from _numbers(name, _doubles(datatype, array), side, columns)


def _numbers(name: str, array: Floats, side: Side, columns: Columns) -> Iterator[tuple[Feature, Values]]:
    if array.ndim == 1:
        for number in _seen(1, columns):
            yield _column(name, number, array.ndim, side, columns), array
    elif side is Side.PREDICTION and array.ndim == 2:
        yield from _classes(name, array, columns)
    elif array.ndim == 2 and array.shape[1] <= MAX_COLUMNS:
        for number in _seen(array.shape[1], columns):
            yield _column(name, number, array.ndim, side, columns), array[:, number]
    elif not columns.hidden:  # a mean tells of what must not be looked at
        yield from _summaries(name, array, side)


def _classes(name: str, array: Floats, columns: Columns) -> Iterator[tuple[Feature, Values]]:
    if columns.hidden:
        return
    unknown = np.isnan(array).any(axis=1)
    yield (
        Feature(f"{name}.class", Side.PREDICTION, columns.names[0] if columns.names else ""),
        np.where(unknown, np.nan, np.argmax(array, axis=1)),
    )
    largest = Feature(f"{name}.largest", Side.PREDICTION, of=Of.NOTHING)
    yield largest, np.where(unknown, np.nan, array.max(axis=1))


def _summaries(name: str, array: Floats, side: Side) -> Iterator[tuple[Feature, Values]]:
    """Of rows of many numbers. What is neither finite nor missing makes its row's summaries missing."""
    with np.errstate(invalid="ignore", over="ignore"):
        flat = array.reshape(len(array), -1)
        image = array.ndim == _IMAGE_DIMENSIONS
        yield Feature(f"{name}.{'brightness' if image else 'mean'}", side, of=Of.NOTHING), flat.mean(axis=1)
        if not image or min(array.shape[1], array.shape[3]) > _MAX_CHANNELS:
            yield Feature(f"{name}.deviation", side, of=Of.NOTHING), flat.std(axis=1)
            return
        first = array.shape[1] <= _MAX_CHANNELS
        within = (2, 3) if first else (1, 2)
        means, deviations = array.mean(axis=within), array.std(axis=within)
        for channel in range(means.shape[1]):
            yield Feature(f"{name}.mean[{channel}]", side, of=Of.NOTHING), means[:, channel]
            yield Feature(f"{name}.deviation[{channel}]", side, of=Of.NOTHING), deviations[:, channel]


def _texts(name: str, array: Array, side: Side, columns: Columns) -> Iterator[tuple[Feature, Values]]:
    table = array.reshape(len(array), -1)
    if table.shape[1] > MAX_COLUMNS:
        return
    for number in _seen(table.shape[1], columns):
        feature = _column(name, number, array.ndim, side, columns)
        values = table[:, number].tolist()
        if name == RAW:
            sizes = np.array([len(each) for each in values], np.float64)
            yield Feature(f"{name}.size", side, feature.column, Of.LENGTHS), sizes
            continue
        texts = [_text(each) for each in values]
        yield feature, [text[:_MAX_TEXT] for text in texts]
        lengths = np.array([len(each) for each in texts], np.float64)
        yield Feature(f"{feature.name}.length", side, feature.column, Of.LENGTHS), lengths


def _column(name: str, number: int, dimensions: int, side: Side, columns: Columns) -> Feature:
    """A column goes by its name where one is known; an input that is one column is the dataset's of the same name."""
    named = columns.names[number] if number < len(columns.names) else ""
    if dimensions == 1:
        return Feature(name, side, named or name)
    return Feature(f"{name}.{named}" if named else f"{name}[{number}]", side, named)


def _seen(count: int, columns: Columns) -> Iterator[int]:
    """The columns to look at: not those that must not be, nor those whose name is given as nothing."""
    hidden, names = columns.hidden or frozenset(), columns.names
    for number in range(count):
        if number not in hidden and (number >= len(names) or names[number]):
            yield number


def _doubles(datatype: str, array: Array) -> Floats:
    if datatype == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace").replace("\0", "\ufffd")
