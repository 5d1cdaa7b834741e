"""How far the answers of two models are apart."""

from collections.abc import Sequence

import numpy as np

from headwater.tensors import Array
from services.inference.conversions.errors import NotAccurate
from services.inference.conversions.evidence import Difference, finite
from services.inference.conversions.model import Gate
from services.inference.tensors.model import Signature, TensorSpec

_FLOATS = ("FP16", "BF16", "FP32", "FP64")


def differences(
    signature: Signature, expected: Sequence[Sequence[Array]], given: Sequence[Sequence[Array]], gate: Gate
) -> tuple[Difference, ...]:
    """Of every output, over all samples. NaN agrees with NaN; what is no floating-point number must be equal."""
    return tuple(
        _difference(spec, [each[index] for each in expected], [each[index] for each in given], gate)
        for index, spec in enumerate(signature.outputs)
    )


def top1_agreement(expected: Sequence[Sequence[Array]], given: Sequence[Sequence[Array]]) -> float:
    """The share of rows of the first output in which the same number is the largest; 0 where it has no such rows."""
    same = rows = 0
    for (wanted, *_), (found, *_) in zip(expected, given, strict=True):
        if wanted.shape != found.shape or not wanted.ndim or not wanted.size or wanted.dtype.hasobject:
            return 0.0
        same += int(np.count_nonzero(wanted.argmax(-1) == found.argmax(-1)))
        rows += wanted.size // wanted.shape[-1]
    return same / rows if rows else 0.0


def check(gate: Gate, found: Sequence[Difference], agreement: float) -> None:
    """Go on if that is close enough.

    Raises:
        NotAccurate: naming the output that is not, and by how much.
    """
    shapes = [each for each in found if each.elements == 0 and each.outside]
    if gate.min_top1_agreement is not None and not shapes:
        if agreement < gate.min_top1_agreement:
            raise NotAccurate(
                f"The largest number of the first output is the same in {agreement:.1%} of the rows; "
                f"at least {gate.min_top1_agreement:.1%} is asked for."
            )
        return
    for each in found:
        if each.outside:
            by = "by more than a number can say" if each.largest_absolute is None else f"by {each.largest_absolute:.3g}"
            raise NotAccurate(
                f"{each.name!r}: {each.outside} of {each.elements} numbers differ by more than {gate.absolute:g} + "
                f"{gate.relative:g} × |expected|, {by} at most."
            )


def _difference(spec: TensorSpec, expected: Sequence[Array], given: Sequence[Array], gate: Gate) -> Difference:
    if any(one.shape != other.shape or one.dtype != other.dtype for one, other in zip(expected, given, strict=True)):
        return Difference(spec.name, 0, 1, None, None)
    elements = sum(array.size for array in expected)
    if spec.datatype not in _FLOATS:
        outside = sum(int(np.count_nonzero(one != other)) for one, other in zip(expected, given, strict=True))
        largest = float(bool(outside))
        return Difference(spec.name, elements, outside, largest, largest)
    outside, absolute, relative = 0, 0.0, 0.0
    with np.errstate(all="ignore"):
        for one, other in zip(expected, given, strict=True):
            wanted, found = _numbers(spec, one), _numbers(spec, other)
            close = np.isclose(found, wanted, rtol=gate.relative, atol=gate.absolute, equal_nan=True)
            outside += int(np.count_nonzero(~close))
            same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
            apart = np.where(same, 0.0, np.abs(found - wanted))
            apart = np.where(np.isnan(apart), np.inf, apart)
            absolute = max(absolute, float(apart.max(initial=0.0)))
            relative = max(relative, float(np.where(same, 0.0, apart / np.abs(wanted)).max(initial=0.0)))
    return Difference(spec.name, elements, outside, finite(absolute), finite(relative))


def _numbers(spec: TensorSpec, array: Array) -> Array:
    if spec.datatype == "BF16":
        wide: Array = (array.astype(np.uint32) << 16).view(np.float32)
        return wide.astype(np.float64)
    return array.astype(np.float64)
