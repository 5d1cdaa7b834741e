"""Reads the head of a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md); not its weights.

4 bytes   GGUF
u32       version: 2 and 3 differ in nothing but the byte order that 3 allows
u64, u64  how many tensors and how many pairs
pairs     key, type, value
tensors   name, dimensions (innermost first), type, offset of the data from where all data begin
padding   to general.alignment; then the data, each tensor's padded alike
"""

import math
import struct
from typing import NamedTuple

from services.registry.formats.content import Content
from services.registry.formats.facts import MAX_INT64, MAX_TENSORS, FileFacts, Format, InvalidModelFile, Tensor
from services.registry.formats.gguf.cursor import Broken, Cursor
from services.registry.formats.gguf.types import TYPES

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_PAIRS = 10_000
_MAX_ELEMENTS = 10_000_000  # of arrays of texts, each of which has to be gone past
_MAX_KEY, _MAX_NAME, _MAX_TEXT, _MAX_RANK = 1024, 1024, 2**17, 4
_MAX_PROPERTIES, _MAX_PROPERTY = 400, 4096
_MAX_ALIGNMENT = 2**20
_BOOL, _TEXT, _ARRAY = 7, 8, 9
_NUMBERS = {
    number: struct.Struct(f"<{code}")
    for number, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}


class _Info(NamedTuple):
    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def fits(content: Content) -> bool:
    """Whether it begins with the four letters."""
    return content.size >= len(_MAGIC) and content.read(0, len(_MAGIC)) == _MAGIC


def read(content: Content) -> FileFacts:
    """The pairs, of arrays only how many elements they have; and the tensors with their places.

    Raises:
        InvalidModelFile: the head breaks a rule, or is of a version or byte order that is not read.
    """
    cursor = Cursor(content, len(_MAGIC))
    try:
        tensor_count, pair_count = _counts(cursor)
        pairs = _pairs(cursor, pair_count)
        infos = [_info(cursor) for _ in range(tensor_count)]
        alignment = _alignment(pairs)
        tensors = _placed(infos, _padded(cursor.position, alignment), alignment, content.size)
    except Broken as error:
        raise InvalidModelFile(f"Not a valid GGUF file: {error}.", format="gguf") from error
    if "split.count" in pairs and "split.no" in pairs and pairs["split.count"] not in ("0", "1"):
        pairs["split"] = f"part {pairs['split.no']}, from 0, of {pairs['split.count']}"
    return FileFacts(
        Format.GGUF,
        tensors=sorted(tensors),
        properties={key[:255]: text[:_MAX_PROPERTY] for key, text in list(pairs.items())[:_MAX_PROPERTIES]},
        architecture=pairs.get("general.architecture", "")[:255],
    )


def _counts(cursor: Cursor) -> tuple[int, int]:
    version = cursor.u32()
    if version not in _VERSIONS:
        if int.from_bytes(version.to_bytes(4, "little"), "big") in (1, *_VERSIONS):
            raise Broken("its byte order is big-endian, which is not read")
        raise Broken(f"it is of version {version}; 2 and 3 are read")
    tensor_count, pair_count = cursor.u64(), cursor.u64()
    if tensor_count > MAX_TENSORS or pair_count > _MAX_PAIRS:
        raise Broken(f"it has {tensor_count} tensors and {pair_count} pairs; {MAX_TENSORS} and {_MAX_PAIRS} are read")
    return tensor_count, pair_count


def _pairs(cursor: Cursor, count: int) -> dict[str, str]:
    pairs: dict[str, str] = {}
    elements_left = _MAX_ELEMENTS
    for _ in range(count):
        key = cursor.text(_MAX_KEY)
        if key in pairs:
            raise Broken(f"{key[:64]!r} is there twice")
        kind = cursor.u32()
        if kind == _ARRAY:
            pairs[key], texts = _array(cursor, elements_left)
            elements_left -= texts
        elif kind == _TEXT:
            pairs[key] = cursor.text(_MAX_TEXT)[:_MAX_PROPERTY]
        elif kind in _NUMBERS:
            number = _NUMBERS[kind].unpack(cursor.take(_NUMBERS[kind].size))[0]
            pairs[key] = str(number).lower() if kind == _BOOL else f"{number:.7g}" if kind == 6 else str(number)
        else:
            raise Broken(f"{key[:64]!r} has the unknown type {kind}")
    return pairs


def _array(cursor: Cursor, most_texts: int) -> tuple[str, int]:
    """What is said of the array, and how many texts it has."""
    kind, count = cursor.u32(), cursor.u64()
    if kind == _TEXT:
        if count > most_texts:
            raise Broken(f"its arrays have more than {_MAX_ELEMENTS} texts")
        cursor.skip_texts(count)
        return f"{count} texts", count
    if kind not in _NUMBERS:
        raise Broken(f"an array is of the type {kind}, which is neither a number nor a text")
    cursor.skip(count * _NUMBERS[kind].size)
    return f"{count} numbers", 0


def _info(cursor: Cursor) -> _Info:
    name, rank = cursor.text(_MAX_NAME), cursor.u32()
    if rank > _MAX_RANK:
        raise Broken(f"tensor {name[:64]!r} has {rank} dimensions; {_MAX_RANK} are possible")
    shape = tuple(reversed([cursor.u64() for _ in range(rank)]))
    if math.prod(shape) > MAX_INT64 // 128:
        raise Broken(f"the shape of tensor {name[:64]!r} overflows")
    return _Info(name, shape, cursor.u32(), cursor.u64())


def _alignment(pairs: dict[str, str]) -> int:
    text = pairs.get("general.alignment", "32")
    alignment = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 0 < alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
        raise Broken(f"general.alignment is {text[:32]!r}, which is no power of two")
    return alignment


def _padded(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


def _placed(infos: list[_Info], data_begin: int, alignment: int, size: int) -> list[Tensor]:
    """The tensors with their places: one after the other, each padded. The format allows no other order."""
    if len({info.name for info in infos}) < len(infos):
        raise Broken("two tensors have the same name")
    tensors: list[Tensor] = []
    expected: int | None = 0
    for info in infos:
        if info.offset % alignment or expected not in (None, info.offset):
            raise Broken(f"tensor {info.name[:64]!r} has the offset {info.offset}, which is not where it comes")
        known = TYPES.get(info.kind)
        if known is None:  # of a later version: what can be said without its size is said
            tensors.append(Tensor(info.name, f"GGML_{info.kind}", info.shape))
            expected = None
            continue
        if info.shape and info.shape[-1] % known.block:
            raise Broken(
                f"tensor {info.name[:64]!r} has rows that are no multiple of {known.block}, as {known.datatype} needs"
            )
        begin = data_begin + info.offset
        end = begin + math.prod(info.shape) // known.block * known.block_bytes
        if end > size:
            raise Broken(f"tensor {info.name[:64]!r} would end at byte {end} of {size}")
        tensors.append(Tensor(info.name, known.datatype, info.shape, begin, end))
        expected = _padded(info.offset + end - begin, alignment)
    return tensors
