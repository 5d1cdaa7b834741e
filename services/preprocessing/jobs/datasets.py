"""The dataset service, as jobs use it."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

import grpc.aio
import pyarrow as pa
import pyarrow.flight as flight
from google.protobuf.timestamp_pb2 import Timestamp

from headwater.dataset.v1 import (
    datasets_pb2,
    datasets_pb2_grpc,
    definitions_pb2,
    flight_pb2,
    views_pb2,
    views_pb2_grpc,
)
from headwater.datasets.states import NoRowsStored, check_usable, is_place, newest_copy
from headwater.flight import flight_errors

_PAGE = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """What was done, to what."""

    spec_json: str
    inputs: tuple[str, ...]
    """Names of versions: of a dataset and of a pipeline."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """Rows that never change."""

    version: str
    checkpoint: str
    """The checkpoint of the version that holds them, the last segment of its name; empty: they are its own."""
    splits: tuple[definitions_pb2.Split, ...]
    digest: str
    create_time: Timestamp

    @property
    def row_count(self) -> int:
        """Rows in all splits."""
        return sum(split.row_count for split in self.splits)

    @property
    def name(self) -> str:
        """The resource name of what holds them."""
        return f"{self.version}/checkpoints/{self.checkpoint}" if self.checkpoint else self.version


class Datasets:
    """Versions to read, chunks to look up, uploads to fill. ``token`` gives a valid bearer token at any time."""

    def __init__(self, channel: grpc.aio.Channel, flight_address: str, token: Callable[[], str]) -> None:
        self._stub = datasets_pb2_grpc.DatasetServiceStub(channel)
        self._views = views_pb2_grpc.DatasetViewServiceStub(channel)
        self._token = token
        self.flight_address = flight_address

    @property
    def token(self) -> str:
        """A bearer token, for a worker to read with."""
        return self._token()

    async def version(self, name: str) -> datasets_pb2.DatasetVersion:
        """One version.

        Raises:
            NotFound: there is none of that name.
        """
        return await self._stub.GetDatasetVersion(datasets_pb2.GetDatasetVersionRequest(name=name))

    async def check_usable(self, version: str) -> tuple[str, ...]:
        """See ``jobs.Inputs``."""
        found = await self.version(version)
        warnings = check_usable(found)
        await self.stored(found)
        return warnings

    async def stored(self, version: datasets_pb2.DatasetVersion) -> Stored:
        """The version's own rows or, of a place outside, the newest copy of them (M-26).

        Raises:
            NoRowsStored: there is no copy.
        """
        if not is_place(version):
            return Stored(version.name, "", tuple(version.splits), version.digest, version.create_time)
        request = views_pb2.ListCheckpointsRequest(parent=version.name, page_size=_PAGE)
        while True:
            page = await self._views.ListCheckpoints(request)
            copy = newest_copy(page.checkpoints)
            if copy is not None:
                name = copy.name.rpartition("/")[2]
                return Stored(version.name, name, tuple(copy.splits), copy.digest, copy.create_time)
            if not page.next_page_token:
                raise NoRowsStored(version=version.name)
            request.page_token = page.next_page_token

    async def chunks(self, rows: Stored, split: str) -> AsyncIterator[Sequence[datasets_pb2.Chunk]]:
        """The chunks of a split in row order, a page at a time."""
        request = datasets_pb2.ListChunksRequest(
            parent=rows.version, checkpoint=rows.checkpoint, split=split, page_size=_PAGE
        )
        while True:
            page = await self._stub.ListChunks(request)
            if page.chunks:
                yield page.chunks
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def open_upload(self, dataset: str, request_id: str) -> str:
        """A new upload into ``dataset``."""
        request = datasets_pb2.CreateUploadRequest(parent=dataset, request_id=request_id)
        return (await self._stub.CreateUpload(request)).name

    async def abort(self, upload: str) -> None:
        """Give an upload up."""
        await self._stub.AbortUpload(datasets_pb2.AbortUploadRequest(name=upload))

    async def commit(
        self, upload: str, message: str, recipe: Recipe, request_id: str
    ) -> datasets_pb2.CommitUploadResponse:
        """Make a version of an upload, or find the newest one when it has the same rows, made in the same way."""
        request = datasets_pb2.CommitUploadRequest(
            name=upload,
            message=message,
            derived_from=recipe.inputs,
            dataflow=definitions_pb2.Dataflow(spec_json=recipe.spec_json, inputs=recipe.inputs),
            request_id=request_id,
        )
        return await self._stub.CommitUpload(request)

    def writer(self, upload: str, split: str, schema: pa.Schema) -> "SplitWriter":
        """A DoPut stream into one split of an upload."""
        return SplitWriter(self.flight_address, self.token, upload, split, schema)


class SplitWriter:
    """One DoPut stream. Use as an asynchronous context manager; leaving it waits until all rows are durable."""

    def __init__(self, address: str, token: str, upload: str, split: str, schema: pa.Schema) -> None:
        self._address = address
        self._options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())])
        command = flight_pb2.PutCommand(upload=upload, split=split)
        self._descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
        self._schema = schema

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._open)
        return self

    async def write(self, batch: pa.RecordBatch) -> None:
        """Send some rows; waits while the server is behind."""
        await asyncio.to_thread(self._write, batch)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close, error is None)

    def _open(self) -> None:
        self._client = flight.FlightClient(f"grpc://{self._address}")
        with flight_errors():
            self._writer, self._answers = self._client.do_put(self._descriptor, self._schema, self._options)

    def _write(self, batch: pa.RecordBatch) -> None:
        with flight_errors():
            self._writer.write_batch(batch)

    def _close(self, complete: bool) -> None:
        try:
            with flight_errors():
                if complete:
                    self._writer.done_writing()
                    self._answers.read()
                    self._writer.close()
        finally:
            self._client.close()
