"""A registry whose bytes are in object storage: uploads in parts, and model files read by range."""

import asyncio
import hashlib
import io
import json
import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import torch

from chassis import Service
from chassis.testing import StartService
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import HeadwaterError, Unavailable
from headwater.registry.v1 import artifacts_pb2, model_versions_pb2, models_pb2
from services.registry.__main__ import build
from services.registry.settings import Settings
from tests.data.models.safetensors_files import with_header
from tests.integration.registry.client import DEFAULT, DIGITS, Client
from tests.integration.registry.object_storage import BUCKET, ObjectStorage, object_storage

MIB = 2**20
CONTENT = os.urandom(16 * MIB + 17)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
Write = artifacts_pb2.WriteArtifactUploadRequest


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStorage]:
    """A bucket, which the environment leads to."""
    with object_storage() as storage:
        for name, value in storage.environment.items():
            monkeypatch.setenv(name, value)
        yield storage


@pytest_asyncio.fixture
async def registry(start_service: StartService, storage: ObjectStorage) -> Service:
    """A registry that keeps its bytes in the bucket."""
    url = f"s3://{BUCKET}/platform"
    return await start_service(build, Settings, redis_url="", blobs_url=url, upload_idle_s=5, log_level="ERROR")


async def _messages(name: str, begin: int, end: int, *, hangs: bool = False) -> AsyncIterator[Write]:
    for start in range(begin, end, MIB):
        data = CONTENT[start : min(start + MIB, end)]
        yield Write(name=name, offset=begin, data=data) if start == begin else Write(data=data)
    if hangs:
        await asyncio.sleep(60)


async def _begin(client: Client) -> str:
    request = artifacts_pb2.CreateArtifactUploadRequest(
        parent=DEFAULT, filename="a.bin", digest=DIGEST, size_bytes=len(CONTENT)
    )
    return (await client.artifacts.CreateArtifactUpload(request)).name


async def _stored_bytes(client: Client, name: str) -> int:
    return (await client.artifacts.GetArtifactUpload(artifacts_pb2.GetArtifactUploadRequest(name=name))).stored_bytes


async def test_a_large_file_in_several_calls_goes_on_after_one_that_broke(
    client: Client, storage: ObjectStorage
) -> None:
    """R-17. Of the part that was cut off nothing stays, neither seen nor as the store's own unseen parts."""
    name = await _begin(client)
    await client.artifacts.WriteArtifactUpload(_messages(name, 0, 3 * MIB))
    with pytest.raises(HeadwaterError) as broken:
        await client.artifacts.WriteArtifactUpload(_messages(name, 3 * MIB, 15 * MIB, hangs=True))
    assert broken.value.reason == "UPLOAD_IDLE"
    assert await _stored_bytes(client, name) == 3 * MIB
    assert len(storage.objects()) == 1
    assert storage.incomplete() == []
    await client.artifacts.WriteArtifactUpload(_messages(name, 3 * MIB, len(CONTENT)))
    artifact = await client.artifacts.FinishArtifactUpload(artifacts_pb2.FinishArtifactUploadRequest(name=name))
    assert artifact.digest == DIGEST
    assert await client.download(artifact.name) == CONTENT
    assert [key.rpartition("/")[2] for key in storage.objects()] == [DIGEST.removeprefix("sha256:")]
    assert storage.incomplete() == []


async def test_an_upload_goes_on_when_the_store_is_back(client: Client, storage: ObjectStorage) -> None:
    """Promise 2: while it is away nothing is acknowledged, and nothing by half is seen."""
    name = await _begin(client)
    await client.artifacts.WriteArtifactUpload(_messages(name, 0, 9 * MIB))
    storage.stop()
    try:
        for call in (
            client.artifacts.WriteArtifactUpload(_messages(name, 9 * MIB, 10 * MIB)),
            client.artifacts.FinishArtifactUpload(artifacts_pb2.FinishArtifactUploadRequest(name=name)),
        ):
            with pytest.raises(HeadwaterError):
                await call
        with pytest.raises(Unavailable) as away:
            await client.upload(b"small")
        assert away.value.reason == "BLOB_STORE_UNAVAILABLE"
        assert await _stored_bytes(client, name) == 9 * MIB
    finally:
        storage.start()
    await client.artifacts.WriteArtifactUpload(_messages(name, 9 * MIB, len(CONTENT)))
    artifact = await client.artifacts.FinishArtifactUpload(artifacts_pb2.FinishArtifactUploadRequest(name=name))
    assert await client.download(artifact.name) == CONTENT


async def _register(client: Client, storage: ObjectStorage, content: bytes) -> tuple[artifact_pb2.ModelMetadata, int]:
    """The version of one file, and how many bytes of the file were read to register it."""
    artifact = await client.upload(content)
    storage.read.clear()
    file = models_pb2.ModelFileReference(path="model.bin", artifact=artifact.name)
    version = await client.models.CreateModelVersion(models_pb2.CreateModelVersionRequest(parent=DIGITS, files=[file]))
    return version, sum(storage.read.values())


async def test_of_a_model_file_only_what_describes_it_is_read(client: Client, storage: ObjectStorage) -> None:
    """R-16: of twelve mebibytes less than two, in either format; and of one tensor its own bytes."""
    weights = {f"layer.{number}": torch.rand(2**20) for number in range(3)}
    saved = io.BytesIO()
    torch.save(weights, saved)
    entries = {
        name: {"dtype": "F32", "shape": [2**20], "data_offsets": [4 * MIB * number, 4 * MIB * (number + 1)]}
        for number, name in enumerate(weights)
    }
    raw = b"".join(tensor.numpy().tobytes() for tensor in weights.values())
    for content, format_ in (
        (with_header(json.dumps(entries), raw), artifact_pb2.ModelFile.FORMAT_SAFETENSORS),
        (saved.getvalue(), artifact_pb2.ModelFile.FORMAT_PYTORCH),
    ):
        version, read_bytes = await _register(client, storage, content)
        assert (version.format, version.parameter_count) == (format_, 3 * 2**20)
        assert 0 < read_bytes < 2 * MIB
        if format_ == artifact_pb2.ModelFile.FORMAT_SAFETENSORS:
            storage.read.clear()
            request = model_versions_pb2.ReadTensorRequest(name=version.name, tensor="layer.1")
            read = b"".join([message.data async for message in client.models.ReadTensor(request)])
            assert read == weights["layer.1"].numpy().tobytes()
            assert sum(storage.read.values()) == 4 * MIB
