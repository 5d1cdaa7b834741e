"""How much the files of one version may say together: as much as can be kept, and told in one message."""

import math
from collections.abc import Sequence

from services.registry.formats import MAX_TENSORS, FileFacts, Tensor
from services.registry.versions.errors import InvalidFiles

_MAX_DESCRIBED_BYTES = 16 * 2**20
_MAX_SAID_BYTES = 32 * 2**20


class Said:
    """What the files of a version say together, so far: as much as can be kept and told."""

    def __init__(self) -> None:
        self._tensors = 0
        self._described_bytes = 0
        self._said_bytes = 0
        self._parameters = 0

    def add(self, told: FileFacts) -> None:
        """Add a file.

        Raises:
            InvalidFiles: it is too much.
        """
        self._tensors += len(told.tensors)
        tensor_bytes = _bytes_of(told.tensors)
        self._described_bytes += tensor_bytes
        if self._tensors > MAX_TENSORS or self._described_bytes > _MAX_DESCRIBED_BYTES:
            raise InvalidFiles(
                f"A version may have at most {MAX_TENSORS} tensors, whose names and shapes take at most 16 MiB.",
                tensors=self._tensors,
            )
        self._said_bytes += tensor_bytes + _bytes_of_rest(told)
        if self._said_bytes > _MAX_SAID_BYTES:
            raise InvalidFiles("What the files of a version say of themselves may take at most 32 MiB.")
        self._parameters += told.parameter_count
        if math.log2(1 + self._parameters) >= 63:
            raise InvalidFiles("A version may have fewer than 2^63 parameters.")


def _bytes_of(tensors: Sequence[Tensor]) -> int:
    return sum(len(tensor.name.encode()) + 10 * len(tensor.shape) for tensor in tensors)


def _bytes_of_rest(told: FileFacts) -> int:
    """About how many bytes all that the file says beside its tensors takes."""
    texts = (*told.problems, *told.code, *told.properties, *told.properties.values(), *told.operators)
    return (
        sum(2 + len(text) for text in texts)
        + sum(8 + len(name) + len(file) for name, file in told.tensor_files.items())
        + sum(_bytes_of(each.inputs) + _bytes_of(each.outputs) for each in told.signatures.values())
        + sum(4 + len(layer.name) + len(layer.kind) for layer in told.layers)
        + sum(6 + len(each.name) for each in told.globals)
        + sum(
            6 + len(path) + _bytes_of(member.tensors) + _bytes_of_rest(member) for path, member in told.members.items()
        )
    )
