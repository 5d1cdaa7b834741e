"""The whole platform as a user has it: started by `deploy.local`, services in processes of their own."""

import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.client import Connection

# The shell outlives pytest: when its standard input closes, however pytest went, the stack is stopped.
_UP_UNTIL_EOF = (
    '"$0" -m deploy.local up --home "$1" --ports free && cat >/dev/null; exec "$0" -m deploy.local down --home "$1"'
)


@dataclasses.dataclass(frozen=True, slots=True)
class RunningStack:
    """A stack on free ports, shared by all end-to-end tests of this session: let each use names of its own."""

    home: Path
    """Its state directory."""
    connection: Connection
    """An administrator's."""


@pytest.fixture(scope="session")
def stack(servers_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The running platform; stopped when the session ends."""
    home, log = servers_dir / "stack", tmp_path_factory.mktemp("stack") / "log"
    with log.open("w") as output:
        keeper = subprocess.Popen(
            ["/bin/sh", "-c", _UP_UNTIL_EOF, sys.executable, str(home)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        # The last thing that `up` does, when all services are ready, is to write down where they answer.
        while keeper.poll() is None and not (home / "endpoints.json").exists():
            time.sleep(0.1)
        assert keeper.poll() is None, f"the stack did not start:\n{log.read_text()}"
        with Connection.discover({"HEADWATER_HOME": str(home)}) as connection:
            yield RunningStack(home, connection)
    finally:
        keeper.communicate(timeout=60)
    assert keeper.returncode == 0, f"the stack did not stop:\n{log.read_text()}"
