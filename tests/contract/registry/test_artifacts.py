"""Artifacts, over every store."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from chassis.blobs import MemoryBlobs
from chassis.blobs.protocol import DigestMismatch
from headwater.errors import DataLoss
from headwater.names import ArtifactName, InvalidName, ProjectName
from services.registry.artifacts.artifacts import Artifacts
from services.registry.artifacts.errors import ArtifactLost, ArtifactNotFound, ArtifactTooLarge
from services.registry.origin import Origin
from services.registry.projects.errors import ProjectNotFound
from tests.contract.registry.builders import DEFAULT

DIGEST = f"sha256:{hashlib.sha256(b'some bytes').hexdigest()}"


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_what_was_stored_comes_back(artifacts: Artifacts, me: Origin) -> None:
    stored = await artifacts.upload(DEFAULT, "a.bin", DIGEST, _chunks(b"some", b" bytes"), me)
    assert (stored.digest, stored.size_bytes, stored.filename) == (DIGEST, 10, "a.bin")
    assert stored.created_by == "tester"
    assert await artifacts.get(stored.name) == stored
    assert b"".join([chunk async for chunk in artifacts.download(stored.name)]) == b"some bytes"


async def test_the_same_bytes_again_are_the_same_artifact(artifacts: Artifacts, me: Origin) -> None:
    first = await artifacts.upload(DEFAULT, "a.bin", "", _chunks(b"some bytes"), me)
    assert await artifacts.upload(DEFAULT, "b.bin", "", _chunks(b"some", b" bytes"), me) == first


async def test_an_artifact_may_be_empty(artifacts: Artifacts, me: Origin) -> None:
    stored = await artifacts.upload(DEFAULT, "", "", _chunks(), me)
    assert stored.size_bytes == 0
    assert [chunk async for chunk in artifacts.download(stored.name) if chunk] == []


async def test_bytes_that_are_not_the_declared_ones_are_not_stored(artifacts: Artifacts, me: Origin) -> None:
    with pytest.raises(DigestMismatch):
        await artifacts.upload(DEFAULT, "a.bin", DIGEST, _chunks(b"other bytes"), me)
    for content in (b"some bytes", b"other bytes"):
        with pytest.raises(ArtifactNotFound):
            await artifacts.get(ArtifactName("default", hashlib.sha256(content).hexdigest()))


async def test_too_many_bytes_are_not_stored(artifacts: Artifacts, me: Origin) -> None:
    """Promise 8: the limit of these tests is one mebibyte."""
    with pytest.raises(ArtifactTooLarge):
        await artifacts.upload(DEFAULT, "", "", _chunks(bytes(2**20), b"x"), me)
    with pytest.raises(ArtifactNotFound):
        await artifacts.get(ArtifactName("default", hashlib.sha256(bytes(2**20)).hexdigest()))


async def test_an_artifact_needs_its_project(artifacts: Artifacts, me: Origin) -> None:
    with pytest.raises(ProjectNotFound):
        await artifacts.upload(ProjectName("nowhere"), "", "", _chunks(b"x"), me)


async def test_an_artifact_is_named_by_its_digest(artifacts: Artifacts) -> None:
    with pytest.raises(InvalidName):
        await artifacts.get(ArtifactName("default", "model"))


async def test_bytes_that_are_gone_are_told_as_lost(artifacts: Artifacts, blobs: MemoryBlobs, me: Origin) -> None:
    """Promise 5."""
    stored = await artifacts.upload(DEFAULT, "", "", _chunks(b"some bytes"), me)
    await blobs.delete(stored.digest)
    with pytest.raises(ArtifactLost) as lost:
        _ = [chunk async for chunk in artifacts.download(stored.name)]
    assert isinstance(lost.value, DataLoss)
