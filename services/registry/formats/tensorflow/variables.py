"""Reads the index of TensorFlow's variables, ``variables.index`` (tensorflow/core/protobuf/tensor_bundle.proto): names,
types and shapes, and where each lies in which of the data files, which are not looked at.
"""

import math
from typing import NamedTuple

from services.registry.formats.content import Content, MemoryContent
from services.registry.formats.facts import (
    MAX_INT64,
    MAX_TENSORS,
    ExternalData,
    FileFacts,
    Format,
    InvalidModelFile,
    Tensor,
)
from services.registry.formats.tensorflow import sstable
from services.registry.formats.tensorflow.types import TYPES, datatype, shape
from services.registry.formats.wire import Malformed, Reader, Span, signed

_MAX_SHARDS = 10_000
_MAX_NAME = 1024
_OBJECT_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
_ATTRIBUTE = "/.ATTRIBUTES/VARIABLE_VALUE"  # how the names of all variables end that belong to an object
_PART = 0  # the first byte of keys under which parts of a variable lie


class _Entry(NamedTuple):
    """A BundleEntryProto."""

    type: int
    shape: tuple[int, ...]
    shard: int
    begin: int
    size: int
    in_parts: bool


def fits(content: Content) -> bool:
    """Whether the content ends as a LevelDB table does."""
    return sstable.ends_like_it(content)


def read(content: Content) -> FileFacts:
    """The variables by name. What they take from data files is told by how the names of these end,
    ``.data-00000-of-00002``; they begin as the index's own name does, up to ``.index``.

    Raises:
        InvalidModelFile
    """
    tensors: list[Tensor] = []
    ends: list[int] | None = None
    properties: dict[str, str] = {}
    try:
        for key, value in sstable.entries(content):
            if ends is None:
                if key:
                    return FileFacts()  # a table of LevelDB's, but none of TensorFlow's
                shards, properties = _header(value)
                ends = [0] * shards
                continue
            entry = _entry(value)
            _check(entry, ends)
            if key != _OBJECT_GRAPH and key[0] != _PART:
                tensors.append(Tensor(_name(key), datatype(entry.type), entry.shape))
            if len(tensors) > MAX_TENSORS:
                raise Malformed(f"it has more than {MAX_TENSORS} variables")
    except (sstable.BadTable, Malformed) as error:
        raise _invalid(str(error)) from error
    if ends is None:
        raise _invalid("it is empty")
    external = [ExternalData(f".data-{shard:05d}-of-{len(ends):05d}", end) for shard, end in enumerate(ends)]
    return FileFacts(
        Format.TENSORFLOW_VARIABLES,
        tensors=tensors,
        properties=properties,
        external=external,
        framework="tensorflow",
    )


def _header(value: bytes) -> tuple[int, dict[str, str]]:
    """In how many files the data is, and what else a BundleHeaderProto says."""
    reader = Reader(MemoryContent(value))
    fields = dict(reader.fields(reader.whole()))
    shards = fields.get(1)
    if not isinstance(shards, int) or not 0 < shards <= _MAX_SHARDS:
        raise Malformed(f"its data would be in no file, or in more than {_MAX_SHARDS}")
    return shards, {"shards": str(shards), "endianness": "big" if fields.get(2) == 1 else "little"}


def _entry(value: bytes) -> _Entry:
    reader = Reader(MemoryContent(value))
    fields = dict(reader.fields(reader.whole()))
    type_, shard, begin, size = (
        field if isinstance(field := fields.get(number), int) else 0 for number in (1, 3, 4, 5)
    )
    dims = fields.get(2)
    return _Entry(
        type_,
        shape(reader, dims) if isinstance(dims, Span) else (),
        signed(shard),
        signed(begin),
        signed(size),
        in_parts=7 in fields,
    )


def _check(entry: _Entry, ends: list[int]) -> None:
    """Go on if the variable lies in a file that there is and is as long as its shape says; note how far it reaches."""
    if not 0 <= entry.shard < len(ends) or min(entry.begin, entry.size, *entry.shape, 0) < 0:
        raise Malformed("a variable lies in a file that there is not, or its place or shape is negative")
    if entry.begin + entry.size > MAX_INT64:
        raise Malformed("the place of a variable overflows")
    element_bytes = TYPES.get(entry.type, ("", 0))[1]
    wanted = math.prod(entry.shape) * element_bytes
    if element_bytes and not entry.in_parts and entry.size != wanted:
        raise Malformed(f"a variable has {entry.size} bytes where its shape needs {wanted}")
    ends[entry.shard] = max(ends[entry.shard], entry.begin + entry.size)


def _name(key: bytes) -> str:
    try:
        name = key.decode()
    except UnicodeDecodeError as error:
        raise Malformed("a name is not UTF-8") from error
    if len(name) > _MAX_NAME or "\0" in name:
        raise Malformed(f"a name may have at most {_MAX_NAME} characters, and no NUL")
    return name.removesuffix(_ATTRIBUTE)


def _invalid(what: str) -> InvalidModelFile:
    return InvalidModelFile(f"Not a valid index of TensorFlow variables: {what}.", format="tensorflow_variables")
