"""Whether one version can answer the questions that another one is asked."""

from collections.abc import Mapping, Sequence

from services.inference.tensors.model import Signature, TensorSpec


def answers_for(mine: Signature, other: Signature) -> bool:
    """Whether a version with the signature ``mine`` takes whatever one with ``other`` takes, and gives what that gives.

    It may take more shapes and give more outputs; inputs and outputs are told apart by their names.
    """
    inputs, outputs = _by_name(mine.inputs), _by_name(mine.outputs)
    if inputs.keys() != {spec.name for spec in other.inputs}:
        return False
    takes = all(_takes(inputs[spec.name], spec) for spec in other.inputs)
    return takes and all(
        spec.name in outputs and outputs[spec.name].datatype == spec.datatype for spec in other.outputs
    )


def _takes(mine: TensorSpec, other: TensorSpec) -> bool:
    if mine.datatype != other.datatype or len(mine.shape) != len(other.shape):
        return False
    return all(size in (-1, wanted) for size, wanted in zip(mine.shape, other.shape, strict=True))


def _by_name(specs: Sequence[TensorSpec]) -> Mapping[str, TensorSpec]:
    return {spec.name: spec for spec in specs}
