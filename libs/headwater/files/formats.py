"""The file formats that hold tables, each as a function from a file to its schema and batches."""

import contextlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from headwater.files.json_lines import open_json_lines
from headwater.files.numpy_files import open_npy, open_npz
from headwater.files.opened import Opened, Opener
from headwater.files.walk import Found

_ROWS = 1 << 13
"""Rows taken at once from files that do not say how large their rows are."""
_CSV_BLOCK_BYTES = 16 << 20
"""More than the largest row; a CSV file's types are told from the first of these."""
_PARQUET_BATCH_BYTES = 2 << 20


@contextlib.contextmanager
def open_parquet(file: Found, _types: pa.Schema | None) -> Iterator[Opened]:
    """A Parquet file, read a part of a row group at a time."""
    with pa.parquet.ParquetFile(file.location, pre_buffer=False, buffer_size=1 << 20) as parquet:
        metadata = parquet.metadata
        size_bytes = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        rows = max(1, min(1 << 16, _PARQUET_BATCH_BYTES * metadata.num_rows // max(1, size_bytes)))

        def look(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
            # A dot leads into a struct there, and would leave out a column that has one in its name.
            wanted = None if any("." in name for name in columns) else list(columns)
            batches: Iterator[pa.RecordBatch] = parquet.iter_batches(1 << 16, columns=wanted)
            return batches

        yield Opened(parquet.schema_arrow, parquet.iter_batches(rows), look, max(0, size_bytes))


@contextlib.contextmanager
def open_csv(file: Found, types: pa.Schema | None) -> Iterator[Opened]:
    """A CSV file with a line of column names. Types that are not given are told from the first 16 MiB."""
    convert = pa.csv.ConvertOptions(column_types=types)
    read = pa.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(file.location, read_options=read, parse_options=parse, convert_options=convert) as reader:
        yield Opened(reader.schema, iter(reader))


@contextlib.contextmanager
def open_arrow(file: Found, _types: pa.Schema | None) -> Iterator[Opened]:
    """An Arrow IPC file (also called Feather) or stream."""
    with pa.OSFile(file.location) as source:
        is_file = source.read(6) == b"ARROW1"
        source.seek(0)
        if is_file:
            reader = pa.ipc.open_file(source)
            batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            reader = pa.ipc.open_stream(source)
            batches = iter(reader)
        yield Opened(reader.schema, (part for batch in batches for part in _parts(batch)))


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, batch.num_rows, _ROWS):
        yield batch.slice(start, _ROWS)


OPENERS: dict[str, Opener] = {
    "parquet": open_parquet,
    "csv": open_csv,
    "arrow": open_arrow,
    "jsonl": open_json_lines,
    "npy": open_npy,
    "npz": open_npz,
}
