"""One PostgreSQL and one Valkey for each test process, and more for the tests that break theirs."""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from chassis.embedded import EmbeddedPostgres, EmbeddedValkey
from chassis.testing import reaper


@pytest.fixture(scope="session")
def servers_dir() -> Iterator[Path]:
    """Where servers live; each one under it is killed, and the directory removed, when this process is gone."""
    # Not under pytest's own directory: as root that is closed to the user that PostgreSQL runs as.
    directory = Path(tempfile.mkdtemp(prefix="headwater-tests-"))
    directory.chmod(0o711)
    watcher = subprocess.Popen(
        [sys.executable, "-IS", reaper.__file__, str(directory)], stdin=subprocess.PIPE, start_new_session=True
    )
    yield directory
    watcher.communicate(timeout=30)


@pytest.fixture(scope="session")
def postgres_server(servers_dir: Path) -> EmbeddedPostgres:
    """The PostgreSQL of this test process. It is not durable; a test that stops it must use ``start_postgres``."""
    server = EmbeddedPostgres(servers_dir / "postgres", durable=False)
    server.start()
    return server


@pytest.fixture(scope="session")
def valkey_server(servers_dir: Path) -> EmbeddedValkey:
    """The Valkey of this test process; a test that stops it must use ``start_valkey``."""
    server = EmbeddedValkey(servers_dir / "valkey")
    server.start()
    return server


@pytest.fixture
def redis_url(valkey_server: EmbeddedValkey) -> str:
    """The URL of an empty Valkey."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


_numbers = itertools.count()


@pytest.fixture
def start_postgres(servers_dir: Path) -> Iterator[Callable[[], EmbeddedPostgres]]:
    """A function that starts a durable PostgreSQL, the test's to stop and start again; stopped after the test."""
    started: list[EmbeddedPostgres] = []

    def start() -> EmbeddedPostgres:
        server = EmbeddedPostgres(servers_dir / f"postgres-{next(_numbers)}")
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def start_valkey(servers_dir: Path) -> Iterator[Callable[[], EmbeddedValkey]]:
    """A function that starts a Valkey, the test's to stop and start again; stopped after the test."""
    started: list[EmbeddedValkey] = []

    def start() -> EmbeddedValkey:
        server = EmbeddedValkey(servers_dir / f"valkey-{next(_numbers)}")
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()
