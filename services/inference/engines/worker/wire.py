"""Messages between the service and a worker, and tensors in the memory that they share.

A message is one packet of little-endian int64: for a batch its number, the bytes of memory that it uses, and each
tensor (offset, bytes, rank, dimensions); for an answer a status in place of the number. Names and element types are
those of the signature, and do not travel. BYTES are laid down in the protocol's raw form.
"""

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from services.inference.engines.worker.memory import SharedMemory, aligned
from services.inference.tensors.codec import from_raw, to_raw
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.errors import InvalidTensor
from services.inference.tensors.model import Array, Tensor, TensorSpec

MAX_MESSAGE = 1 << 18
COMPUTED, FAILED = 0, 1
_NUMBER_BYTES = 8
_MAX_RANK = 32


class Malformed(Exception):
    """The other process sent what no worker of this release sends."""


def pack(numbers: Sequence[int]) -> bytes:
    """A message of these numbers."""
    return struct.pack(f"<{len(numbers)}q", *numbers)


def unpack(message: "memoryview | bytes", length: int) -> tuple[int, ...]:
    """The numbers of a message of this many bytes."""
    return struct.unpack_from(f"<{length // _NUMBER_BYTES}q", message)


def pack_failure(reason: str, text: str) -> bytes:
    """The answer that there is none: a stable reason, and for the log why."""
    return struct.pack("<q", FAILED) + json.dumps([reason, text[:2000]]).encode()


def unpack_failure(message: "memoryview | bytes", length: int) -> tuple[str, str]:
    """The inverse.

    Raises:
        Malformed
    """
    try:
        reason, text = json.loads(bytes(message[_NUMBER_BYTES:length]))
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed from error
    return str(reason), str(text)


def lay(
    first: int,
    specs: Sequence[TensorSpec],
    arrays: Sequence[Array],
    memory: SharedMemory,
    there: "Places | None" = None,
) -> bytes:
    """Copy ``arrays`` into ``memory``, but for those that are ``there`` already; returns the message that says where.

    Raises:
        OSError: there is not enough memory.
    """
    parts: list[Any] = []
    places: list[int] = []
    end = there.end if there else 0
    for spec, array in zip(specs, arrays, strict=True):
        place = there.of(array) if there else -1
        part = to_raw(Tensor(spec.name, spec.datatype, array)) if array.dtype.hasobject else array
        if place < 0:
            place, end = end, aligned(end + (len(part) if isinstance(part, bytes) else part.nbytes))
            parts.append(part)
        else:
            parts.append(None)
        places.append(place)
    numbers = [first, end]
    buffer = memory.grown(end)
    for array, part, place in zip(arrays, parts, places, strict=True):
        if isinstance(part, bytes):
            buffer[place : place + len(part)] = part
            numbers += (place, len(part), array.ndim, *array.shape)
            continue
        if part is not None:
            np.ndarray(array.shape, array.dtype, buffer, place)[...] = array
        numbers += (place, array.nbytes, array.ndim, *array.shape)
    return pack(numbers)


def find(numbers: Sequence[int], specs: Sequence[TensorSpec], memory: SharedMemory, *, copied: bool) -> list[Array]:
    """The arrays that a message tells of: in the memory itself, or ``copied`` out of it.

    Raises:
        Malformed: what it tells cannot be.
    """
    try:
        size, position = numbers[1], 2
        buffer = memory.mapped(size) if size else b""
        arrays = []
        for spec in specs:
            place, length, rank = numbers[position : position + 3]
            shape = numbers[position + 3 : position + 3 + rank]
            position += 3 + rank
            if min(place, length) < 0 or place + length > size or not len(shape) == rank <= _MAX_RANK:
                raise Malformed("a tensor is outside of the memory")
            arrays.append(_array(spec, shape, buffer, place, length, copied=copied))
    except (ValueError, IndexError, OSError, InvalidTensor) as error:
        raise Malformed(str(error)) from error
    if position != len(numbers):
        raise Malformed("more tensors than outputs")
    return arrays


def _array(spec: TensorSpec, shape: Sequence[int], buffer: Any, place: int, length: int, *, copied: bool) -> Array:
    dtype = NUMPY_TYPES[spec.datatype]
    if dtype.hasobject:
        return from_raw(spec.name, spec.datatype, shape, bytes(buffer[place : place + length])).array
    if math.prod(shape) * dtype.itemsize != length or (shape and min(shape) < 0):
        raise Malformed("a tensor has not the bytes that its shape takes")
    if not length:
        return np.empty(shape, dtype)
    array: Array = np.ndarray(shape, dtype, buffer, place)
    return array.copy() if copied else array


class Places:
    """Arrays that lie in a memory already, where they were gathered."""

    def __init__(self, specs: Sequence[TensorSpec], requests: Sequence[Sequence[Array]], memory: SharedMemory) -> None:
        columns = list(zip(*requests, strict=True))
        shapes = [(sum([part.shape[0] for part in parts]), *parts[0].shape[1:]) for parts in columns]
        starts, self.end = [], 0
        for parts, shape in zip(columns, shapes, strict=True):
            starts.append(self.end)
            if not parts[0].dtype.hasobject:
                self.end = aligned(self.end + math.prod(shape) * parts[0].dtype.itemsize)
        buffer = memory.grown(self.end)
        self.arrays: list[Array] = []
        for parts, shape, start in zip(columns, shapes, starts, strict=True):
            if parts[0].dtype.hasobject:  # byte strings are put into their raw form when they are laid down
                self.arrays.append(np.concatenate(parts))
                continue
            array: Array = np.ndarray(shape, parts[0].dtype, buffer, start)
            self.arrays.append(np.concatenate(parts, out=array))
        self._starts = starts

    def of(self, array: Array) -> int:
        """Where this very array lies; -1 if it does not."""
        for known, start in zip(self.arrays, self._starts, strict=True):
            if known is array and not array.dtype.hasobject:
                return start
        return -1
