"""Estimators of scikit-learn as ONNX, the form in which they are served.

    converted = estimators.to_onnx(pipeline, sample)        # checked: answers as the estimator does on these rows
    version = estimators.register(connection, ModelName("default", "churn"), pipeline, sample)

Pickles (joblib) are never loaded by a service, since reading one runs what is in it; so what leaves the process that
trained is ONNX. Needs ``pip install headwater[sklearn]``.
"""

import dataclasses
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from headwater import models
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import FailedPrecondition, InvalidArgument
from headwater.names import ModelName

TOLERANCE: Final = 1e-4
"""How far a number may be off, relative and absolute: ONNX computes in float32 where scikit-learn takes float64."""
_OPSETS: Final = {"": 18, "ai.onnx.ml": 3}
_MAX_SHOWN = 300
_METHODS: Final = {
    "label": ("predict",),
    "probabilities": ("predict_proba", "decision_function"),
    "variable": ("predict", "transform"),
    "scores": ("decision_function", "score_samples"),
}
"""With which method of the estimator an output is compared: the first that it has."""


class CannotConvert(FailedPrecondition):
    """There is no ONNX for the estimator, or it does not answer as the estimator does."""

    reason = "CANNOT_CONVERT"


@dataclasses.dataclass(frozen=True, slots=True)
class Converted:
    """An estimator as ONNX, and how far its numbers are off on the sample; ``rows`` is how many were compared."""

    model: bytes
    largest_difference: float
    rows: int


def to_onnx(estimator: Any, sample: Any, *, datatype: str = "FP32", tolerance: float = TOLERANCE) -> Converted:
    """A fitted estimator or pipeline as ONNX that answers as it does on every row of ``sample``.

    ``sample`` is an array of rows, which makes one input ``input`` of ``datatype`` (FP32 or FP64), or a data frame,
    which makes one input for each column under the column's name: numbers as ``datatype``, whole ones as INT64, text as
    BYTES. A classifier gives ``label`` and ``probabilities`` (one column for each class, in the order of ``classes_``),
    a regressor ``variable``.

    Raises:
        InvalidArgument: the sample has no rows, or columns of other kinds.
        CannotConvert: naming the step that is unknown to skl2onnx, or the row and output that differ.
    """
    feeds = _feeds(sample, datatype)
    rows = len(next(iter(feeds.values()))) if feeds else 0
    if not rows:
        raise InvalidArgument("The sample must have rows: it says what goes in, and what is compared.", field="sample")
    model = _convert(estimator, feeds)
    largest = _compare(estimator, sample, _run(model, feeds), tolerance)
    return Converted(model, largest, rows)


def register(
    connection: Connection,
    model: ModelName,
    estimator: Any,
    sample: Any,
    *,
    datatype: str = "FP32",
    tolerance: float = TOLERANCE,
    user_metadata: Mapping[str, str] | None = None,
    **more: Any,
) -> artifact_pb2.ModelMetadata:
    """Convert, compare and register an estimator as the model's next version; ``more`` is as in models.register.

    Raises:
        InvalidArgument, CannotConvert: see to_onnx; nothing is registered then.
    """
    converted = to_onnx(estimator, sample, datatype=datatype, tolerance=tolerance)
    told = {
        "converted_from": type(estimator).__qualname__,
        "compared_rows": str(converted.rows),
        "largest_difference": f"{converted.largest_difference:.3g}",
        **(user_metadata or {}),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(converted.model)
        settings = {"framework": "scikit-learn", "architecture": type(estimator).__name__, **more}
        return models.register(connection, model, {file.name: file}, user_metadata=told, **settings)


def _feeds(sample: Any, datatype: str) -> dict[str, Any]:
    """The inputs by name, as ONNX Runtime takes them."""
    if datatype not in ("FP32", "FP64"):
        raise InvalidArgument(f"datatype must be FP32 or FP64; it is {datatype!r}.", field="datatype")
    real = np.float32 if datatype == "FP32" else np.float64
    if not hasattr(sample, "columns"):
        rows = np.asarray(sample)
        if rows.ndim != 2 or rows.dtype.kind not in "fiub":
            raise InvalidArgument("The sample must be a data frame, or rows of numbers.", field="sample")
        return {"input": np.ascontiguousarray(rows, real)}
    feeds = {}
    for name in sample.columns:
        column = sample[name].to_numpy()
        kind = column.dtype.kind
        if kind == "f":
            column = column.astype(real)
        elif kind in "iub":
            column = column.astype(np.int64)
        elif all(isinstance(each, str) for each in column):
            column = column.astype(object)
        else:
            raise InvalidArgument(f"Column {name!r} must hold numbers or text.", field="sample")
        feeds[str(name)] = column.reshape(-1, 1)
    return feeds


def _convert(estimator: Any, feeds: Mapping[str, Any]) -> bytes:
    import skl2onnx  # type: ignore[import-untyped]
    from skl2onnx.common import data_types  # type: ignore[import-untyped]

    kinds = {
        "float32": data_types.FloatTensorType,
        "float64": data_types.DoubleTensorType,
        "int64": data_types.Int64TensorType,
        "object": data_types.StringTensorType,
    }
    inputs = [(name, kinds[str(column.dtype)]([None, column.shape[1]])) for name, column in feeds.items()]
    options = {"zipmap": False} if hasattr(estimator, "classes_") else None  # a map is no tensor, and is not served
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own dealings with other libraries
            model = skl2onnx.convert_sklearn(
                estimator, initial_types=inputs, options=options, target_opset=dict(_OPSETS)
            )
    except Exception as error:  # it raises types of its own and of others, without a base class
        said = " ".join(str(error).split())
        raise CannotConvert(
            f"skl2onnx cannot convert {type(estimator).__name__}: {said[:_MAX_SHOWN]}"
            f"{'…' if len(said) > _MAX_SHOWN else ''}"
        ) from error
    content: bytes = model.SerializeToString()
    return content


def _run(model: bytes, feeds: Mapping[str, Any]) -> Mapping[str, Any]:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))
    except Exception as error:  # of several types without a base class
        raise CannotConvert(f"ONNX Runtime cannot compute what skl2onnx made: {str(error)[:_MAX_SHOWN]}") from error


def _compare(estimator: Any, sample: Any, outputs: Mapping[str, Any], tolerance: float) -> float:
    """The largest difference between numbers, if there is none that is too large."""
    largest = 0.0
    for name, found in outputs.items():
        methods = [each for each in _METHODS.get(name, ("transform",)) if hasattr(estimator, each)]
        if not methods:
            raise CannotConvert(
                f"{type(estimator).__name__} has nothing that the output {name!r} can be compared with."
            )
        wanted = np.asarray(getattr(estimator, methods[0])(sample))
        if np.size(found) != wanted.size:
            raise CannotConvert(f"ONNX gives {np.size(found)} numbers as {name!r}, the estimator {wanted.size}.")
        found = np.asarray(found).reshape(wanted.shape)
        if wanted.dtype.kind in "fc":
            differs = ~np.isclose(found, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
            largest = max(largest, float(np.nanmax(np.abs(found - wanted), initial=0.0)))
        else:
            differs = found.astype(wanted.dtype) != wanted
        if differs.any():
            raise _different(name, found, wanted, np.argwhere(differs)[0])
    return largest


def _different(name: str, found: Any, wanted: Any, where: Sequence[int]) -> CannotConvert:
    place = tuple(int(each) for each in where)
    return CannotConvert(
        f"The ONNX answers otherwise than the estimator: {name}{list(place)} is {found[place]!s} and not "
        f"{wanted[place]!s}. Try datatype='FP64', or train on float32 values."
    )
