"""Rows as a WebDataset archive: for each row a sample, for each value that is not null a member of it.

The archive is what the ``webdataset`` package reads, and SampleReader reads it back into the same columns: a text is
written as ``column.txt``, an int64 as ``column.cls``, bytes as ``column`` or, where they are an image, ``column.png``,
and anything else as ``column.json``. The sample's name is the row's ``__key__``, else its number.
"""

import io
import tarfile
from typing import IO, Any

import pyarrow as pa

from headwater.files import samples
from headwater.files.errors import SourceUnsupported
from headwater.files.json_text import json_schema, json_text

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF8", "gif"),
    (b"II*\0", "tif"),
    (b"MM\0*", "tif"),
)


class SampleWriter:
    """Writes one archive."""

    def __init__(self, sink: IO[bytes], schema: pa.Schema, first_row: int = 0) -> None:
        """``first_row`` is the number of the first row, which names it where there is no ``__key__``.

        Raises:
            SourceUnsupported: naming a column whose name or type an archive cannot hold.
        """
        self._tar = tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._row = first_row
        self._keys: set[int] = set()
        self._columns = [field.name for field in schema if field.name != samples.KEY]
        self._has_key = samples.KEY in schema.names
        self._extensions = {name: _extension(schema.field(name)) for name in self._columns}
        self._schema = pa.schema([_written(field, self._extensions.get(field.name, "")) for field in schema])

    def write_batch(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        for row in rows.cast(self._schema).to_pylist():
            key = self._checked_key(row[samples.KEY]) if self._has_key else f"{self._row:09}"
            members = [(name, row[name]) for name in self._columns if row[name] is not None]
            if not members:
                raise SourceUnsupported(
                    f"Row {self._row} has only nulls; an archive has no member for it.", row=self._row
                )
            for name, value in members:
                self._add(key, name, value)
            self._row += 1

    def close(self) -> None:
        """Write the archive's end."""
        self._tar.close()

    def _add(self, key: str, name: str, value: Any) -> None:
        extension = self._extensions[name]
        if isinstance(value, bytes):
            content = value
            if extension not in samples.IMAGES and (image := _image(value)):
                extension = f"{extension}.{image}"
        elif extension.rpartition(".")[2] in samples.JSON:
            content = json_text(value).encode()
        else:
            content = str(value).encode()
        member = tarfile.TarInfo(f"{key}.{extension}")
        member.size, member.mode = len(content), 0o644
        self._tar.addfile(member, io.BytesIO(content))

    def _checked_key(self, key: str | None) -> str:
        folders, _, name = (key or "").rpartition("/")
        odd = not name or "." in name or "\\" in name or "\0" in name or {"", "."} & set(folders.split("/")[1:])
        if key is None or odd or key.startswith(("/", "./")) or ".." in folders.split("/"):
            raise SourceUnsupported(
                f"Row {self._row} has the __key__ {key!r}, which no member can have.", row=self._row
            )
        # A second sample of this name would be none, to us as to the webdataset package.
        if (hashed := samples.key_hash(key.encode())) in self._keys:
            raise SourceUnsupported(
                f"Row {self._row} has the __key__ {key!r}, which a row before it has in the same archive.",
                row=self._row,
                key=key,
            )
        self._keys.add(hashed)
        return key


def _extension(field: pa.Field) -> str:
    name = field.name
    how = _how(field.type)
    if "/" in name or "\\" in name or name.startswith(".") or name != name.lower() or samples.column_of(name) != name:
        raise SourceUnsupported(f"Column {name} would have another name in an archive.", column=name)
    said = {"txt": samples.TEXTS, "cls": samples.NUMBERS, "json": samples.JSON, "": frozenset({name})}
    others = samples.TEXTS | samples.NUMBERS | samples.JSON
    if how == "" and name in others:
        raise SourceUnsupported(f"Column {name} holds bytes, which an archive would not under this name.", column=name)
    return name if name in said[how] else f"{name}.{how}"


def _how(kind: Any) -> str:
    """How values are written: as a text, a number, JSON, or bytes."""
    types = pa.types
    if types.is_dictionary(kind):
        return _how(kind.value_type)
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return ""
    if types.is_string(kind) or types.is_large_string(kind):
        return "txt"
    return "cls" if kind.equals(pa.int64()) else "json"


def _written(field: pa.Field, extension: str) -> pa.Field:
    """What the column is cast to."""
    if extension.rpartition(".")[2] in samples.JSON:
        return json_schema(pa.schema([field])).field(0)
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _image(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "webp"
    return next((name for magic, name in _IMAGES if content.startswith(magic)), "")
