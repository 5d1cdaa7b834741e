"""Parses the header of a safetensors file as all its writers write it, at once: as fast as the reference's reader.

Here nothing is refused: what is not written as usual, or breaks a rule, is left to the parser that looks at one entry
after the other and says what is wrong.
"""

import functools
import itertools
import math
import re
from collections.abc import Sequence

from services.registry.formats.facts import MAX_TENSORS, InvalidModelFile, Tensor
from services.registry.formats.safetensors.dtypes import TYPES
from services.registry.formats.safetensors.entries import MAX_NAME, MAX_RANK, METADATA, Parsed, first_value, metadata

_BEGINNING = '{"' + METADATA + '":'
_MAX_METADATA = 2**18  # characters, fewer than may be there
# Name, what describes it, and offsets; whether these are what they should be is seen for all at once.
_ENTRY = re.compile(
    rf'"([^"\\\x00-\x1f]{{1,{MAX_NAME}}})":{{"dtype":"([A-Z0-9_]+","shape":\[[0-9,]*)\],"data_offsets":\[([0-9,]+)\]}}'
    r'(?:,(?=")|} *\Z)'
)
_AROUND = len('"":{"dtype":"],"data_offsets":[]},')
_SIZE = "(?:0|[1-9][0-9]{0,17})"
_DESCRIPTION = re.compile(rf'([A-Z0-9_]+)","shape":\[((?:{_SIZE}(?:,{_SIZE}){{0,{MAX_RANK - 1}}})?)')
_new_tensor = functools.partial(tuple.__new__, Tensor)  # what Tensor._make does, in a third of the time


def parse_usual(header: str, data_begin: int, size: int) -> Parsed | None:
    """As :func:`~services.registry.formats.safetensors.entries.parse`; nothing if the header is unusual in any way."""
    position, properties = 1, {}
    if header.startswith(_BEGINNING):
        try:
            value, length = first_value(header[len(_BEGINNING) : len(_BEGINNING) + _MAX_METADATA])
            properties = metadata(value)
        except (InvalidModelFile, ValueError, RecursionError):
            return None
        position = len(_BEGINNING) + length
        if not header.startswith(",", position):
            return None
        position += 1
    if not header.startswith("{") or header.count('"dtype"', position) > MAX_TENSORS:
        return None
    found = _ENTRY.findall(header, position)
    if not found:
        return None
    names, descriptions, offsets = zip(*found, strict=True)
    # Every character is one of an entry, so that there is nothing between or behind them.
    length = sum(len("".join(column)) for column in (names, descriptions, offsets)) + _AROUND * len(found)
    if length != len(header.rstrip(" ")) - position or len(set(names)) < len(names) or METADATA in names:
        return None
    tensors = _tensors(names, descriptions, offsets, data_begin, size)
    return None if tensors is None else Parsed(tensors, properties)


def _tensors(
    names: Sequence[str], descriptions: Sequence[str], offsets: Sequence[str], data_begin: int, size: int
) -> list[Tensor] | None:
    """The tensors, if their descriptions hold and their bytes fill the file in this order."""
    described = {}
    for text in set(descriptions):
        match = _DESCRIPTION.fullmatch(text)
        if match is None or match[1] not in TYPES:
            return None
        shape = tuple(map(int, match[2].split(","))) if match[2] else ()
        bits, datatype = TYPES[match[1]]
        size_bits = math.prod(shape) * bits
        if size_bits % 8 or size_bits // 8 > size:
            return None
        described[text] = datatype, shape, size_bits // 8
    datatypes, shapes, sizes = zip(*map(described.__getitem__, descriptions), strict=True)
    places = list(map(str, itertools.accumulate(sizes, initial=0)))
    if list(offsets) != list(map(",".join, itertools.pairwise(places))):
        return None
    begins = list(itertools.accumulate(sizes, initial=data_begin))
    if begins[-1] != size:
        return None
    return list(map(_new_tensor, zip(names, datatypes, shapes, begins, begins[1:], strict=False)))
