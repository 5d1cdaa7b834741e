"""The whole platform as `make up` starts it: separate processes, in a state directory and on ports of its own."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.programs import free_ports
from deploy.local.stack import Stack
from headwater.client import Connection


@dataclasses.dataclass(frozen=True)
class RunningStack:
    """A stack that is ready."""

    stack: Stack
    home: Path
    """Its state directory: HEADWATER_HOME for a client."""
    connection: Connection
    """An administrator's connection to it."""


@pytest.fixture(scope="session")
def stack(servers_dir: Path) -> Iterator[RunningStack]:
    """One stack for all tests of this folder; they share its data, so each takes names of its own."""
    home = servers_dir / "stack"
    running = Stack(home, report=print)
    try:
        running.up(free_ports())
        with Connection.discover({"HEADWATER_HOME": str(home)}) as connection:
            yield RunningStack(running, home, connection)
    finally:
        running.down()
