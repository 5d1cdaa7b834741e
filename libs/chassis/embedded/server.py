"""What both embedded servers share: their directory, their password, their port and the account they run as."""

import contextlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

from chassis.embedded.places import closed_parent
from headwater.errors import FailedPrecondition

HOST = "127.0.0.1"
_MIN_FREE_BYTES = 256 * 2**20
_LOG_MAX_BYTES = 16 * 2**20


class ServerDidNotStart(FailedPrecondition):
    """The server could not be started, or does not run; the text says why in one sentence."""

    reason = "EMBEDDED_SERVER_DID_NOT_START"
    text = "The server did not start."


def package_folder(package: str, *parts: str) -> Path:
    """A folder inside an installed wheel, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerDidNotStart(f"The package {package} is not installed; run: pip install 'headwater[local]'.")
    return Path(spec.submodule_search_locations[0], *parts)


def prepare_directory(directory: Path, account: pwd.struct_passwd | None = None) -> None:
    """Make ``directory``, closed to other users, and check that ``account`` can reach it and that there is room.

    Raises:
        ServerDidNotStart: it cannot be used.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if account is not None:
            _check_reachable(directory, account)
            os.chown(directory, account.pw_uid, account.pw_gid)
        directory.chmod(0o700)
    except OSError as error:
        raise ServerDidNotStart(f"The directory {directory} cannot be used: {error.strerror}.") from error
    if shutil.disk_usage(directory).free < _MIN_FREE_BYTES:
        raise ServerDidNotStart(f"There is less than {_MIN_FREE_BYTES // 2**20} MiB of room left for {directory}.")


def unprivileged_account() -> pwd.struct_passwd | None:
    """Whom a server that refuses to run as root runs as: ``postgres`` if there is such a user, else ``nobody``.

    None when this process is not root.
    """
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServerDidNotStart("PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody'.")


def _check_reachable(path: Path, account: pwd.struct_passwd) -> None:
    if parent := closed_parent(path, account):
        raise ServerDidNotStart(
            f"PostgreSQL runs as user '{account.pw_name}' here, who may not enter {parent}; "
            f"choose a state directory elsewhere, or do not run as root."
        )


def make_password(directory: Path, account: pwd.struct_passwd | None = None) -> None:
    """Keep a random password in ``directory/password``, once, readable for the server's account only (promise 14)."""
    file = directory / "password"
    if file.exists():
        return
    # Under another name first: a password that was written by half must never become a server's password.
    unfinished = directory / "password.new"
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(secrets.token_urlsafe(24))
        if account is not None:
            os.fchown(out.fileno(), account.pw_uid, account.pw_gid)
    unfinished.rename(file)


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def check_port_free(port: int) -> None:
    """Raise ServerDidNotStart if somebody listens on ``port`` already."""
    with socket.socket() as probe:
        # As the servers do: connections of a server just stopped must not keep its successor out.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServerDidNotStart(f"Port {port} on {HOST} is in use.", port=port) from error


def alive(pid: int) -> bool:
    """Whether a process with this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def wait_until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Poll ``done`` every 10 ms; False when ``timeout_s`` passes first."""
    give_up = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True


def shorten_log(log: Path) -> None:
    """Keep at most one old log beside the present one, so that logs of a long-lived stack stay bounded."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_MAX_BYTES:
            log.replace(log.with_suffix(".old.log"))


def complaint(log: Path) -> str:
    """Why a server went away: the last line of its log that speaks of a failure, else simply the last one."""
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").strip().splitlines()
        failures = [line for line in lines if re.search(r"FATAL|ERROR|PANIC|[Ff]ailed|could not", line)]
        return (failures or lines or [""])[-1]
    return ""


def listening(port: int) -> bool:
    """Whether something accepts connections on ``port``."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False
