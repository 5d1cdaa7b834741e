"""Finds in a pickle's calls the tensors that they would rebuild (``torch/_utils.py``), and where their bytes are."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

from services.registry.formats.facts import MAX_INT64, InvalidModelFile, Tensor
from services.registry.formats.pickles.allowed import DTYPES, STORAGES
from services.registry.formats.pickles.values import Call, PersistentId, Reference, Table, Value

_MAX_RANK = 64
_MAX_WRAPPINGS = 8
_UTILS = "torch._utils"
# The tensor is the first argument.
_WRAPPERS = {
    (_UTILS, name)
    for name in (
        "_rebuild_parameter",
        "_rebuild_parameter_with_state",
        "_rebuild_device_tensor_from_cpu_tensor",
        "_rebuild_nested_tensor",  # its buffer
    )
}
# Storage, offset, size and stride come first; then, where, the dtype, and what else must be done with the bytes.
_STRIDED = {
    (_UTILS, "_rebuild_tensor"): (None, None),
    (_UTILS, "_rebuild_tensor_v2"): (None, 6),
    (_UTILS, "_rebuild_tensor_v3"): (6, 7),
    (_UTILS, "_rebuild_qtensor"): (None, None),
}


class Storages(Protocol):
    """Where a file keeps the bytes of tensors, by their key."""

    def begin(self, key: str, size: int) -> int:
        """Where the storage's ``size`` bytes begin within the file; -1 if they do not lie there as they are.

        Raises:
            InvalidModelFile: the file has no such storage, or one of another size.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str  # empty: bytes
    count: int


def invalid(what: str) -> InvalidModelFile:
    """The file breaks a rule of the format."""
    return InvalidModelFile(f"Not a valid PyTorch file: {what}.", format="pytorch")


def tensor_of(value: Value, storages: Storages) -> Tensor | None:
    """The tensor, without a name, that the value stands for; ``None`` if it is none.

    Raises:
        InvalidModelFile: its shape, its strides or its place cannot be.
    """
    call = _unwrapped(value)
    if call is None:
        return None
    if call.key in _STRIDED:
        return _strided(call, storages)
    if call.key == (_UTILS, "_rebuild_meta_tensor_no_storage") and len(call.arguments) >= 2:
        return Tensor("", _dtype(call.arguments[0])[0], checked_shape(call.arguments[1]))
    if call.key == (_UTILS, "_rebuild_sparse_tensor"):
        return _sparse(call, storages)
    return None


def _unwrapped(value: Value) -> Call | None:
    for _ in range(_MAX_WRAPPINGS):
        if not isinstance(value, Call):
            return None
        if value.key in _WRAPPERS and value.arguments:
            value = value.arguments[0]
        elif value.key == ("torch._tensor", "_rebuild_from_type_v2") and len(value.arguments) >= 3:
            function, _, arguments, *_ = value.arguments
            value = Call(function, arguments if isinstance(arguments, tuple) else ())
        else:
            return value
    return None


def _strided(call: Call, storages: Storages) -> Tensor:
    if len(call.arguments) < 4:
        raise invalid("a tensor lacks a part")
    storage, (offset, size, stride) = _storage(call.arguments[0]), call.arguments[1:4]
    dtype_at, flags_at = _STRIDED[call.key]
    given = call.arguments[dtype_at] if dtype_at and len(call.arguments) > dtype_at else None
    datatype, item_size = _dtype(Reference("torch", storage.dtype) if given is None else given)
    shape, strides = checked_shape(size), checked_sizes(stride)
    size_bytes = storage.count * (DTYPES[storage.dtype][1] if storage.dtype else 1)
    begin = storages.begin(storage.key, size_bytes)
    flags = call.arguments[flags_at] if flags_at and len(call.arguments) > flags_at else None
    if isinstance(flags, Table) and flags.pairs:
        begin = -1  # conjugated or negated when it is read
    return placed(Tensor("", datatype, shape), strides, offset, item_size, begin, size_bytes)


def placed(
    tensor: Tensor, strides: Sequence[int], offset: Value, item_size: int, begin: int, size_bytes: int
) -> Tensor:
    """The tensor with the place of its elements, if they lie one after the other in a storage at ``begin``.

    Raises:
        InvalidModelFile: they are not all in the storage's ``size_bytes``.
    """
    shape = tensor.shape
    if len(shape) != len(strides) or not _is_size(offset):
        raise invalid("a tensor's strides do not fit its shape, or its offset is none")
    assert isinstance(offset, int)
    count = math.prod(shape)
    used = 1 + offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
    if count and used * item_size > size_bytes:
        raise invalid("a tensor reaches beyond its storage")
    if begin < 0 or not is_contiguous(shape, strides):
        return tensor
    begin += min(offset * item_size, size_bytes)
    return tensor._replace(begin=begin, end=begin + count * item_size)


def _sparse(call: Call, storages: Storages) -> Tensor:
    """A sparse tensor's type is that of its values, and its shape is given; its elements lie nowhere one by one."""
    parts = call.arguments[1] if len(call.arguments) > 1 else ()
    if not isinstance(parts, tuple) or len(parts) < 3:
        raise invalid("a sparse tensor lacks a part")
    held = [tensor_of(part, storages) if isinstance(part, Call) else None for part in parts]
    values = [tensor for tensor in held if tensor is not None]
    sizes = [part for part, tensor in zip(parts, held, strict=True) if tensor is None and not isinstance(part, bool)]
    if len(values) < 2 or not sizes:
        raise invalid("a sparse tensor lacks a part")
    return Tensor("", values[-1].datatype, checked_shape(sizes[0]))


def _storage(value: Value) -> _Storage:
    parts = value.id if isinstance(value, PersistentId) else None
    if not isinstance(parts, tuple) or len(parts) < 5:
        raise invalid("a tensor has no storage")
    kind, class_, key, _, count, *view = parts
    if kind != "storage" or not isinstance(class_, Reference) or not isinstance(key, str) or not _is_size(count):
        raise invalid("a storage is not described as such")
    if view and view[0] is not None:
        raise invalid("a storage is a part of another, which is not read")
    name = "" if class_.key == ("torch.storage", "UntypedStorage") else STORAGES.get(class_.name)
    if name is None or class_.module not in ("torch", "torch.cuda", "torch.storage"):
        raise invalid(f"there is no kind of storage {class_.name[:64]!r}")
    return _Storage(key, name, count)


def _dtype(value: Value) -> tuple[str, int]:
    if not isinstance(value, Reference) or value.module != "torch" or value.name not in DTYPES:
        raise invalid("a tensor has a type that is not known")
    return DTYPES[value.name]


def checked_sizes(value: Value) -> tuple[int, ...]:
    """The numbers of a shape or of strides.

    Raises:
        InvalidModelFile: they are none, or overflow.
    """
    if isinstance(value, Call) and value.key == ("torch", "Size") and value.arguments:
        value = value.arguments[0]
    if not isinstance(value, tuple | list) or len(value) > _MAX_RANK or not all(map(_is_size, value)):
        raise invalid("a tensor's shape or strides are no sizes")
    return tuple(value)


def checked_shape(value: Value) -> tuple[int, ...]:
    """See checked_sizes, for a shape, whose elements must be countable as well."""
    shape = checked_sizes(value)
    if math.prod(shape) > MAX_INT64 // 16:
        raise invalid("a tensor's shape overflows")
    return shape


def _is_size(value: Value) -> bool:
    return type(value) is int and 0 <= value <= MAX_INT64


def is_contiguous(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements lie one after the other, the last dimension's nearest."""
    if not math.prod(shape):
        return True
    expected = 1
    for length, step in zip(reversed(shape), reversed(strides), strict=True):
        if length != 1 and step != expected:
            return False
        expected *= length
    return True
