"""A remote server behind the Engine interface; tests/integration/inference/test_triton_server.py has a real Triton."""

import datetime
import ipaddress
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tritonclient.grpc import model_config_pb2

from chassis.hosts import HostNotAllowed, parse_hosts
from headwater.errors import HeadwaterError, Unavailable
from services.inference.engines.engine import EngineFailed, EngineTimedOut, ModelRefused
from services.inference.engines.options import EngineOptions, InvalidEngine
from services.inference.engines.triton.connection import Connection
from services.inference.engines.triton.endpoint import InvalidEndpoint, TritonEndpoint
from services.inference.engines.triton.engine import TritonEngine
from services.inference.engines.triton.errors import RemoteAway, RemoteBusy, RemoteRefused
from services.inference.tensors.model import Signature, TensorSpec
from tests.unit.inference.remotes import DIGEST, Remote, listening

X = TensorSpec("x", "FP32", (-1, 2))
ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)
_Code = grpc.StatusCode


@pytest.fixture
def remote() -> Remote:
    return Remote([X])


@pytest.fixture
def port(remote: Remote) -> Iterator[int]:
    with listening(remote) as bound:
        yield bound


def connection(port: int, *, hosts: str = "", address: str = "", timeout_s: float = 5.0, **more: Any) -> Connection:
    """By default the operator vouches for the server."""
    endpoint = TritonEndpoint(address or f"127.0.0.1:{port}", "echo", "3", tls=more.pop("tls", False))
    rules = parse_hosts(hosts or f"127.0.0.1:{port}")
    return Connection(endpoint, rules, certificates=more.pop("certificates", None), timeout_s=timeout_s)


def connect(port: int, registered: Signature | None = None, **more: Any) -> TritonEngine:
    return TritonEngine.connect(connection(port, **more), digest=DIGEST, registered=registered)


ALL_TYPES: dict[str, np.ndarray[Any, Any]] = {
    "BOOL": np.array([[True, False]]),
    "UINT8": np.array([[0, 255]], np.uint8),
    "UINT64": np.array([[0, 2**64 - 1]], np.uint64),
    "INT8": np.array([[-128, 127]], np.int8),
    "INT32": np.array([[-(2**31), 1]], np.int32),
    "INT64": np.array([[-(2**63), 1]], np.int64),
    "FP16": np.array([[0.1, np.inf]], np.float16),
    "BF16": np.array([[0x3F80, 0x7FC1]], np.uint16),
    "FP32": np.array([[0.1, np.nan]], np.float32),
    "FP64": np.array([[0.1, -np.inf]], np.float64),
    "BYTES": np.array([["zwölf".encode(), b"a\0b\0"]], np.object_),
}


def test_every_element_type_comes_back_bit_by_bit(remote: Remote, port: int) -> None:
    remote.specs = [TensorSpec(name.lower(), name, (-1, 2)) for name in ALL_TYPES]
    engine = connect(port)

    outputs = engine.predict([*ALL_TYPES.values()])

    assert engine.platform == "some_plan"
    assert engine.signature.batchable
    for spec, given, returned in zip(engine.signature.outputs, ALL_TYPES.values(), outputs, strict=True):
        assert returned.dtype == given.dtype, spec
        assert list(returned.flat) == list(given.flat) or returned.tobytes() == given.tobytes(), spec
    engine.close()


def test_a_batch_is_cut_to_what_the_server_takes_at_once(remote: Remote, port: int) -> None:
    engine = connect(port)
    rows = np.arange(42, dtype=np.float32).reshape(21, 2)
    assert np.array_equal(engine.predict([rows])[0], rows)
    assert remote.rows == [8, 8, 5]
    engine.close()


def test_a_server_that_takes_no_batches_gets_none(remote: Remote, port: int) -> None:
    remote.config.max_batch_size = 0
    engine = connect(port)
    assert not engine.signature.batchable
    assert np.array_equal(engine.predict([ROWS])[0], ROWS)
    engine.close()


@pytest.mark.parametrize(
    ("code", "said", "raised"),
    [
        (_Code.UNAVAILABLE, "Request for unknown model", RemoteAway),
        (_Code.UNAVAILABLE, "Exceeds maximum queue size", RemoteBusy),
        (_Code.RESOURCE_EXHAUSTED, "busy", RemoteBusy),
        (_Code.NOT_FOUND, "no such model", RemoteAway),
        (_Code.UNAUTHENTICATED, "who are you", RemoteAway),
        (_Code.INTERNAL, "in /opt/secret/model.py line 3", EngineFailed),
        (_Code.INVALID_ARGUMENT, "unexpected shape", EngineFailed),
        (_Code.UNIMPLEMENTED, "what", EngineFailed),
        (_Code.DEADLINE_EXCEEDED, "too slow", EngineTimedOut),
    ],
)
def test_its_errors_become_ours_and_none_of_its_words_get_out(
    remote: Remote, port: int, code: grpc.StatusCode, said: str, raised: type[HeadwaterError]
) -> None:
    """Promise 16."""
    engine = connect(port)
    remote.fail = (code, said)
    with pytest.raises(raised) as failed:
        engine.predict([ROWS])
    assert type(failed.value) is raised
    assert said not in failed.value.message
    assert said in str(failed.value.__cause__), "for the log"
    assert (failed.value.retry_after_ms is not None) is issubclass(raised, Unavailable)
    remote.fail = None
    assert np.array_equal(engine.predict([ROWS])[0], ROWS), "the next one is answered"
    engine.close()


def _without_raw(answer: Any) -> None:
    del answer.raw_output_contents[:]


WRONG: dict[str, Callable[[Any], Any]] = {
    "another version": lambda answer: setattr(answer, "model_version", "4"),
    "no raw contents": _without_raw,
    "another type": lambda answer: setattr(answer.outputs[0], "datatype", "INT32"),
    "another shape": lambda answer: answer.outputs[0].shape.append(1),
    "another name": lambda answer: setattr(answer.outputs[0], "name", "y"),
    "too few bytes": lambda answer: answer.raw_output_contents.__setitem__(0, b"123"),
    "nothing": lambda answer: (answer.outputs.pop(), answer.raw_output_contents.pop()),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_answer_that_is_not_what_was_promised_is_an_error_of_the_engine(
    remote: Remote, port: int, what: str
) -> None:
    engine = connect(port)
    remote.change = WRONG[what]
    with pytest.raises(EngineFailed):
        engine.predict([ROWS])
    engine.close()


def test_a_call_that_nobody_waits_for_is_cancelled_at_the_server(remote: Remote, port: int) -> None:
    """Promise 9."""
    engine = connect(port)
    remote.gate.clear()
    threading.Timer(0.1, engine.stop).start()
    with pytest.raises(EngineFailed):
        engine.predict([ROWS])
    assert remote.gone.wait(5)
    remote.gate.set()
    assert np.array_equal(engine.predict([ROWS])[0], ROWS)
    engine.close()


def test_a_server_that_hangs_has_only_its_time(remote: Remote, port: int) -> None:
    engine = connect(port, timeout_s=0.3)
    remote.gate.clear()
    begun = time.monotonic()
    with pytest.raises(EngineTimedOut):
        engine.predict([ROWS])
    assert time.monotonic() - begun < 2
    engine.close()


def test_a_server_that_comes_back_must_say_again_what_it_serves(remote: Remote) -> None:
    with listening(remote) as port:
        engine = connect(port)
        assert np.array_equal(engine.predict([ROWS])[0], ROWS)
    with pytest.raises(RemoteAway):
        engine.predict([ROWS])

    remote.digest = "sha256:other"
    with listening(remote, port=port):
        with pytest.raises(RemoteRefused, match="declares to be 'sha256:other'"):
            engine.predict([ROWS])
        assert len(remote.rows) == 1, "it was asked nothing"
        remote.digest = DIGEST
        assert np.array_equal(engine.predict([ROWS])[0], ROWS)
    engine.close()


REFUSED: dict[str, tuple[Callable[[Remote], Any], type[HeadwaterError], str]] = {
    "undeclared": (
        lambda remote: setattr(remote, "digest", ""),
        RemoteRefused,
        "its config.pbtxt must have: parameters",
    ),
    "another version": (lambda remote: setattr(remote, "digest", "sha256:00"), RemoteRefused, "declares to be"),
    "stateful": (lambda remote: remote.config.sequence_batching.SetInParent(), RemoteRefused, "sequence_batching"),
    "decoupled": (
        lambda remote: remote.config.model_transaction_policy.CopyFrom(
            model_config_pb2.ModelTransactionPolicy(decoupled=True)
        ),
        RemoteRefused,
        "decoupled",
    ),
    "unknown type": (lambda remote: remote.specs.append(TensorSpec("y", "FP8", (1,))), RemoteRefused, "'FP8'"),
    "not ready": (lambda remote: setattr(remote, "ready", False), RemoteAway, "is not ready"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_served_is_refused_when_it_is_loaded(remote: Remote, port: int, what: str) -> None:
    change, raised, told = REFUSED[what]
    change(remote)
    with pytest.raises(raised, match=told):
        connect(port)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ((TensorSpec("x", "FP64", (-1, 2)),), r"'x' is FP64 \[-1, 2\] in the version and FP32 \[-1, 2\]"),
        ((TensorSpec("x", "FP32", (-1, 3)),), r"\[-1, 3\] in the version"),
        ((TensorSpec("x", "FP32", (-1, 2, 1)),), r"\[-1, 2, 1\] in the version"),
        ((TensorSpec("z", "FP32", (-1, 2)),), "has the inputs 'z'; the remote model has 'x'"),
        ((X, TensorSpec("z", "FP32", (-1, 2))), "has the inputs 'x', 'z'"),
    ],
)
def test_a_model_of_another_signature_than_the_versions_is_refused(
    port: int, inputs: tuple[TensorSpec, ...], told: str
) -> None:
    with pytest.raises(RemoteRefused, match=told):
        connect(port, Signature(inputs, (), batchable=True))


def test_what_the_version_does_not_say_fits_anything(port: int) -> None:
    connect(port, Signature((TensorSpec("x", "", (-1, -1)),), (), batchable=True)).close()


@pytest.mark.parametrize(
    ("hosts", "address", "raised"),
    [
        ("other.example.com:8001", "", HostNotAllowed),
        ("127.0.0.1:1", "", HostNotAllowed),
        ("localhost:{port}", "localhost:{port}", HostNotAllowed),  # a name that leads to a private address
        ("169.254.0.0:{port}", "", HostNotAllowed),
        ("1.1.1.1:{port},*.com:{port}", "127.0.0.1:{port}", HostNotAllowed),
    ],
)
def test_only_servers_that_the_operator_lists_are_spoken_to(
    remote: Remote, port: int, hosts: str, address: str, raised: type[HeadwaterError]
) -> None:
    """Promise 15."""
    with pytest.raises(raised):
        connect(port, hosts=hosts.format(port=port), address=address.format(port=port))
    assert not remote.asked


def test_a_name_that_the_operator_gives_an_address_is_spoken_to(port: int) -> None:
    connect(port, hosts=f"localhost:{port}=127.0.0.1", address=f"localhost:{port}").close()


def test_without_tls_only_servers_at_listed_addresses_are_spoken_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("93.184.215.14", port))])
    with pytest.raises(ModelRefused, match="TLS"):
        connect(port, hosts=f"triton.example.com:{port}", address=f"triton.example.com:{port}")


def _certificate(host: str) -> tuple[bytes, bytes]:
    """A key and a certificate that it has signed itself, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.9"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain), made.public_bytes(pem)


def test_with_tls_a_server_proves_its_name(remote: Remote) -> None:
    key, certificate = _certificate("triton.internal")
    with listening(remote, credentials=grpc.ssl_server_credentials([(key, certificate)])) as port:

        def connected(host: str, trusted: bytes) -> TritonEngine:
            hosts = f"{host}:{port}=127.0.0.1"
            return connect(port, hosts=hosts, address=f"{host}:{port}", tls=True, certificates=trusted)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", port))])
            engine = connected("triton.internal", certificate)
            assert np.array_equal(engine.predict([ROWS])[0], ROWS)
            engine.close()
            with pytest.raises(RemoteAway):
                connected("other.internal", certificate)
            with pytest.raises(RemoteAway):
                connected("triton.internal", _certificate("triton.internal")[1])


@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        (("http://x:8001", "m", "1"), "address"),
        (("x", "m", "1"), "address"),
        (("x:0", "m", "1"), "address"),
        (("x:70000", "m", "1"), "address"),
        (("X:8001", "m", "1"), "address"),
        (("user@x:8001", "m", "1"), "address"),
        (("x:8001/../", "m", "1"), "address"),
        (("x:8001", "../m", "1"), "model_name"),
        (("x:8001", "", "1"), "model_name"),
        (("x:8001", "m", ""), "model_version"),
        (("x:8001", "m", "latest"), "model_version"),
        (("x:8001", "m", "0"), "model_version"),
    ],
)
def test_what_is_no_endpoint_is_refused_by_its_field(endpoint: tuple[str, str, str], field: str) -> None:
    """Promise 13."""
    with pytest.raises(InvalidEndpoint) as refused:
        TritonEndpoint(*endpoint)
    assert refused.value.metadata["field"] == f"engine.triton.{field}"


@pytest.mark.parametrize("said", [{"device": "cuda"}, {"threads": 2}, {"callable": "f"}, {"inputs": (X,)}])
def test_what_only_an_engine_here_could_do_is_not_asked_of_a_server(said: dict[str, Any]) -> None:
    with pytest.raises(InvalidEngine, match="leave it out beside triton") as refused:
        EngineOptions(triton=TritonEndpoint("x:1", "m", "1"), **said)
    assert refused.value.metadata["field"] == f"engine.{next(iter(said))}"


def test_an_endpoint_knows_its_host_and_its_port() -> None:
    assert (TritonEndpoint("[::1]:8001", "m", "1").host, TritonEndpoint("a.b:65535", "m", "1").port) == ("::1", 65535)
