"""Tensors in the words of the Open Inference Protocol, and the digest of a set of them.

The digest is the same however the tensors were sent (raw or typed contents, in whatever order): SHA-256 over, in this
order, all integers little-endian:

    the 20 bytes ``headwater.tensors.v1``
    uint32 number of tensors
    then for each tensor, sorted by its name's UTF-8 bytes:
        uint32 length of the name,     the name in UTF-8
        uint32 length of the datatype, the datatype in ASCII (``FP32``, …)
        uint32 number of dimensions,   each dimension as uint64
        uint64 length of the content,  the content in the Open Inference Protocol's raw representation;
                                       of one that is longer than 4,096 bytes, the 32 bytes of its BLAKE3 digest instead

A content's length says which of the two follows it. BLAKE3 takes a fifth of SHA-256's time for an image, and is as hard
to find a second content for. What is kept of a request, its ``canonical`` form, is the same with all contents whole:
``digest(from_canonical(form))`` is the digest of what was kept.

Bits are taken as they are: two NaNs with different payloads have different digests, and so have 0.0 and -0.0.
"""

import dataclasses
import functools
import hashlib
import math
import operator
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import blake3
import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

NUMPY_TYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(np.object_),
}
"""Element types of the protocol and the numpy types that hold them. BF16 has no numpy type: its arrays hold the 16 bits
as they are (uint16). BYTES arrays hold ``bytes`` objects. All numbers are little-endian, as the protocol prescribes."""

_name = operator.attrgetter("name")
_PREFIX = b"headwater.tensors.v1"
_LENGTH = struct.Struct("<I")
_MAX_KNOWN_NAME = 255
_MAX_WHOLE_BYTES = 4096
"""Of longer contents the digest of tensors takes a digest."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tensor:
    """A named array. ``datatype`` is in the protocol's notation and decides how ``array`` is read (NUMPY_TYPES)."""

    name: str
    datatype: str
    array: Array


def byte_strings(elements: Iterable[object]) -> Array:
    """An array of these very objects; numpy's own conversion would cut trailing NULs off byte strings."""
    values = list(elements)
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array


def to_raw(tensor: Tensor) -> bytes:
    """The raw representation: the memory in row-major order; of BYTES each element after its length."""
    if tensor.datatype != "BYTES":
        return tensor.array.tobytes()
    elements = tensor.array.ravel().tolist()
    lengths = [len(element) for element in elements]
    prefixes = {length: _LENGTH.pack(length) for length in set(lengths)}
    parts = [b""] * (2 * len(elements))
    parts[::2] = [prefixes[length] for length in lengths]
    parts[1::2] = elements
    return b"".join(parts)


def equal_elements(raw: bytes, count: int) -> list[bytes] | None:
    """The elements of BYTES in ``raw`` if all are equally long, as keys, digests and codes are; else None.

    Several times faster than going from one to the next, and checks as much.
    """
    size, rest = divmod(len(raw), count)
    if rest or size <= _LENGTH.size:
        return None
    lengths = np.ndarray((count,), "<u4", raw, strides=(size,))
    if np.any(lengths != size - _LENGTH.size):
        return None
    # Not S, which would cut trailing NULs off.
    form = np.dtype([("length", "<u4"), ("element", f"V{size - _LENGTH.size}")])
    elements: list[bytes] = np.frombuffer(raw, form)["element"].tolist()
    return elements


def digest(tensors: Iterable[Tensor]) -> str:
    """``sha256:`` and 64 hex digits over the tensors in the form above; their names are distinct."""
    ordered = list(tensors)
    if len(ordered) == 1 and (form := _small(ordered[0])) is not None:
        return f"sha256:{hashlib.sha256(form).hexdigest()}"
    form = b"".join(_parts(ordered, _MAX_WHOLE_BYTES))
    return f"sha256:{hashlib.sha256(form).hexdigest()}"


def canonical(tensors: Iterable[Tensor]) -> bytes:
    """The tensors in the form above, with whole contents however long they are."""
    return b"".join(_parts(tensors))


def from_canonical(content: bytes) -> list[Tensor]:
    """The tensors that ``canonical`` made these bytes of; numbers share their memory and are read-only.

    Raises:
        ValueError: it made them of none.
    """
    try:
        return _parse(content)
    except (struct.error, KeyError, IndexError, UnicodeDecodeError) as error:
        raise ValueError("these are no tensors in canonical form") from error


def _parts(tensors: Iterable[Tensor], max_whole_bytes: float = math.inf) -> list[bytes | memoryview]:
    """The form above, with the digests of contents that are longer than this."""
    ordered = list(tensors)
    if len(ordered) > 1:
        ordered.sort(key=_name)  # by code point, which is the order of UTF-8 bytes too
    parts: list[bytes | memoryview] = [_begin(len(ordered))]
    for tensor in ordered:
        content, size_bytes = _content(tensor)
        # Requests to one model mostly look alike; a name that is longer than names are is nobody's.
        head = _known_head if len(tensor.name) <= _MAX_KNOWN_NAME else _head
        parts.append(head(tensor.name, tensor.datatype, tensor.array.shape, size_bytes))
        parts.append(content if size_bytes <= max_whole_bytes else _blake3(content))
    return parts


def _small(tensor: Tensor) -> bytes | None:
    """The form above of one small tensor of numbers, as most requests and answers are; None for any other."""
    array, name, datatype = tensor.array, tensor.name, tensor.datatype
    size_bytes = array.nbytes
    if size_bytes > _MAX_WHOLE_BYTES or datatype == "BYTES" or len(name) > _MAX_KNOWN_NAME:
        return None
    return _known_beginning(name, datatype, array.shape, size_bytes) + array.tobytes()


@functools.lru_cache(1024)
def _known_beginning(name: str, datatype: str, shape: tuple[int, ...], size_bytes: int) -> bytes:
    return _begin(1) + _head(name, datatype, shape, size_bytes)


def _blake3(content: bytes | memoryview) -> bytes:
    return blake3.blake3(memoryview(content).cast("B")).digest()


@functools.lru_cache(64)
def _begin(count: int) -> bytes:
    return _PREFIX + struct.pack("<I", count)


def _head(name: str, datatype: str, shape: tuple[int, ...], size_bytes: int) -> bytes:
    # A name that JSON could say and Unicode cannot (half of a surrogate pair) has a digest too.
    named, typed = name.encode(errors="surrogatepass"), datatype.encode()
    form = f"<I{len(named)}sI{len(typed)}sI{len(shape)}QQ"
    return struct.pack(form, len(named), named, len(typed), typed, len(shape), *shape, size_bytes)


_known_head = functools.lru_cache(1024)(_head)


def _parse(content: bytes) -> list[Tensor]:
    if not content.startswith(_PREFIX):
        raise ValueError("canonical tensors begin with their version")
    position = len(_PREFIX)

    def take(form: str) -> tuple[Any, ...]:
        nonlocal position
        values = struct.unpack_from(form, content, position)
        position += struct.calcsize(form)
        return values

    def text() -> str:
        (size,) = take("<I")
        return str(take(f"<{size}s")[0].decode(errors="surrogatepass"))

    tensors = []
    (count,) = take("<I")
    for _ in range(count):
        name, datatype, rank = text(), text(), take("<I")[0]
        shape, size_bytes = take(f"<{rank}Q"), take("<Q")[0]
        raw = content[position : position + size_bytes]
        if len(raw) != size_bytes:
            raise ValueError("the bytes end within a tensor")
        position += size_bytes
        array = _elements(raw) if datatype == "BYTES" else np.frombuffer(raw, NUMPY_TYPES[datatype])
        tensors.append(Tensor(name, datatype, array.reshape(shape)))
    if position != len(content):
        raise ValueError("there are bytes after the last tensor")
    return tensors


def _elements(raw: bytes) -> Array:
    elements, position = [], 0
    while position < len(raw):
        start = position + _LENGTH.size
        position = start + _LENGTH.unpack_from(raw, position)[0]
        if position > len(raw):
            raise ValueError("an element ends after the last byte")
        elements.append(raw[start:position])
    return byte_strings(elements)


def _content(tensor: Tensor) -> tuple[bytes | memoryview, int]:
    """The raw representation, as something that can be hashed, and its size."""
    if tensor.datatype != "BYTES" and tensor.array.flags.c_contiguous:
        return tensor.array.data, tensor.array.nbytes  # hashed where it lies
    raw = to_raw(tensor)
    return raw, len(raw)
