"""The canonical form of a set of tensors, and its digest: the same however they were sent (raw or typed contents, in
whatever order).

The form is, in this order, all integers little-endian:

    the 20 bytes ``headwater.tensors.v1``
    uint32 number of tensors
    then for each tensor, sorted by its name's UTF-8 bytes:
        uint32 length of the name,     the name in UTF-8
        uint32 length of the datatype, the datatype in ASCII (``FP32``, …)
        uint32 number of dimensions,   each dimension as uint64
        uint64 length of the content,  the content in the Open Inference Protocol's raw representation

The digest is SHA-256 over it. Bits are taken as they are: two NaNs with different payloads have different digests, and
so have 0.0 and -0.0. ``headwater.tensor_bodies`` reads the form.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator

from services.inference.tensors.codec import to_raw
from services.inference.tensors.model import Tensor

_PREFIX = b"headwater.tensors.v1"


def digest(tensors: Iterable[Tensor]) -> str:
    """``sha256:`` and 64 hex digits over the tensors in the form above; their names are distinct."""
    sha = hashlib.sha256()
    for part in _parts(tensors):
        sha.update(part)
    return f"sha256:{sha.hexdigest()}"


def canonical(tensors: Iterable[Tensor]) -> bytes:
    """The tensors in the form above."""
    return b"".join(_parts(tensors))


def _parts(tensors: Iterable[Tensor]) -> Iterator[bytes | memoryview]:
    ordered = sorted(tensors, key=lambda tensor: tensor.name)  # by code point, which is the order of UTF-8 bytes too
    yield _PREFIX + struct.pack("<I", len(ordered))
    for tensor in ordered:
        name, datatype, shape = tensor.name.encode(), tensor.datatype.encode(), tensor.array.shape
        content, size_bytes = _content(tensor)
        form = f"<I{len(name)}sI{len(datatype)}sI{len(shape)}QQ"
        yield struct.pack(form, len(name), name, len(datatype), datatype, len(shape), *shape, size_bytes)
        yield content


def _content(tensor: Tensor) -> tuple[bytes | memoryview, int]:
    """The raw representation, as something that can be hashed, and its size."""
    if tensor.datatype != "BYTES" and tensor.array.flags.c_contiguous:
        return tensor.array.data, tensor.array.nbytes  # hashed where it lies
    raw = to_raw(tensor)
    return raw, len(raw)
