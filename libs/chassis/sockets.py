"""Listening sockets, bound before anything starts on them, so that port 0 works and a taken port is told plainly."""

import os
import socket
import stat
from pathlib import Path

from chassis.errors import StartupError
from headwater.sockets import listens

UNIX_PATH_MAX_BYTES = 107
"""Of a Unix socket on Linux: ``sockaddr_un`` has room for 108 with the NUL at the end."""


class PortInUse(StartupError):
    """Somebody else listens there, or the address is not ours."""

    def __init__(self, host: str, port: int, variable: str) -> None:
        super().__init__(
            f"Cannot listen on {host}:{port}: the port is in use or the address is not of this machine. "
            f"Stop what listens there (ss -ltnp 'sport = :{port}' names it) or set {variable} to another port."
        )


def bind(host: str, port: int, variable: str) -> socket.socket:
    """A bound TCP socket.

    Raises:
        PortInUse: naming ``variable``, the setting to change.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, since asyncio sends small answers at once (TCP_NODELAY) only where it is sure that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortInUse(host, port, variable) from error
    listener.setblocking(False)
    return listener


class SocketPathUnusable(StartupError):
    """A Unix socket cannot be made there."""


def prepare_unix(path: Path, variable: str) -> None:
    """Make room for a Unix socket of the server's own user: afterwards nothing is at ``path``, and its folder is there.

    A folder that has to be made is the user's alone. A socket that a killed process left behind is removed.

    Raises:
        SocketPathUnusable: naming ``variable``, the setting to change: the path is relative or too long, others may
            write to its folder, or somebody listens there, or something else than a socket is there.
    """
    size = len(os.fsencode(path))
    if not path.is_absolute() or size > UNIX_PATH_MAX_BYTES:
        what = f"has {size} bytes; at most {UNIX_PATH_MAX_BYTES} are possible" if path.is_absolute() else "is relative"
        raise SocketPathUnusable(f"The path of a Unix socket, {path}, {what}: set {variable} to another, or to none.")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SocketPathUnusable(
                f"Others may write to {path.parent}, and so put a socket of theirs in the place of ours: "
                f"set {variable} to a path in a folder of your own."
            )
        _remove_stale(path, variable)
    except OSError as error:
        raise SocketPathUnusable(
            f"Cannot make a Unix socket at {path}: {error.strerror}. Set {variable} to another path."
        ) from error


def _remove_stale(path: Path, variable: str) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SocketPathUnusable(f"{path} is there and is no socket: set {variable} to another path.")
    if listens(str(path)):
        raise SocketPathUnusable(
            f"Somebody listens on {path} already: stop that process, or set {variable} to another path."
        )
    path.unlink()
