"""The peer of the Flight benchmarks: a pyarrow server, as short as can be, with tables in memory."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import flight

from deploy.ports import free

MIB = 2**20
SIZE = 512 * MIB
_BATCH_BYTES = 2 * MIB
_VECTOR_BYTES, _IMAGE_BYTES = 4096, 150_000


def table(name: str) -> pa.Table:
    """512 MiB in batches of 2 MiB: ``vectors`` of 1,024 float32, or ``images`` of 150 KB."""
    rng = np.random.default_rng(0)
    if name == "images":
        count, size = SIZE // _IMAGE_BYTES, _IMAGE_BYTES
        offsets = pa.py_buffer(np.arange(0, (count + 1) * size, size, dtype=np.int32))
        column = pa.Array.from_buffers(
            pa.binary(), count, [None, offsets, pa.py_buffer(bytearray(rng.bytes(count * size)))]
        )
    else:
        size = _VECTOR_BYTES
        column = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(SIZE // 4, dtype=np.float32)), size // 4)
    return pa.Table.from_batches(pa.table({name: column}).to_batches(max_chunksize=_BATCH_BYTES // size))


class Server(flight.FlightServerBase):  # type: ignore[misc]
    """Answers a ticket with the table of that name; what is put, it drops."""

    tables: ClassVar = {name: table(name) for name in ("vectors", "images")}

    def do_get(self, _context: flight.ServerCallContext, ticket: flight.Ticket) -> flight.FlightDataStream:
        """All rows."""
        return flight.RecordBatchStream(self.tables[ticket.ticket.decode()])

    def do_put(
        self,
        _context: flight.ServerCallContext,
        _descriptor: flight.FlightDescriptor,
        reader: flight.MetadataRecordBatchReader,
        _writer: flight.FlightMetadataWriter,
    ) -> None:
        """Read to the end."""
        for _ in reader:
            pass


@contextlib.contextmanager
def peer() -> Iterator[tuple[flight.FlightClient, psutil.Process]]:
    """A client of such a server, and the process of the server."""
    address = f"grpc://127.0.0.1:{free(1)[0]}"
    with subprocess.Popen([sys.executable, "-m", "tests.bench.flight_peer", address]) as process:
        try:
            with _connected(address) as client:
                yield client, psutil.Process(process.pid)
        finally:
            process.terminate()


def _connected(address: str) -> flight.FlightClient:
    client = flight.FlightClient(address)
    deadline = time.monotonic() + 60
    while True:
        try:
            client.wait_for_available(timeout=5)
        except flight.FlightError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return client


if __name__ == "__main__":
    Server(sys.argv[1]).serve()
