"""Where events go: a file, or an HTTP server that the operator allows."""

import http.client
import os
import socket
import ssl
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from chassis.hosts import HostRule, Target, parse_hosts, resolve
from headwater.errors import Unavailable
from services.inference.records.events.cloudevents import BATCH_CONTENT_TYPE, to_batch, to_lines
from services.inference.records.model import Record

_TIMEOUT_S = 10.0


class EventsNotTaken(Unavailable):
    """The receiver did not take a batch; it is sent again."""

    reason = "EVENTS_NOT_TAKEN"
    text = "The events were not taken."


class Sink(Protocol):
    """Takes events; blocks."""

    def send(self, records: Sequence[Record]) -> None:
        """When this returns, the receiver has the events of these records.

        Raises:
            EventsNotTaken, HostNotAllowed, HostUnreachable: perhaps it has not.
        """


def sink_from_url(url: str, hosts: str) -> Sink:
    """The sink that a setting names: ``file:///absolute/path`` or ``https://host/path``.

    Raises:
        ValueError: it names none, or a host that is not in the list.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and len(parts.path) > 1:
        return FileSink(Path(urllib.parse.unquote(parts.path)))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("events go to file:///absolute/path, or to https://host/path")
    return HttpSink(parts, parse_hosts(hosts))


class FileSink(Sink):
    """Appends an event a line, durable when ``send`` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, records: Sequence[Record]) -> None:
        """See Sink."""
        lines = to_lines(records)
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                while lines:
                    lines = lines[os.write(descriptor, lines) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise EventsNotTaken(why=error.strerror or "") from error


class HttpSink(Sink):
    """Posts batches. The host is looked up and checked for each of them, and what is connected to is the address that
    was checked; redirects are answers like any other that is not 2xx, and not followed (promise 15)."""

    def __init__(self, url: urllib.parse.SplitResult, rules: Sequence[HostRule]) -> None:
        """Raises ValueError: the host is not in the list, or nobody vouches for it and it is spoken to without TLS."""
        self._host = url.hostname or ""
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._path = urllib.parse.urlunsplit(("", "", url.path or "/", url.query, ""))
        self._tls = ssl.create_default_context() if url.scheme == "https" else None
        self._rules = rules
        covering = [rule for rule in rules if rule.covers(self._host, self._port)]
        if not covering:
            raise ValueError(f"{self._host}:{self._port} is not in the list of hosts that events may go to")
        if self._tls is None and not any(rule.networks for rule in covering):
            raise ValueError("without TLS, events go only to a host that the list gives with its address")

    def send(self, records: Sequence[Record]) -> None:
        """See Sink."""
        target = resolve(self._rules, self._host, self._port)
        connection = _To(target, self._tls)
        headers = {"Content-Type": BATCH_CONTENT_TYPE}
        try:
            connection.request("POST", self._path, to_batch(records), headers)
            response = connection.getresponse()
            response.read(1 << 16)
        except (OSError, http.client.HTTPException) as error:
            raise EventsNotTaken(why=type(error).__name__) from error
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise EventsNotTaken(status=response.status)


class _To(http.client.HTTPConnection):
    """A connection to one address, in the name of its host."""

    def __init__(self, target: Target, tls: ssl.SSLContext | None) -> None:
        super().__init__(target.host, target.port, timeout=_TIMEOUT_S)
        self._target = target
        self._tls = tls
        self.default_port = 443 if tls is not None else 80

    def connect(self) -> None:
        sock = socket.create_connection((self._target.address, self._target.port), _TIMEOUT_S)
        self.sock = sock if self._tls is None else self._tls.wrap_socket(sock, server_hostname=self._target.host)
