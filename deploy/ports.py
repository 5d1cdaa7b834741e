"""TCP ports on this machine."""

import contextlib
import socket
from collections.abc import Iterable

HOST = "127.0.0.1"


def free(count: int) -> list[int]:
    """That many different ports that nobody uses now."""
    with contextlib.ExitStack() as held:  # all at once, so that none is chosen twice
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def taken(ports: Iterable[int]) -> list[int]:
    """Those of `ports` that a program listens on."""
    found = []
    for port in ports:
        with socket.socket() as probe:
            # As a server binds: a port whose last connections are in TIME_WAIT counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                found.append(port)
    return found
