"""JSON lines: one object a line, nested as deep as rows may be (https://jsonlines.org).

Types are told from the first 16 MiB, and everything after is checked against them: a value of another type, an unknown
field or a line that is no object is an error that names the line. Texts that look like times stay texts, unless the
types that are given say otherwise.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.json

from headwater.files.errors import SourceMalformed
from headwater.files.json_types import NoCommonType, parsed_type, schema_of
from headwater.files.opened import Opened
from headwater.files.walk import Found

_BLOCK_BYTES = 16 << 20
"""More than the largest row."""


@contextlib.contextmanager
def open_json_lines(file: Found, types: pa.Schema | None) -> Iterator[Opened]:
    """The file's objects; ``types`` are all columns that there may be."""
    with open(file.location, "rb") as stream:
        blocks = _blocks(stream, file.location)
        first_line, first = next(blocks, (1, b""))
        schema = types or _told(first, file.location)
        # The types that were told cannot all be null, or there would be nothing to read.
        parser = _Parser(file.location, schema)
        yield Opened(schema, parser.batches(_chained((first_line, first), blocks)))


class _Parser:
    """Turns blocks of lines into batches."""

    def __init__(self, location: str, schema: pa.Schema) -> None:
        self._location = location
        self._schema = schema
        self._parsed = pa.schema([field.with_type(parsed_type(field.type)) for field in schema])

    def batches(self, blocks: Iterable[tuple[int, bytes]]) -> Iterator[pa.RecordBatch]:
        for first_line, block in blocks:
            if block.strip():
                yield from self._block(first_line, block)

    def _block(self, first_line: int, block: bytes) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._table(block).to_batches()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
            raise self._located(first_line, block, error) from error

    def _table(self, block: bytes) -> pa.Table:
        block.decode()  # Arrow does not check that texts are UTF-8
        options = pa.json.ParseOptions(explicit_schema=self._parsed, unexpected_field_behavior="error")
        whole = pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1)
        table = pa.json.read_json(pa.BufferReader(block), read_options=whole, parse_options=options)
        return table.select(self._schema.names).cast(self._schema)

    def _located(self, first_line: int, block: bytes, error: Exception) -> SourceMalformed:
        """The same error with the first line that has it; Arrow does not say which line it is."""
        lines = block.split(b"\n")
        low, high = 0, len(lines)  # the lines before `low` are good, those before `high` are not
        while high - low > 1:
            middle = (low + high) // 2
            try:
                part = b"\n".join(lines[low:middle])
                if part.strip():
                    self._table(part)
                low = middle
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as found:
                high, error = middle, found
        line = first_line + low
        return _malformed(self._location, line, str(error).removeprefix("JSON parse error: ").split(" in row ")[0])


def _told(block: bytes, location: str) -> pa.Schema:
    """The types that the first lines have."""
    line = 0
    try:
        rows = []
        for line, text in enumerate(block.split(b"\n"), 1):  # noqa: B007  # the errors name it
            if text.strip():
                rows.append(_object(text))
        return schema_of(rows)
    except NoCommonType as error:
        raise SourceMalformed(f"{location} cannot be read as rows: {error}.", path=location) from error
    except (ValueError, RecursionError) as error:
        raise _malformed(location, line, str(error)) from error


def _object(text: bytes) -> dict[str, object]:
    value = json.loads(text.decode(), object_pairs_hook=_fields)
    if not isinstance(value, dict):
        raise ValueError("it must be an object")  # noqa: TRY004  # caught with what json raises
    return value


def _fields(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("an object has two fields of one name")
    return fields


def _blocks(stream: BinaryIO, location: str) -> Iterator[tuple[int, bytes]]:
    """Whole lines, about 16 MiB at a time, with the number of the first."""
    line, rest = 1, b""
    while read := stream.read(_BLOCK_BYTES):
        lines, newline, rest_of_read = read.rpartition(b"\n")
        if not newline:
            rest += rest_of_read
            if len(rest) > _BLOCK_BYTES:
                raise _malformed(location, line, "it is longer than a row can be")
            continue
        block, rest = rest + lines + newline, rest_of_read
        yield line, block
        line += block.count(b"\n")
    if rest:
        yield line, rest


def _chained(first: tuple[int, bytes], others: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    yield first
    yield from others


def _malformed(location: str, line: int, why: str) -> SourceMalformed:
    return SourceMalformed(f"{location}, line {line}: {why}.", path=location, line=line)
