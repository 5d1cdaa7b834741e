"""DoPut by the stock client, whose rows are digested, cut into chunks and durable when it returns, against a server
that drops what comes."""

import uuid
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyarrow import flight

from headwater.dataset.v1 import datasets_pb2, flight_pb2
from headwater.datasets.catalog import stub
from tests.bench import flight_peer
from tests.bench.flight_peer import MIB
from tests.bench.paired import Result, measure
from tests.bench.running import Running


def run(running: Running) -> Iterator[Result]:
    """512 MiB of float32 vectors, and of images of 150 KB."""
    address = f"grpc://{running.connection.endpoints.dataset_flight}"
    with flight.FlightClient(address) as over_tcp, flight_peer.peer() as (peer, _):
        for name in ("vectors", "images"):
            puts = _Puts(running, name)
            yield measure(
                f"DoPut of 512 MiB of {name}",
                lambda puts=puts: puts.to_headwater(over_tcp),  # type: ignore[misc]
                lambda puts=puts: puts.to_peer(peer),  # type: ignore[misc]
                unit="MiB/s",
                peer="20-line pyarrow server that drops them",
                servers=running.processes("dataset", "postgres"),
                prepare=puts.renew,
                must_be="≥ 0.4",
            )


class _Puts:
    """Rows to be put, into an upload of its own each time."""

    def __init__(self, running: Running, name: str) -> None:
        self._running = running
        self._table = flight_peer.table(name)
        dataset = f"bench-put-{name}"
        self._parent = f"projects/default/datasets/{dataset}"
        request = datasets_pb2.CreateDatasetRequest(parent="projects/default", dataset_id=dataset)
        stub(running.connection).CreateDataset(request)

    def renew(self) -> None:
        """Change every row where it lies, so that nothing of it is stored already."""
        column = self._table.column(0).chunk(0)
        values = column.values if pa.types.is_fixed_size_list(column.type) else column
        np.frombuffer(values.buffers()[-1], np.uint8)[::1024] += 1

    def to_headwater(self, client: flight.FlightClient) -> float:
        """Put all rows; how many MiB they are."""
        request = datasets_pb2.CreateUploadRequest(parent=self._parent, request_id=str(uuid.uuid4()))
        upload = stub(self._running.connection).CreateUpload(request).name
        command = flight_pb2.PutCommand(upload=upload, split="train").SerializeToString()
        descriptor = flight.FlightDescriptor.for_command(command)
        result = flight_pb2.PutResult.FromString(
            self._put(client, descriptor, self._running.connection.flight_options())
        )
        assert result.row_count == self._table.num_rows
        assert result.new_chunk_count == result.chunk_count
        return float(self._table.nbytes / MIB)

    def to_peer(self, client: flight.FlightClient) -> float:
        """Put all rows where they are dropped; how many MiB they are."""
        self._put(client, flight.FlightDescriptor.for_path("dropped"), flight.FlightCallOptions())
        return float(self._table.nbytes / MIB)

    def _put(
        self, client: flight.FlightClient, descriptor: flight.FlightDescriptor, options: flight.FlightCallOptions
    ) -> bytes:
        writer, answers = client.do_put(descriptor, self._table.schema, options)
        with writer:
            for batch in self._table.to_batches():
                writer.write_batch(batch)
            writer.done_writing()
            answer = answers.read()
        return b"" if answer is None else answer.to_pybytes()
