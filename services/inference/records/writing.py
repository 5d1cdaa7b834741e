"""A Parquet file of records on its way into object storage."""

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chassis.blobs import Blobs, BlobWriter
from chassis.ids import new_id
from services.inference.records.columns import to_batch
from services.inference.records.model import Record
from services.inference.records.store import FileKind, RecordFile


class RecordFileWriter:
    """Takes records by number and makes a file of them. All but ``publish`` blocks."""

    def __init__(self, kind: FileKind, schema: pa.Schema, blobs: Blobs) -> None:
        self._kind = kind
        self._schema = schema
        self._blobs = blobs
        self._blob: BlobWriter | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._seen: list[Record] = []
        """The first and last of each batch, by number, id and time."""
        self.row_count = 0

    def add(self, records: Sequence[Record]) -> None:
        """Write the next records, in a row group of their own."""
        if not records:
            return
        if self._parquet is None:
            # Two processes that write the same rows must not have the same file: one of them will remove his.
            about = {"headwater.inference": f"{self._kind} v1", "file": new_id()}
            self._blob = self._blobs.writer()
            self._sink = _Sink(self._blob)
            self._parquet = pq.ParquetWriter(
                pa.PythonFile(self._sink, "w"), self._schema.with_metadata(about), compression="zstd"
            )
        self._parquet.write_batch(
            to_batch(records, self._schema).replace_schema_metadata(self._parquet.schema.metadata)
        )
        self.row_count += len(records)
        self._seen += [records[0], records[-1]]
        for key in (_request_id, _request_time):
            self._seen += [min(records, key=key), max(records, key=key)]

    def seal(self) -> RecordFile:
        """No more records come."""
        assert self._parquet is not None
        assert self._blob is not None
        self._parquet.close()
        blob = self._blob.seal()
        seen = self._seen
        return RecordFile(
            digest=blob.digest,
            kind=self._kind,
            first_sequence=seen[0].sequence,
            last_sequence=max(record.sequence for record in seen),
            first_request_id=min(record.request_id for record in seen),
            last_request_id=max(record.request_id for record in seen),
            first_time=min(record.request_time for record in seen),
            last_time=max(record.request_time for record in seen),
            row_count=self.row_count,
            size_bytes=blob.size_bytes,
        )

    async def publish(self) -> None:
        """Make the file durable."""
        assert self._blob is not None
        await self._blob.publish()

    def discard(self) -> None:
        """Remove what was not published."""
        if self._parquet is not None:
            self._sink.discards = True
            self._parquet.close()
        if self._blob is not None:
            self._blob.discard()


class _Sink(io.RawIOBase):
    """What Parquet is written into, byte after byte."""

    def __init__(self, blob: BlobWriter) -> None:
        self._blob = blob
        self._position = 0
        self.discards = False
        """Whether what is still written is not wanted: a Parquet writer that is closed writes its footer."""

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any, /) -> int:
        view = memoryview(data)
        if not self.discards:
            self._blob.write(bytes(view))
        self._position += view.nbytes
        return view.nbytes


def _request_id(record: Record) -> str:
    return record.request_id


def _request_time(record: Record) -> float:
    return record.request_time.timestamp()
