"""Reading a committed version: by DoGet over TCP and over the Unix socket, against a server that has the same table in
memory and checks nothing; and mapped into the reader's memory, against DoGet."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import flight

from headwater import datasets
from headwater.client import Connection
from tests.bench import flight_peer
from tests.bench.flight_peer import MIB
from tests.bench.paired import Result, measure
from tests.bench.running import Running

_PEER = "20-line pyarrow server, table in memory"

Read: TypeAlias = Callable[[], flight.FlightStreamReader]
"""Begins to read all rows."""


def run(running: Running) -> Iterator[Result]:
    """512 MiB of float32 vectors, and of images of 150 KB."""
    connection = running.connection
    over_tcp = Connection(dataclasses.replace(connection.endpoints, dataset_flight_socket=""), connection.token)
    with over_tcp, flight_peer.peer() as (client, process):
        for name in ("vectors", "images"):
            rows = datasets.Tables({"train": flight_peer.table(name)})
            version = datasets.push(connection, f"bench-{name}", rows).version.name
            reads = [_of_ours(over_tcp, version), _of_ours(connection, version), _of_peer(client, name)]
            yield from _over_the_wire(running, name, process, *reads)
            yield from _mapped(running, name, version, over_tcp)


def _over_the_wire(
    running: Running,
    name: str,
    process: psutil.Process,
    over_tcp: Read,
    over_socket: Read,
    peers: Read,
) -> Iterator[Result]:
    assert over_tcp().read_all().equals(peers().read_all()), "the two servers must return the same rows"
    servers = running.processes("dataset", "postgres")
    for how, ours, must_be in ((name, over_tcp, "≥ 1.0"), (f"{name}, Unix socket", over_socket, "≥ 1.2")):
        result = measure(
            f"DoGet of 512 MiB of {how}",
            _sized(ours),
            _sized(peers),
            unit="MiB/s",
            peer=_PEER,
            servers=servers,
            peer_servers=[process],
            must_be=must_be,
        )
        yield result
        if ours is over_tcp:
            yield result.of_cpu("≤ 1.1")


def _mapped(running: Running, name: str, version: str, over_tcp: Connection) -> Iterator[Result]:
    servers = running.processes("dataset", "postgres")

    def open_mapped() -> pa.Table:
        return datasets.open_local(running.connection, version, "train")

    get = _of_ours(over_tcp, version)
    assert open_mapped().equals(get().read_all())
    pairs = {
        f"full scan of {name}, mapped": (lambda: _scan(open_mapped()), lambda: _scan(get().read_all()), "≥ 5"),
        f"having {name} open, mapped": (lambda: _opened(open_mapped()), lambda: _opened(get().read_all()), "≥ 100"),
    }
    for what, (ours, theirs, must_be) in pairs.items():
        unit = "MiB/s" if "scan" in what else "/s"
        yield measure(what, ours, theirs, unit=unit, peer="our DoGet over TCP", servers=servers, must_be=must_be)


def _of_ours(connection: Connection, version: str) -> Read:
    descriptor = flight.FlightDescriptor.for_path(*version.split("/"), "train")

    def read() -> flight.FlightStreamReader:
        client, options = connection.flight(), connection.flight_options()
        info = client.get_flight_info(descriptor, options)
        return client.do_get(info.endpoints[0].ticket, options)

    return read


def _of_peer(client: flight.FlightClient, name: str) -> Read:
    return lambda: client.do_get(flight.Ticket(name.encode()))


def _sized(begin: Read) -> Callable[[], float]:
    """Reads batch by batch, keeping none, as a training does."""
    return lambda: float(sum(chunk.data.nbytes for chunk in begin()) / MIB)


def _opened(table: pa.Table) -> float:
    assert table.num_rows
    return 1.0


def _scan(table: pa.Table) -> float:
    """Add up every eight bytes of the values."""
    total = 0
    for chunk in table.column(0).chunks:
        values = chunk.flatten() if pa.types.is_fixed_size_list(chunk.type) else chunk
        words = np.frombuffer(values.buffers()[-1], np.uint8)
        total += int(words[: len(words) // 8 * 8].view(np.uint64).sum())
    assert total
    return float(table.nbytes / MIB)
