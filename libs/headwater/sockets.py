"""Unix sockets, seen from the side that connects."""

import contextlib
import socket


def listens(path: str) -> bool:
    """Whether somebody listens on the Unix socket at ``path``, and lets us connect."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        client.settimeout(1.0)
        try:
            client.connect(path)
        except TimeoutError:
            return True  # with a full queue
        except OSError:  # nobody, no such file, not ours, or a path that is too long
            return False
        return True
