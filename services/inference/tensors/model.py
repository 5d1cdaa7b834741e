"""A tensor, and what a model takes and gives."""

import dataclasses
from collections.abc import Mapping, Sequence

from headwater.tensors import Array as Array
from headwater.tensors import Tensor as Tensor
from services.inference.tensors.errors import SignatureMismatch, shown


def size_bytes(array: Array) -> int:
    """The memory that an array keeps, that of its byte strings included."""
    return array.nbytes + sum(map(len, array.flat)) if array.dtype.hasobject else array.nbytes


@dataclasses.dataclass(frozen=True, slots=True)
class TensorSpec:
    """What one input or output looks like; a dimension of -1 varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape fits."""
        if len(shape) != len(self.shape):
            return False
        return all(wanted in (-1, given) for wanted, given in zip(self.shape, shape, strict=True))


@dataclasses.dataclass(frozen=True, slots=True)
class Signature:
    """The inputs and outputs of a model, in its own order.

    ``batchable`` says that the first dimension of every tensor counts rows, so that requests can be laid one after the
    other and the answers cut apart again.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batchable: bool

    def arrange(self, tensors: Mapping[str, Tensor]) -> list[Array]:
        """The arrays of a request in the model's order.

        Raises:
            SignatureMismatch: an input is missing, unknown, of another type or of a shape that the model does not take.
        """
        if len(tensors) != len(self.inputs) or any(spec.name not in tensors for spec in self.inputs):
            raise self._wrong_names(tensors)
        arrays = []
        for spec in self.inputs:
            tensor = tensors[spec.name]
            if tensor.datatype != spec.datatype:
                raise SignatureMismatch(
                    f"{shown(spec.name)}: datatype must be {spec.datatype}; it is {tensor.datatype}."
                )
            if not spec.admits(tensor.array.shape):
                raise SignatureMismatch(
                    f"{shown(spec.name)}: shape must be {list(spec.shape)} (-1 varies); "
                    f"it is {list(tensor.array.shape)}."
                )
            arrays.append(tensor.array)
        if self.batchable:
            _check_equal_rows(self.inputs, arrays)
        return arrays

    def choose_outputs(self, names: Sequence[str]) -> Sequence[int]:
        """Where the outputs of these names stand; all of them, in order, when none is named.

        Raises:
            SignatureMismatch: the model has no such output, or one is named twice.
        """
        if not names:
            return range(len(self.outputs))
        known = [spec.name for spec in self.outputs]
        for position, name in enumerate(names):
            if name not in known:
                raise SignatureMismatch(f"The model has no output {shown(name)}; it has {_listed(known)}.")
            if name in names[:position]:
                raise SignatureMismatch(f"The output {shown(name)} is asked for twice.")
        return [known.index(name) for name in names]

    def _wrong_names(self, tensors: Mapping[str, Tensor]) -> SignatureMismatch:
        known = [spec.name for spec in self.inputs]
        missing = [name for name in known if name not in tensors]
        unknown = [name for name in tensors if name not in known]
        if missing:
            problem = f"the request lacks {_listed(missing)}" + (f" and has {_listed(unknown)}" if unknown else "")
        else:
            problem = f"the request has {_listed(unknown)} as well"
        return SignatureMismatch(f"The model takes the inputs {_listed(known)}; {problem}.")


def _check_equal_rows(specs: Sequence[TensorSpec], arrays: Sequence[Array]) -> None:
    rows = arrays[0].shape[0]
    for spec, array in zip(specs, arrays, strict=True):
        if array.shape[0] != rows:
            raise SignatureMismatch(
                f"All inputs must have the same number of rows: {shown(specs[0].name)} has {rows}, "
                f"{shown(spec.name)} has {array.shape[0]}."
            )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(name) for name in names[:8]) + (", …" if len(names) > 8 else "")
