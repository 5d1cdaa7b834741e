"""Listening sockets, bound before anything starts on them, so that port 0 works and a taken port is told plainly."""

import socket

from chassis.errors import StartupError


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
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortInUse(host, port, variable) from error
    listener.setblocking(False)
    return listener
