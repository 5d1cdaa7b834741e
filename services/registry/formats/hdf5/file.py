"""Reads an HDF5 file (https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html): its datasets with their
types, shapes and places, and the texts in its attributes.

Of what the format can do, links to other files and data in them are told as problems: whoever loads such a model reads
whichever file of his machine it names. The library h5py would follow them; and neither it nor pyfive bounds what it
builds of a few bytes, which is why the format is read here.
"""

import dataclasses
import math
import struct
from collections.abc import Mapping

from services.registry.formats.content import Content
from services.registry.formats.facts import MAX_TENSORS, Tensor
from services.registry.formats.hdf5.links import read_links
from services.registry.formats.hdf5.objects import Kind, Message, read_messages
from services.registry.formats.hdf5.source import UNDEFINED, BadHdf5, Source
from services.registry.formats.hdf5.values import Heaps, Type, read_attribute, read_layout, read_shape, read_type

MAGIC = b"\x89HDF\r\n\x1a\n"
_MAX_OBJECTS = 300_000
_MAX_DEPTH = 64
_MAX_PATH = 1024
_MAX_PROBLEMS = 1000


@dataclasses.dataclass(slots=True)
class Hdf5:
    """What a file holds: datasets by path in its order, texts of attributes by path of the object (empty for the file's
    own) and name, and what of it lies elsewhere or could not be read."""

    tensors: list[Tensor] = dataclasses.field(default_factory=list)
    attributes: dict[str, Mapping[str, list[str] | None]] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)

    def note(self, problem: str) -> None:
        """Note what makes the file unsafe."""
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)


def begins_like_it(content: Content) -> bool:
    """Whether the content begins as HDF5 does."""
    return content.size >= len(MAGIC) and bytes(content.read(0, len(MAGIC))) == MAGIC


def read_file(content: Content) -> Hdf5:
    """What the file holds.

    Raises:
        BadHdf5
    """
    source, found, heaps = Source(content), Hdf5(), Heaps()
    waiting, seen = [("", _root(source), 0)], set[int]()
    while waiting:
        path, address, depth = waiting.pop()
        if address in seen:
            continue  # it has two names
        seen.add(address)
        if len(seen) > _MAX_OBJECTS or depth > _MAX_DEPTH or len(path) > _MAX_PATH:
            raise BadHdf5("it has too many objects, or they nest too deep")
        messages = read_messages(source, address)
        _note_attributes(source, heaps, messages, path, found)
        kinds = {message.kind for message in messages}
        if {Kind.DATASPACE, Kind.LAYOUT} <= kinds:
            _note_dataset(source, messages, path, found)
            continue
        links = read_links(source, messages)
        if links.unread:
            found.note(f"{path or 'the file'} keeps its links in a form that is not read: nothing is known of them")
        for name in links.external:
            found.note(f"{_join(path, name)} lies in another file")
        waiting += [(_join(path, name), child, depth + 1) for name, child in reversed(links.objects.items())]
        if len(waiting) > _MAX_OBJECTS:
            raise BadHdf5(f"it has more than {_MAX_OBJECTS} objects")
    return found


def _root(source: Source) -> int:
    """The address of the file's own group (specification, II.A)."""
    version = source.read(len(MAGIC), 1)[0]
    if version in (0, 1):
        sizes, base_at = source.read(13, 2), 24 if version == 0 else 28
        base, _, end, _, _, root = _numbers(source, base_at, 6)
    elif version in (2, 3):
        sizes = source.read(9, 2)
        base, _, end, root = _numbers(source, 12, 4)
    else:
        raise BadHdf5("it is of no known version")
    if sizes != b"\x08\x08" or base:
        raise BadHdf5("its addresses have not 8 bytes, or do not begin with the file")
    if end > source.size:
        raise BadHdf5(f"it is cut off: it would have {end} bytes")
    return root


def _numbers(source: Source, begin: int, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}Q", source.read(begin, 8 * count))


def _note_attributes(source: Source, heaps: Heaps, messages: list[Message], path: str, found: Hdf5) -> None:
    attributes: dict[str, list[str] | None] = {}
    for message in messages:
        dense = message.kind == Kind.ATTRIBUTE_INFO and _is_dense(message.content)
        if dense or (message.shared and message.kind in (Kind.ATTRIBUTE, Kind.ATTRIBUTE_INFO)):
            found.note(
                f"{path or 'the file'} keeps its attributes in a form that is not read: nothing is known of them"
            )
        elif message.kind == Kind.ATTRIBUTE:
            name, texts = read_attribute(source, heaps, message.content)
            if name in attributes:
                raise BadHdf5(f"the attribute {name[:64]!r} is there twice")
            attributes[name] = texts
    if attributes:
        found.attributes[path] = attributes


def _is_dense(content: bytes) -> bool:
    """Whether an attribute info message says that there are attributes in a heap of their own."""
    begin = 2 + (2 if content[1:2] and content[1] & 1 else 0)
    return int.from_bytes(content[begin : begin + 8], "little") != UNDEFINED


def _note_dataset(source: Source, messages: list[Message], path: str, found: Hdf5) -> None:
    parts = {message.kind: message for message in messages if message.kind != Kind.ATTRIBUTE}
    if Kind.EXTERNAL_FILES in parts:
        found.note(f"{path} takes its data from another file")
    type_message = parts.get(Kind.DATATYPE)
    shared = type_message is None or type_message.shared  # a type with a name of its own lies elsewhere
    type_ = Type("", 0) if shared or type_message is None else read_type(type_message.content)
    shape, layout = read_shape(parts[Kind.DATASPACE].content), read_layout(parts[Kind.LAYOUT].content)
    if layout.elsewhere:
        found.note(f"{path} takes its data from other datasets, maybe of other files")
    if shape is None:
        return
    begin, end = -1, -1
    plain = layout.begin >= 0 and type_.little_endian and type_.name not in ("", "BYTES")
    if plain and Kind.EXTERNAL_FILES not in parts:
        begin, end = layout.begin, layout.begin + math.prod(shape) * type_.size
        if end > source.size or layout.size not in (-1, end - begin):
            raise BadHdf5(f"{path[:255]} has not the bytes that its shape needs")
    said = (found.attributes.get(path, {}).get("dtype") or [""])[:1]
    name = "BF16" if said == ["bfloat16"] and type_.name == "UINT16" else type_.name  # as Keras writes it
    found.tensors.append(Tensor(path, name, shape, begin, end))
    if len(found.tensors) > MAX_TENSORS:
        raise BadHdf5(f"it has more than {MAX_TENSORS} datasets")


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
