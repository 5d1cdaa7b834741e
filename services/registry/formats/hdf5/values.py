"""Reads types, shapes and texts (specification, IV.A.2): of datasets where they lie, of attributes what they say."""

import math
import struct
from typing import NamedTuple

from services.registry.formats.facts import MAX_INT64
from services.registry.formats.hdf5.source import UNDEFINED, BadHdf5, Cursor, Source

MAX_TEXT_BYTES = 16 * 2**20
_MAX_TEXTS = 100_000
_FIXED, _FLOAT, _STRING, _COMPOUND, _ENUM, _VARIABLE = 0, 1, 3, 6, 8, 9
_REFERENCE = struct.Struct("<IQI")  # length, address of the collection, index in it
_FLOATS = {2: "FP16", 4: "FP32", 8: "FP64"}
_BFLOAT_EXPONENT_BITS = 8


class Type(NamedTuple):
    """A datatype message: its name in Open Inference Protocol notation, empty for none that has one; the bytes of an
    element; whether these are as most machines have them; whether it is a text, and whether that lies in a heap."""

    name: str
    size: int
    little_endian: bool = True
    text: bool = False
    in_heap: bool = False


def read_type(content: bytes) -> Type:
    """The type in a datatype message.

    Raises:
        BadHdf5: it is cut off.
    """
    cursor = Cursor(content)
    first, bits, size = cursor.number(1), cursor.number(3), cursor.number(4)
    kind, little = first & 0x0F, not bits & 1
    if kind == _FIXED:
        name = f"{'INT' if bits & 8 else 'UINT'}{8 * size}" if size in (1, 2, 4, 8) else ""
        return Type(name, size, little)
    if kind == _FLOAT:
        cursor.bytes(5)  # bit offset, precision, where the exponent is
        exponent_bits = cursor.number(1)
        name = "BF16" if size == 2 and exponent_bits == _BFLOAT_EXPONENT_BITS else _FLOATS.get(size, "")
        return Type(name, size, little)
    if kind == _ENUM and size == 1 and b"FALSE\0" in content and b"TRUE\0" in content:
        return Type("BOOL", size)
    if kind == _STRING:
        return Type("BYTES", size, text=True)
    if kind == _VARIABLE and bits & 0x0F == 1 and size == _REFERENCE.size:
        return Type("BYTES", size, text=True, in_heap=True)
    if kind == _COMPOUND and size in (8, 16):
        return Type("COMPLEX64" if size == 8 else "COMPLEX128", size) if _is_complex(content) else Type("", size)
    return Type("", size)


def _is_complex(content: bytes) -> bool:
    """Whether it has two members, r and i, as h5py writes complex numbers."""
    return int.from_bytes(content[1:3], "little") == 2 and content[8:10] == b"r\0" and b"i\0" in content[10:]


def read_shape(content: bytes) -> tuple[int, ...] | None:
    """The shape in a dataspace message; None for one that holds nothing.

    Raises:
        BadHdf5
    """
    cursor = Cursor(content)
    version, rank, _ = (cursor.number(1) for _ in range(3))
    kind = cursor.number(1)
    if version == 1:
        cursor.bytes(4)
    elif version != 2:
        raise BadHdf5("a dataspace is of no known version")
    if version == 2 and kind == 2:
        return None
    shape = tuple(cursor.number(8) for _ in range(rank))
    if rank > 64 or math.prod(shape) > MAX_INT64 // 128:
        raise BadHdf5("a shape has too many dimensions, or overflows")
    return shape


class Layout(NamedTuple):
    """Where the bytes of a dataset are: ``begin`` is -1 where not in one piece; ``elsewhere`` if in other datasets."""

    begin: int
    size: int
    elsewhere: bool = False


def read_layout(content: bytes) -> Layout:
    """What a data layout message says.

    Raises:
        BadHdf5
    """
    cursor = Cursor(content)
    version, second = cursor.number(1), cursor.number(1)
    if version in (1, 2):
        kind = cursor.number(1)
        cursor.bytes(5)
        return Layout(cursor.number(8) if kind == 1 else -1, -1)
    if version not in (3, 4, 5):
        raise BadHdf5("a data layout is of no known version")
    if second == 1:
        begin, size = cursor.number(8), cursor.number(8)
        return Layout(-1 if begin == UNDEFINED else begin, size)
    return Layout(-1, -1, elsewhere=second == 3)


class Attribute(NamedTuple):
    """An attribute: its name and its texts, None where it is of another type."""

    name: str
    texts: list[str] | None


def read_attribute(source: Source, heaps: "Heaps", content: bytes) -> Attribute:
    """What an attribute message says.

    Raises:
        BadHdf5
    """
    cursor = Cursor(content)
    version, flags = cursor.number(1), cursor.number(1)
    if version not in (1, 2, 3):
        raise BadHdf5("an attribute is of no known version")
    sizes = [cursor.number(2) for _ in range(3)]
    if version == 3:
        cursor.bytes(1)
    parts = []
    for size in sizes:
        parts.append(cursor.bytes(size))
        cursor.bytes(min(-size % 8, cursor.left) if version == 1 else 0)
    name = _text(parts[0].split(b"\0", 1)[0])
    if version > 1 and flags & 3:  # its type or its dataspace lies elsewhere
        return Attribute(name, None)
    type_, shape = read_type(parts[1]), read_shape(parts[2])
    if not type_.text:
        return Attribute(name, None)
    count = 0 if shape is None else math.prod(shape)
    if count > _MAX_TEXTS or type_.size * count > cursor.left:
        raise BadHdf5(f"the attribute {name[:64]!r} has more texts than it has bytes, or than are read")
    raw = [cursor.bytes(type_.size) for _ in range(count)]
    return Attribute(name, [_text(heaps.get(source, each) if type_.in_heap else each.rstrip(b"\0 ")) for each in raw])


class Heaps:
    """The collections of texts whose length varies (specification, III.E), each read once."""

    def __init__(self) -> None:
        self._places: dict[int, dict[int, tuple[int, int]]] = {}
        self._text_bytes_left = MAX_TEXT_BYTES

    def get(self, source: Source, reference: bytes) -> bytes:
        """The text that an attribute refers to: its length, the address of the collection, its index there.

        Raises:
            BadHdf5
        """
        length, address, index = _REFERENCE.unpack(reference)
        if not length or not address:
            return b""
        places = self._places.get(address)
        if places is None:
            places = self._places[address] = self._collection(source, address)
        begin, size = places.get(index, (0, -1))
        self._text_bytes_left -= length
        if length > size or self._text_bytes_left < 0:
            raise BadHdf5(f"a text is not where it should be, or there are more than {MAX_TEXT_BYTES} bytes of them")
        return source.read(begin, length).rstrip(b"\0")

    def _collection(self, source: Source, address: int) -> dict[int, tuple[int, int]]:
        signature, version, size = struct.unpack("<4sBxxxQ", source.read(address, 16))
        if signature != b"GCOL" or version != 1 or address + size > source.size:
            raise BadHdf5("a collection of texts is not where it should be")
        places: dict[int, tuple[int, int]] = {}
        position, end = address + 16, address + size
        while position + 16 <= end:
            index, _, object_size = struct.unpack("<HHxxxxQ", source.read(position, 16))
            position += 16
            if not index or position + object_size > end:
                break
            places[index] = position, object_size
            position += -(-object_size // 8) * 8
        return places


def _text(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise BadHdf5("a text is not UTF-8") from error
    if "\0" in text:
        raise BadHdf5("a text contains NUL")
    return text
