"""The way out to object stores: redirects, name servers that change their mind, credentials of the service's own."""

import base64
import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from services.dataset.datastores.allowed import Allowed
from services.dataset.datastores.databases import conninfo
from services.dataset.datastores.errors import (
    PlaceNotAllowed,
    PlaceUnreachable,
)
from services.dataset.datastores.gate import Gate
from services.dataset.datastores.model import (
    Dialect,
    S3Bucket,
    SqlDatabase,
)
from services.dataset.datastores.places import PlaceLimits, Places
from services.dataset.datastores.sealing import Credentials
from tests.unit.dataset.name_server import names

NOBODY = Credentials()
LIMITS = PlaceLimits(1 << 20, 60.0)


class Server:
    """An HTTP server on loopback that counts its requests."""

    def __init__(self, answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> None:
        server = self
        self.paths: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.paths.append(self.path)
                answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@contextlib.contextmanager
def serving(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[Server]:
    server = Server(answer)
    yield server
    server.close()


def empty_listing(request: http.server.BaseHTTPRequestHandler) -> None:
    body = b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'
    request.send_response(200)
    request.send_header("content-length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def test_a_redirect_leads_nowhere_that_a_request_could_not_have_gone() -> None:
    """Promise 15: the server of the bucket sends the client on, to a port that is not listed."""
    with serving(empty_listing) as inside:

        def redirect(request: http.server.BaseHTTPRequestHandler) -> None:
            request.send_response(307)
            request.send_header("location", f"http://127.0.0.1:{inside.port}/secrets")
            request.send_header("content-length", "0")
            request.end_headers()

        with serving(redirect) as outside:
            places = Places(Allowed.parse("", f"127.0.0.1:{outside.port}"), LIMITS)
            with pytest.raises(PlaceUnreachable):
                places.reach(S3Bucket("bucket", endpoint=f"http://127.0.0.1:{outside.port}"), NOBODY)
            assert outside.paths
            assert inside.paths == []


def test_a_name_that_changes_between_check_and_use_is_connected_to_where_it_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Promise 15: DNS rebinding. The first answer is allowed, and every one after it is not."""
    with serving(empty_listing) as server:
        names(monkeypatch, {"lake.example": ["127.0.0.1", "127.0.0.2"]})
        allowed = Allowed.parse("", f"lake.example:{server.port}=127.0.0.1")
        place = S3Bucket("bucket", endpoint=f"http://lake.example:{server.port}")
        assert Places(allowed, LIMITS).reach(place, NOBODY) >= 0
        assert len(server.paths) == 1
        with pytest.raises(PlaceNotAllowed):
            Places(allowed, LIMITS).reach(place, NOBODY)
        assert len(server.paths) == 1


def test_postgresql_is_told_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, {"db.example.com": ["93.184.216.34", "127.0.0.1"]})
    target = Allowed.parse("", "db.example.com").resolve("db.example.com", 5432)
    told = conninfo(SqlDatabase(Dialect.POSTGRESQL, "shop", "db.example.com"), NOBODY, target, 5)
    assert "host='db.example.com' hostaddr='93.184.216.34' port='5432'" in told


def test_the_gate_lets_nobody_through_without_its_secret_nor_to_anywhere_else() -> None:
    with (
        serving(empty_listing) as server,
        Gate({("127.0.0.1", server.port)}, Allowed.parse("", f"127.0.0.1:{server.port}").resolve) as gate,
    ):
        secret, _, address = gate.url.removeprefix("http://").partition("@")
        port = int(address.rpartition(":")[2])

        def ask(head: str) -> bytes:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(f"{head}\r\n\r\n".encode())
                return client.recv(100).split(b"\r\n")[0]

        key = base64.b64encode(secret.encode()).decode()
        target = f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\nhost: x\r\nconnection: close"
        assert b"407" in ask(target)
        assert b"407" in ask(f"{target}\r\nproxy-authorization: Basic {key[:-4]}")
        assert server.paths == []
        assert b"200" in ask(f"{target}\r\nproxy-authorization: Basic {key}")
        for elsewhere in ("CONNECT 127.0.0.1:1 HTTP/1.1", "GET http://localhost/ HTTP/1.1", "GET / HTTP/1.1", "x"):
            assert b"502" in ask(f"{elsewhere}\r\nproxy-authorization: Basic {key}")
        assert b"200" in ask(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nproxy-authorization: Basic {key}")


def test_the_credentials_of_the_service_itself_are_not_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "ours",
        "AWS_SECRET_ACCESS_KEY": "ours",
        "AWS_SESSION_TOKEN": "ours",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_PROXY_EXCLUDES": "*",
    }.items():
        monkeypatch.setenv(name, value)
    seen: list[dict[str, str]] = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in request.headers.items()})
        empty_listing(request)

    with serving(answer) as server:
        places = Places(Allowed.parse("", f"127.0.0.1:{server.port}"), LIMITS)
        place = S3Bucket("bucket", endpoint=f"http://127.0.0.1:{server.port}")
        places.reach(place, NOBODY)
        places.reach(place, Credentials({"access_key_id": "theirs", "secret_access_key": "x"}))
    anonymous, signed = seen
    assert "authorization" not in anonymous
    assert "Credential=theirs/" in signed["authorization"]
    assert not any("ours" in value for each in seen for value in each.values())
    assert "x-amz-security-token" not in signed
