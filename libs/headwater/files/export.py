"""Rows as a file that other tools read."""

import uuid
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet

from headwater.files.errors import SourceUnsupported

_WRITERS = {
    ".parquet": lambda path, schema: pa.parquet.ParquetWriter(path, schema, compression="zstd"),
    ".arrow": lambda path, schema: pa.ipc.new_file(path, schema),
    ".csv": lambda path, schema: pa.csv.CSVWriter(path, schema),
}


def export(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> int:
    """Write rows to a ``.parquet``, ``.arrow`` or ``.csv`` file and return how many there were.

    The file appears, or is replaced, when it is complete; after an error it is as it was before. Read again, its rows
    have the same digests (CSV: given the schema, and where it holds nothing nested or binary).

    Raises:
        SourceUnsupported: another extension, or rows that CSV cannot hold.
    """
    if path.suffix.lower() not in _WRITERS:
        raise SourceUnsupported(f"{path} must end in one of {', '.join(_WRITERS)}.", path=path)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    rows = 0
    try:
        with _WRITERS[path.suffix.lower()](str(unfinished), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        unfinished.replace(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceUnsupported(f"These rows cannot be written to {path}: {error}", path=path) from error
    finally:
        unfinished.unlink(missing_ok=True)
    return rows
