"""System shared memory with the stock clients, over gRPC and over HTTP, switched on for keys of one beginning."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException, serialize_byte_tensor

from chassis.auth import Authenticator, Role
from tests.integration.inference.example_service import Examples, on_free_ports, running

BYTES = 64
COUNTING = np.arange(16, dtype=np.int32).reshape(1, 16)
ONES = np.ones((1, 16), np.int32)
PREFIX = f"/headwater-test-{os.getpid()}-"


@pytest.fixture(scope="module")
def examples() -> Iterator[Examples]:
    """The service."""
    with running(Authenticator(b"k" * 32), on_free_ports(shared_memory_prefixes=f"{PREFIX},/another-")) as started:
        yield started


@pytest.fixture(params=["grpc", "http"])
def protocol(request: pytest.FixtureRequest) -> Any:
    """The module of a stock client."""
    return {"grpc": triton_grpc, "http": triton_http}[request.param]


@pytest.fixture
def client(examples: Examples, protocol: Any) -> Iterator[Any]:
    """The stock client."""
    with protocol.InferenceServerClient(examples.grpc if protocol is triton_grpc else examples.http) as made:
        made.unregister_system_shared_memory(headers=examples.headers())
        yield made


@pytest.fixture
def headers(examples: Examples) -> dict[str, str]:
    """What an administrator sends."""
    return examples.headers()


@pytest.fixture
def key() -> Iterator[str]:
    """The key of a shared memory object of four tensors."""
    made = f"{PREFIX}{secrets.token_hex(4)}"
    handle = shm.create_shared_memory_region("made", made, 4 * BYTES)
    yield made
    shm.destroy_shared_memory_region(handle)


def handle_of(key: str) -> Any:
    return shm.create_shared_memory_region("opened", key, 4 * BYTES)


def two(protocol: Any, region: str = "data") -> list[Any]:
    given = []
    for position, name in enumerate(("INPUT0", "INPUT1")):
        given.append(protocol.InferInput(name, [1, 16], "INT32"))
        given[-1].set_shared_memory(region, BYTES, offset=position * BYTES)
    return given


def test_inputs_are_read_from_and_outputs_written_to_regions(
    protocol: Any, client: Any, headers: dict[str, str], key: str
) -> None:
    handle = handle_of(key)
    shm.set_shared_memory_region(handle, [COUNTING, ONES])
    client.register_system_shared_memory("data", key, 4 * BYTES, headers=headers)
    outputs = [protocol.InferRequestedOutput("OUTPUT0"), protocol.InferRequestedOutput("OUTPUT1")]
    outputs[0].set_shared_memory("data", BYTES, offset=2 * BYTES)

    result = client.infer("simple", two(protocol), outputs=outputs, headers=headers)

    assert np.array_equal(shm.get_contents_as_numpy(handle, np.int32, [1, 16], offset=2 * BYTES), COUNTING + ONES)
    assert np.array_equal(result.as_numpy("OUTPUT1"), COUNTING - ONES)
    told = result.get_output("OUTPUT0")
    shape = told["shape"] if protocol is triton_http else told.shape
    assert list(shape) == [1, 16]
    shm.destroy_shared_memory_region(handle)


def test_texts_travel_through_regions(protocol: Any, client: Any, headers: dict[str, str], key: str) -> None:
    handle = handle_of(key)
    words = serialize_byte_tensor(np.array([[b"a", b"", "zwölf".encode()]], np.object_))
    shm.set_shared_memory_region(handle, [words])
    size = len(words.item())
    client.register_system_shared_memory("data", key, 4 * BYTES, headers=headers)
    given = protocol.InferInput("INPUT0", [1, 3], "BYTES")
    given.set_shared_memory("data", size)
    outputs = [protocol.InferRequestedOutput("OUTPUT0")]
    outputs[0].set_shared_memory("data", 2 * BYTES, offset=2 * BYTES)
    client.infer("simple_identity", [given], outputs=outputs, headers=headers)
    found = shm.get_contents_as_numpy(handle, np.object_, [1, 3], offset=2 * BYTES)
    assert found.tolist() == [[b"a", b"", "zwölf".encode()]]
    shm.destroy_shared_memory_region(handle)


def test_regions_are_told_and_forgotten(protocol: Any, client: Any, headers: dict[str, str], key: str) -> None:
    client.register_system_shared_memory("data", key, BYTES, offset=BYTES, headers=headers)
    told = client.get_system_shared_memory_status(headers=headers)
    found = told[0] if protocol is triton_http else told.regions["data"]
    fields = ("name", "key", "offset", "byte_size")
    read = [found[name] if protocol is triton_http else getattr(found, name) for name in fields]
    assert read == ["data", key, BYTES, BYTES]
    with pytest.raises(InferenceServerException, match="registered already"):
        client.register_system_shared_memory("data", key, BYTES, headers=headers)
    client.unregister_system_shared_memory("data", headers=headers)
    client.unregister_system_shared_memory("data", headers=headers)
    with pytest.raises(InferenceServerException, match="Unable to find"):
        client.get_system_shared_memory_status("data", headers=headers)
    with pytest.raises(InferenceServerException, match="Unable to find"):
        client.infer("simple", two(protocol), headers=headers)


def test_a_region_is_of_no_use_to_anybody_else(
    examples: Examples, protocol: Any, client: Any, headers: dict[str, str], key: str
) -> None:
    client.register_system_shared_memory("data", key, 4 * BYTES, headers=headers)
    other = examples.headers(Role.ADMIN, subject="another")
    with pytest.raises(InferenceServerException, match="Unable to find"):
        client.infer("simple", two(protocol), headers=other)
    told = client.get_system_shared_memory_status(headers=other)
    assert not (told if protocol is triton_http else told.regions)
    client.unregister_system_shared_memory(headers=other)
    client.infer("simple", two(protocol), headers=headers)
    with pytest.raises(InferenceServerException, match="needs the role admin"):
        client.register_system_shared_memory("data", key, BYTES, headers=examples.headers(Role.WRITER))


@pytest.mark.parametrize(
    ("offset", "size", "text"),
    [
        (3 * BYTES, 2 * BYTES, "beyond its end"),
        (2**63 - 1, BYTES, "beyond its end"),
        (0, 0, "byte size of 1 or more"),
    ],
)
def test_a_region_ends_where_its_object_ends(
    client: Any, headers: dict[str, str], key: str, offset: int, size: int, text: str
) -> None:
    with pytest.raises(InferenceServerException, match=text):
        client.register_system_shared_memory("data", key, size, offset=offset, headers=headers)


def test_a_tensor_ends_where_its_region_ends(protocol: Any, client: Any, headers: dict[str, str], key: str) -> None:
    client.register_system_shared_memory("data", key, 2 * BYTES, headers=headers)
    beyond = two(protocol)
    beyond[1].set_shared_memory("data", BYTES, offset=2 * BYTES)
    with pytest.raises(InferenceServerException, match="go beyond its end"):
        client.infer("simple", beyond, headers=headers)
    short = two(protocol)
    short[1].set_shared_memory("data", BYTES - 4, offset=BYTES)
    with pytest.raises(InferenceServerException, match="takes 64 bytes; 60 came"):
        client.infer("simple", short, headers=headers)
    outputs = [protocol.InferRequestedOutput("OUTPUT0")]
    outputs[0].set_shared_memory("data", BYTES // 2)
    with pytest.raises(InferenceServerException, match="takes 64 bytes; the place in region 'data' has 32"):
        client.infer("simple", two(protocol), outputs=outputs, headers=headers)


def test_an_object_that_is_cut_short_harms_nobody(
    protocol: Any, client: Any, headers: dict[str, str], key: str
) -> None:
    client.register_system_shared_memory("data", key, 4 * BYTES, headers=headers)
    os.truncate(f"/dev/shm{key}", BYTES)
    with pytest.raises(InferenceServerException, match="cut short"):
        client.infer("simple", two(protocol), headers=headers)
    assert client.is_server_live(headers=headers)


@pytest.mark.parametrize(
    "key",
    ["/other", "/../etc/passwd", "/headwater-test/../../etc/passwd", "..", "/", "", "/another-\n", "/another-ü"],
)
def test_other_keys_are_refused(client: Any, headers: dict[str, str], key: str) -> None:
    with pytest.raises(InferenceServerException, match="must be one name that begins with /headwater-test-"):
        client.register_system_shared_memory("data", key, BYTES, headers=headers)


def test_what_is_no_shared_memory_is_refused(client: Any, headers: dict[str, str], tmp_path: Path, key: str) -> None:
    target = tmp_path / "secret"
    target.write_bytes(b"x" * BYTES)
    names = [f"{PREFIX}{kind}" for kind in ("missing", "link", "hard", "pipe", "folder")]
    paths = [Path(f"/dev/shm{name}") for name in names]
    paths[1].symlink_to(target)
    paths[2].hardlink_to(f"/dev/shm{key}")
    os.mkfifo(paths[3])
    paths[4].mkdir()
    try:
        for name in names:
            with pytest.raises(InferenceServerException, match=r"cannot be opened|no shared memory object"):
                client.register_system_shared_memory("data", name, BYTES, headers=headers)
    finally:
        paths[4].rmdir()
        for path in paths[1:4]:
            path.unlink()


def test_cuda_shared_memory_is_refused_with_the_reason(client: Any, headers: dict[str, str]) -> None:
    client.unregister_cuda_shared_memory(headers=headers)  # as programs do before they begin: there is none
    client.get_cuda_shared_memory_status(headers=headers)
    with pytest.raises(InferenceServerException, match="CUDA shared memory is not supported"):
        client.register_cuda_shared_memory("data", b"aGFuZGxl", 0, BYTES, headers=headers)
    with pytest.raises(InferenceServerException, match="CUDA shared memory is not supported"):
        client.get_cuda_shared_memory_status("data", headers=headers)


def test_the_extension_is_told(protocol: Any, client: Any, headers: dict[str, str]) -> None:
    told = client.get_server_metadata(headers=headers)
    assert "system_shared_memory" in (told["extensions"] if protocol is triton_http else told.extensions)
