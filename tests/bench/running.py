"""The stack that is measured: separate processes, started by the same code as `make up`, with durable storage."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from deploy.local.programs import free_ports
from deploy.local.stack import Stack
from headwater.client import Connection


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A running stack and a client of it."""

    home: Path
    stack: Stack
    connection: Connection
    database_url: str

    def processes(self, *names: str) -> Sequence[psutil.Process]:
        """The processes of these services and servers."""
        found = [self.stack.processes.find(name) for name in names]
        servers = [psutil.Process(server.pid) for name, server in self.stack.servers.items() if name in names]
        return [process for process in (*found, *servers) if process is not None]


@contextlib.contextmanager
def running() -> Iterator[Running]:
    """A stack of its own, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as home:
        Path(home).chmod(0o711)  # as root, PostgreSQL's own user must be able to enter; else its data go elsewhere
        stack = Stack(Path(home), report=lambda line: print(line, flush=True))
        try:
            stack.up(free_ports())
            with Connection.discover({"HEADWATER_HOME": home}) as connection:
                yield Running(Path(home), stack, connection, stack.servers["postgres"].url)
        finally:
            stack.down()
