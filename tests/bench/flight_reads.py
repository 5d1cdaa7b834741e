"""DoGet of a committed version against a server that has the same table in memory and checks nothing."""

import subprocess
import sys
import time
from collections.abc import Iterator

from pyarrow import flight

from deploy.ports import free
from headwater import datasets
from tests.bench import flight_peer
from tests.bench.paired import Result, measure
from tests.bench.running import Running

MIB = 2**20


def run(running: Running) -> Iterator[Result]:
    """Read 512 MiB of float32 with the stock client from both."""
    table = flight_peer.table()
    version = datasets.push(running.connection, "bench-vectors", datasets.Tables({"train": table})).version.name
    address = f"grpc://127.0.0.1:{free(1)[0]}"
    with subprocess.Popen([sys.executable, "-m", "tests.bench.flight_peer", address]) as process:
        try:
            peer = _connect(address)
            ours = running.connection.flight()
            options = running.connection.flight_options()
            descriptor = flight.FlightDescriptor.for_path(*version.split("/"), "train")

            def read_ours() -> float:
                info = ours.get_flight_info(descriptor, options)
                return _read(ours, info.endpoints[0].ticket, options)

            def read_peer() -> float:
                return _read(peer, flight.Ticket(b""), flight.FlightCallOptions())

            assert read_ours() == read_peer(), "the two servers must return the same rows"
            yield measure(
                "Flight DoGet of 512 MiB float32",
                read_ours,
                read_peer,
                unit="MiB/s",
                peer="20-line pyarrow server, table in memory",
                servers=running.processes("dataset", "postgres"),
            )
        finally:
            process.terminate()


def _read(client: flight.FlightClient, ticket: flight.Ticket, options: flight.FlightCallOptions) -> float:
    size = sum(chunk.data.nbytes for chunk in client.do_get(ticket, options))
    return float(size / MIB)


def _connect(address: str) -> flight.FlightClient:
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
