"""Records sent on as CloudEvents: at least once, in order, to where the operator allows."""

import asyncio
import contextlib
import datetime
import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from chassis.blobs import MemoryBlobs
from chassis.testing.services import StartService, TokenFor
from headwater.inference.v1 import recording_pb2
from services.inference.records.archive import Archive
from services.inference.records.events.exporter import Exporter
from services.inference.records.events.sinks import EventsNotTaken, sink_from_url
from services.inference.records.memory import MemoryRecords
from services.inference.settings import Settings
from tests.integration.inference.recorded import recorded
from tests.unit.inference.onnx_models import doubling
from tests.unit.inference.records.records import record
from tests.unit.inference.waiting import eventually


class Receiver:
    """An HTTP server that takes batches, or answers as it is told to first."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: list[int] = []
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, self.headers["Content-Type"], self.headers["Host"]))
                status = receiver.answers.pop(0) if receiver.answers else 204
                if status < 300:
                    receiver.events += json.loads(body)
                self.send_response(status)
                if status == 307:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with contextlib.closing(Receiver()) as receiver:
        yield receiver


@contextlib.asynccontextmanager
async def exporter(url: str, hosts: str = "") -> AsyncIterator[tuple[MemoryRecords, Exporter]]:
    records = MemoryRecords()
    blobs = MemoryBlobs()
    await records.append([record()])  # from before anybody wanted events
    exporter = Exporter(records, Archive(records, blobs), sink_from_url(url, hosts), 0.01)
    assert await exporter.export() == 0
    yield records, exporter
    await blobs.close()


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in events]


async def test_a_service_sends_what_it_answers(
    start_service: StartService, token_for: TokenFor, postgres_url: str, blobs_dir: Path, receiver: Receiver
) -> None:
    """M-83, M-84: each event is one of CloudEvents 1.0, its data MLSpec's inference request."""
    place = f"127.0.0.1:{receiver.port}"
    settings = {"events_url": f"http://{place}/in?a=b", "events_hosts": place, "events_interval_s": 0.02}
    async with recorded(start_service, token_for, postgres_url, blobs_dir, **settings) as running:
        await running.serve("digits", doubling(), recording_pb2.Recording(sample_rate=1.0))
        asked = await running.ask("digits", [[1, 2, 3, 4]])
        await eventually(lambda: bool(receiver.events))

    assert set(receiver.requests) == {("/in?a=b", "application/cloudevents-batch+json; charset=utf-8", place)}
    (event,) = receiver.events
    data = event.pop("data")
    assert event.pop("time").endswith("Z")
    assert event == {
        "specversion": "1.0",
        "id": asked.record,
        "source": "/projects/default/deployments/digits",
        "type": "headwater.inference.request.v1",
        "subject": str(asked),
        "datacontenttype": "application/json",
    }
    assert data["applicationInfo"] == {"applicationId": "reader", "applicationEndpoint": "/v2/models/digits/infer"}
    assert data["requestInfo"]["requestId"] == asked.record
    assert data["resultInfo"] == {"resultCode": "OK", "resultSizeInBytes": 16}
    assert data["modelInfo"] == {"models": ["digits/1"]}
    assert data["inputs"] == {"featureNames": ["x"], "featureValues": []}, "what people ask does not leave the platform"


async def test_what_was_not_taken_comes_again_and_nothing_is_left_out(receiver: Receiver) -> None:
    place = f"127.0.0.1:{receiver.port}"
    async with exporter(f"http://{place}/", place) as (records, exporting):
        new = [record() for _ in range(1200)]
        await records.append(new)
        receiver.answers = [204, 503]
        with pytest.raises(EventsNotTaken):
            await exporting.export()
        assert ids(receiver.events) == [each.request_id for each in new[:500]]

        again = Exporter(records, Archive(records, MemoryBlobs()), sink_from_url(f"http://{place}/", place), 0.01)
        assert await again.export() == 700  # another process, from the kept position
        assert await again.export() == 0
        assert ids(receiver.events) == [each.request_id for each in new]


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """Promise 15."""
    place = f"127.0.0.1:{receiver.port}"
    async with exporter(f"http://{place}/", place) as (records, exporting):
        await records.append([record()])
        receiver.answers = [307]
        with pytest.raises(EventsNotTaken):
            await exporting.export()
        assert [path for path, _, _ in receiver.requests] == ["/"]


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://127.0.0.1:1/", ""),
        ("http://127.0.0.1:1/", "127.0.0.1:2"),
        ("http://events.example.com:8080/", "events.example.com:8080"),
        ("https://user:secret@events.example.com/", "events.example.com"),
        ("ftp://127.0.0.1:1/", "127.0.0.1:1"),
        ("file://host/path", ""),
        ("", "127.0.0.1:1"),
        ("https://events.example.com/", "events.example.com:99999"),
    ],
)
def test_where_events_may_not_go_the_service_does_not_start(url: str, hosts: str) -> None:
    """Promise 15: not listed, or without TLS to a host whose address nobody vouches for."""
    with pytest.raises(ValidationError):
        Settings(events_url=url, events_hosts=hosts)


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    """Promise 15: checked at each batch, after the name was looked up."""
    async with exporter("https://localhost/", "localhost") as (records, exporting):
        await records.append([record()])
        with pytest.raises(Exception, match="address that is not allowed"):
            await exporting.export()


async def test_events_go_only_to_who_has_a_certificate_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is connected to is the address that was checked; who answers there has to be the host that was meant."""
    certificate = tmp_path / "localhost.pem"
    certificate.write_bytes(_certificate("localhost"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with contextlib.closing(Receiver(tls)) as receiver:
        listed = ",".join(f"{host}:{receiver.port}=127.0.0.1" for host in ("localhost", "127.0.0.1"))
        new = record()

        async def export(host: str) -> None:
            async with exporter(f"https://{host}:{receiver.port}/", listed) as (records, exporting):
                await records.append([new])
                await exporting.export()

        with pytest.raises(EventsNotTaken, match="SSLCertVerificationError"):
            await export("localhost")  # nobody trusts it
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(EventsNotTaken, match="SSLCertVerificationError"):
            await export("127.0.0.1")  # it is another's
        await export("localhost")
        assert ids(receiver.events) == [new.request_id]


def _certificate(host: str) -> bytes:
    """A key and a certificate for a host, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + made.public_bytes(serialization.Encoding.PEM)


async def test_events_go_into_a_file_and_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "gone" / "events.jsonl"
    async with exporter(file.as_uri()) as (records, exporting):
        new = [record() for _ in range(3)]
        await records.append(new)
        with pytest.raises(EventsNotTaken):
            await exporting.export()
        file.parent.mkdir()
        running = asyncio.create_task(exporting.run())
        await eventually(lambda: file.exists() and len(file.read_text().splitlines()) == 3)
        running.cancel()
        assert ids([json.loads(line) for line in file.read_text().splitlines()]) == [each.request_id for each in new]
