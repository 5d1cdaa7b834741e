"""Whether samples give here what they gave when they were recorded."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from headwater.errors import InvalidArgument
from headwater.parity.environment import differences, here
from headwater.parity.errors import ParityMismatch
from headwater.parity.model import Parity, Sample, Tolerance, prepared_digest
from headwater.tensors import Array, Tensor, digest

Prepare: TypeAlias = Callable[[Sequence[bytes]], Tensor]
"""From the files of ``raw`` to the input of the model."""
Predict: TypeAlias = Callable[[Mapping[str, Tensor]], Sequence[Tensor]]


def replay(parity: Parity, prepare: Prepare | None, predict: Predict) -> None:
    """Compute every sample again. Blocks for as long as that takes.

    The pipeline's arrays must be the same to the bit, and so must outputs that are no floating-point numbers; those
    that are may differ by the record's tolerance. Without ``prepare``, samples of raw bytes are left out: what serves
    them then takes none.

    Raises:
        ParityMismatch: naming the first sample that gives something else.
    """
    for index, sample in enumerate(parity.samples):
        inputs = {tensor.name: tensor for tensor in sample.inputs}
        files = sample.files
        if files is not None:
            if prepare is None:
                continue
            prepared = _prepared(parity, index, sample, prepare, files)
            inputs = {prepared.name: prepared}
        try:
            outputs = predict(inputs)
        except InvalidArgument as error:  # the model does not take the sample's tensors any more
            recorded = digest(inputs.values())
            raise _mismatch(parity, index, "inputs", recorded, "none", error.message) from error
        _check_outputs(parity, index, sample, outputs)


def _prepared(parity: Parity, index: int, sample: Sample, prepare: Prepare, files: Sequence[bytes]) -> Tensor:
    try:
        prepared = prepare(files)
    except InvalidArgument as error:
        raise _mismatch(parity, index, "preprocessing", sample.prepared, "none", error.message) from error
    got = prepared_digest(prepared)
    if got != sample.prepared:
        raise _mismatch(parity, index, "preprocessing", sample.prepared, got, "what the pipeline makes of it")
    return prepared


def _check_outputs(parity: Parity, index: int, sample: Sample, outputs: Sequence[Tensor]) -> None:
    computed = {tensor.name: tensor for tensor in outputs}
    for expected in sample.outputs:
        got = computed.get(expected.name)
        if got is None:
            raise _mismatch(parity, index, expected.name, digest([expected]), "none", "the model has no such output")
        why = _difference(expected, got, parity.tolerance)
        if why:
            raise _mismatch(parity, index, expected.name, digest([expected]), digest([got]), why)


def _mismatch(parity: Parity, index: int, part: str, expected: str, got: str, why: str) -> ParityMismatch:
    environment = differences(parity.environment, here())
    where = f" Recorded elsewhere: {environment}." if environment else ""
    return ParityMismatch(
        f"Sample {index} of the parity record, {part}: expected {expected}, got {got} ({why}).{where}",
        sample=index,
        part=part,
        expected=expected,
        got=got,
        environment=environment,
    )


def _difference(expected: Tensor, got: Tensor, tolerance: Tolerance) -> str:
    """How two outputs differ by more than they may; empty for not."""
    if (expected.datatype, expected.array.shape) != (got.datatype, got.array.shape):
        return f"{got.datatype} {list(got.array.shape)} instead of {expected.datatype} {list(expected.array.shape)}"
    wanted, found = _numbers(expected), _numbers(got)
    if wanted is None or found is None:
        unequal = np.count_nonzero(expected.array != got.array)
        return f"{unequal} of {expected.array.size} elements differ" if unequal else ""
    with np.errstate(invalid="ignore", over="ignore"):
        close = np.isclose(found, wanted, rtol=tolerance.relative, atol=tolerance.absolute, equal_nan=True)
        if close.all():
            return ""
        worst = np.nanmax(np.abs(found - wanted), initial=0.0)
    return f"{np.count_nonzero(~close)} of {close.size} numbers differ, by up to {worst:.3g}"


def _numbers(tensor: Tensor) -> Array | None:
    """Floating-point numbers as float64; None for what is compared exactly."""
    if tensor.datatype == "BF16":
        return (tensor.array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return tensor.array.astype(np.float64) if tensor.datatype in ("FP16", "FP32", "FP64") else None
