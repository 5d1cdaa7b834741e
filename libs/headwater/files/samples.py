"""Samples of WebDataset archives: consecutive members whose names are the same up to the first dot of the last part.

    000017.jpg, 000017.cls, 000017.caption.txt  ->  __key__ "000017", jpg, cls and caption

The last part of an extension says how a member is read: txt is a text; cls a number; json a value; anything else bytes.
"""

import json
import re
from typing import Any

import pyarrow as pa

KEY = "__key__"
TEXTS = frozenset({"txt", "text", "transcript"})
NUMBERS = frozenset({"cls", "cls2", "class", "count", "index", "inx", "id"})
JSON = frozenset({"json", "jsn"})
_NUMBER = re.compile(r"\s*([+-]?\d{1,19})\s*", re.ASCII)


def split_name(name: str) -> tuple[str, str]:
    """The key and the extension, in lower case, of a member; without a dot there is no extension."""
    folder, slash, file = name.rpartition("/")
    stem, _, extension = file.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def column_of(extension: str) -> str:
    """The column that members of this extension are in: ``caption.txt`` is ``caption``, ``txt`` is ``txt``."""
    column, dot, how = extension.rpartition(".")
    return column if dot and how.lower() in TEXTS | NUMBERS | JSON else extension


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
    how = extension.rpartition(".")[2].lower()
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


def extension_for(column: str, kind: Any) -> str:
    """The extension under which a column is written, so that it is read as the same column again."""
    written = _encoding(kind)
    own = column.rpartition(".")[2].lower()
    if column_of(column) != column or (written is None and own in TEXTS | NUMBERS | JSON):
        raise ValueError(f"a column of the name {column} would be read as another one")
    same = {"txt": TEXTS, "cls": NUMBERS, "json": JSON}
    return column if written is None or own in same[written] else f"{column}.{written}"


def _encoding(kind: Any) -> str | None:
    """How values are written: as a text, a number, JSON, or None for bytes."""
    types = pa.types
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return None
    if types.is_string(kind) or types.is_large_string(kind):
        return "txt"
    return "cls" if kind.equals(pa.int64()) else "json"
