"""Samples of WebDataset archives: consecutive members whose names are the same up to the first dot of the last part.

    000017.jpg, 000017.cls, 000017.caption.txt, 000017.mask.png  ->  __key__ "000017", jpg, cls, caption and mask

The last part of an extension says how a member is read: txt is a text; cls a number; json a value; anything else bytes,
of which those of images are named by their format.
"""

import hashlib
import json
import re
from typing import Any

import pyarrow as pa

KEY = "__key__"
TEXTS = frozenset({"txt", "text", "transcript"})
NUMBERS = frozenset({"cls", "cls2", "class", "count", "index", "inx", "id"})
JSON = frozenset({"json", "jsn"})
IMAGES = frozenset({"bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"})
_SAY_HOW = TEXTS | NUMBERS | JSON | IMAGES
_NUMBER = re.compile(r"\s*([+-]?\d{1,19})\s*", re.ASCII)


def split_name(name: str) -> tuple[str, str]:
    """The key and the extension, in lower case, of a member; without a dot there is no extension."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def key_hash(key: bytes) -> int:
    """64 bits that tell the samples of an archive apart: whatever has the same is taken for the same sample."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big")


def column_of(extension: str) -> str:
    """The column that members of this extension are in: ``caption.txt`` is ``caption``, ``txt`` is ``txt``."""
    column, dot, how = extension.rpartition(".")
    return column if dot and how in _SAY_HOW else extension


def type_of(extension: str) -> Any:
    """The type that members of this extension have; None for JSON, whose type its content says."""
    how = extension.rpartition(".")[2]
    if how in JSON:
        return None
    return pa.string() if how in TEXTS else pa.int64() if how in NUMBERS else pa.binary()


def decoded(extension: str, content: bytes) -> Any:
    """The member's value.

    Raises:
        ValueError: it is not what its extension says.
    """
    how = extension.rpartition(".")[2]
    if how in TEXTS:
        return content.decode()
    if how in NUMBERS:
        number = _NUMBER.fullmatch(content.decode())
        if number is None or not -(2**63) <= int(number[1]) < 2**63:
            raise ValueError(f"{content[:40]!r} is no whole number of 64 bits")
        return int(number[1])
    if how in JSON:
        try:
            return json.loads(content.decode())
        except RecursionError as error:
            raise ValueError("it is nested too deeply") from error
    return content
