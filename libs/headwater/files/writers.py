"""The file formats that rows are written to."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from headwater.files.errors import SourceUnsupported
from headwater.files.json_text import json_schema, json_texts
from headwater.files.sample_writer import SampleWriter


class Writer(Protocol):
    """Writes one file."""

    def write_batch(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        ...

    def close(self) -> None:
        """Write what comes after the last row."""
        ...


class JsonLinesWriter:
    """One JSON object a line."""

    def __init__(self, sink: IO[bytes], schema: pa.Schema) -> None:
        self._sink = sink
        self._schema = json_schema(schema)

    def write_batch(self, rows: pa.RecordBatch) -> None:
        """See Writer."""
        self._sink.write("".join(f"{text}\n" for text in json_texts(rows, self._schema)).encode())

    def close(self) -> None:
        """Nothing comes after the last row."""


_Make = Callable[[IO[bytes], pa.Schema], Writer]


def _parquet(sink: IO[bytes], schema: pa.Schema) -> Writer:
    written: Writer = pa.parquet.ParquetWriter(sink, schema, compression="zstd")
    return written


def _naming(file_format: str, make: _Make) -> Callable[[IO[bytes], pa.Schema, int], Writer]:
    """What makes a writer, and names the column that the format cannot hold: Arrow says its type alone."""

    def made(sink: IO[bytes], schema: pa.Schema, _: int) -> Writer:
        try:
            return make(sink, schema)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            for field in schema:
                if not _holds(make, field):
                    raise SourceUnsupported(
                        f"Column {field.name} is {field.type}, which {file_format} cannot hold.", column=field.name
                    ) from error
            raise

    return made


def _holds(make: _Make, field: pa.Field) -> bool:
    try:
        make(io.BytesIO(), pa.schema([field])).close()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


_WRITERS: Mapping[str, Callable[[IO[bytes], pa.Schema, int], Writer]] = {
    ".parquet": _naming("Parquet", _parquet),
    ".arrow": lambda sink, schema, _: pa.ipc.new_file(sink, schema),
    ".csv": _naming("CSV", pa.csv.CSVWriter),
    ".jsonl": lambda sink, schema, _: JsonLinesWriter(sink, schema),
    ".tar": SampleWriter,
}
EXTENSIONS = tuple(_WRITERS)
"""What the files end in."""

FOOTER_BYTES: Mapping[str, int] = {".parquet": 400, ".arrow": 64}
"""What a batch adds to the end of a file for each column, about; nothing in the other formats."""
VALUE_BYTES: Mapping[str, int] = {".csv": 24, ".jsonl": 64, ".tar": 1536}
"""What a value takes beside its own bytes, at most about."""


@contextlib.contextmanager
def writer(extension: str, sink: IO[bytes], schema: pa.Schema, first_row: int = 0) -> Iterator[Writer]:
    """A writer of one of EXTENSIONS; the file is complete when the block is left without an error."""
    writer = _WRITERS[extension](sink, schema, first_row)
    try:
        yield writer
    except BaseException:
        with contextlib.suppress(pa.ArrowException, OSError, ValueError):
            writer.close()  # or it would do so later, when nobody can handle what happens then
        raise
    writer.close()
