"""The way out for libraries that look names up themselves: an HTTP proxy of our own, within this process.

Clients of object stores have resolvers, redirects and retries of their own. All of it goes through a gate, which looks
the host up, checks the address and connects to that very address, at every connection: there is nothing between the
check and the use that a name server could change, and a redirect leads to where a request could have gone anyway, or
nowhere (promise 15). What is inside TLS stays inside; the certificate is checked by the client, against the name.

``CONNECT`` (RFC 9110, 9.3.6) for https; for http, requests in absolute form (RFC 9112, 3.2.2), which servers must
understand, go on as they are.
"""

import base64
import contextlib
import hmac
import secrets
import socket
import threading
import urllib.parse
from collections.abc import Callable, Collection, Iterator
from types import TracebackType
from typing import Self

import structlog

from chassis.hosts import Target
from headwater.errors import HeadwaterError

_HEAD_BYTES = 64 << 10
_RELAY_BYTES = 256 << 10
_CONNECT_TIMEOUT_S = 10.0
_IDLE_TIMEOUT_S = 120.0
_MAX_CONNECTIONS = 64

_log = structlog.get_logger(__name__)


class Gate:
    """Lets through to some hosts and ports, and to no others. A context manager; leaving it cuts every connection."""

    def __init__(self, targets: Collection[tuple[str, int]], resolve: Callable[[str, int], Target]) -> None:
        """``resolve`` raises for what must not be connected to."""
        self._targets = frozenset(targets)
        self._resolve = resolve
        self._secret = secrets.token_urlsafe(32)
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_MAX_CONNECTIONS)
        self._closed = False
        self.refusal: HeadwaterError | None = None
        """Why a connection was refused last; the client was only told that it was."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, name="datastore-gate", daemon=True).start()

    @property
    def url(self) -> str:
        """What clients take for their proxy. Nobody else in this machine can guess it."""
        return f"http://gate:{self._secret}@127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            sockets = [*self._sockets, self._listener]
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._slots.acquire(blocking=False):
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), name="datastore-gate", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            with self._kept(client):
                client.settimeout(_IDLE_TIMEOUT_S)
                head = _read_head(client)
                if head is not None:
                    self._answer(client, head)
        except OSError as error:
            _log.debug("a connection to a datastore ended", error=type(error).__name__)
        finally:
            self._slots.release()

    def _answer(self, client: socket.socket, head: bytes) -> None:
        method, target, headers = _parse(head)
        if not hmac.compare_digest(headers.get(b"proxy-authorization", b""), self._authorization()):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        try:
            upstream = self._connect(*_destination(method, target))
        except HeadwaterError as error:
            self.refusal = error
            client.sendall(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return
        except (OSError, ValueError):
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            return
        with self._kept(upstream):
            if method == b"CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            else:
                # The gate's secret goes along; it is good for this gate only, which is on this machine's loopback.
                upstream.sendall(head)
            _relay_both(client, upstream)

    def _connect(self, host: str, port: int) -> socket.socket:
        if (host, port) not in self._targets:
            # A redirect, or a client that was told to go elsewhere.
            raise ValueError
        found = self._resolve(host, port)
        connected = socket.create_connection((found.address, found.port), _CONNECT_TIMEOUT_S)
        connected.settimeout(_IDLE_TIMEOUT_S)
        return connected

    @contextlib.contextmanager
    def _kept(self, connection: socket.socket) -> Iterator[None]:
        """Close the connection in the end, or when the gate is closed."""
        with self._lock:
            if self._closed:
                connection.close()
                raise ConnectionAbortedError
            self._sockets.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._sockets.discard(connection)
            connection.close()

    def _authorization(self) -> bytes:
        return b"Basic " + base64.b64encode(f"gate:{self._secret}".encode())


def _read_head(client: socket.socket) -> bytes | None:
    head = b""
    while b"\r\n\r\n" not in head:
        more = client.recv(_HEAD_BYTES - len(head))
        if not more:
            return None
        head += more
    return head


def _parse(head: bytes) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    first, *lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, _, rest = first.partition(b" ")
    headers = (line.partition(b":") for line in lines)
    return method, rest.partition(b" ")[0], {name.strip().lower(): value.strip() for name, _, value in headers}


def _destination(method: bytes, target: bytes) -> tuple[str, int]:
    """Host and port of a request to a proxy, or ValueError."""
    parts = urllib.parse.urlsplit(f"//{target.decode()}" if method == b"CONNECT" else target.decode())
    if not parts.hostname or parts.scheme not in ("", "http"):
        raise ValueError
    return parts.hostname, parts.port or 80


def _relay_both(client: socket.socket, upstream: socket.socket) -> None:
    sending = threading.Thread(target=_relay, args=(client, upstream), name="datastore-gate", daemon=True)
    sending.start()
    _relay(upstream, client)
    sending.join()


def _relay(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_RELAY_BYTES):
            sink.sendall(data)
    for end, how in ((source, socket.SHUT_RD), (sink, socket.SHUT_WR)):
        with contextlib.suppress(OSError):
            end.shutdown(how)
