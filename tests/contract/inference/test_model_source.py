"""What both sources of model versions promise: memory, and a running registry."""

import hashlib
from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import pytest_asyncio

from chassis.auth import Role
from chassis.testing.services import Connect, StartService
from headwater.artifact.v1 import artifact_pb2
from headwater.errors import NotFound, Unavailable
from headwater.names import ModelName
from headwater.registry.v1 import models_pb2
from services.inference.models.memory import MemoryModels, NewFile
from services.inference.models.registry import RegistryModels
from services.inference.models.source import ModelSource, ModelVersion, NoSuchVersion, Selector, SelectorKind
from services.registry.__main__ import build
from services.registry.settings import Settings as RegistrySettings
from tests.integration.inference.pipelines import document, recorded
from tests.integration.registry.client import Client
from tests.unit.inference import onnx_models

MODEL = ModelName("default", "digits")
CONTENT = onnx_models.doubling()
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
PRODUCTION = Selector(SelectorKind.STAGE, "production")
STAGING = Selector(SelectorKind.STAGE, "staging")
CHAMPION = Selector(SelectorKind.ALIAS, "champion")


class Shelf(Protocol):
    """A source, and how a test fills it."""

    source: ModelSource

    async def add(self, content: bytes, pipeline: str = "") -> str:
        """The next version with this file, prepared by this pipeline document; its number."""

    async def point(self, selector: Selector, number: str) -> None:
        """Let a stage or an alias hold a version."""


class MemoryShelf(Shelf):
    def __init__(self) -> None:
        self.source = self._models = MemoryModels()
        self._versions: dict[str, ModelVersion] = {}

    async def add(self, content: bytes, pipeline: str = "") -> str:
        files = {"model.onnx": NewFile("onnx", content)}
        version = self._models.add(MODEL, files, recorded(pipeline) if pipeline else None)
        self._versions[version.name.version] = version
        return version.name.version

    async def point(self, selector: Selector, number: str) -> None:
        self._models.point(MODEL, selector, self._versions[number])


class RegistryShelf(Shelf):
    def __init__(self, source: RegistryModels, client: Client) -> None:
        self.source = source
        self._client = client

    async def add(self, content: bytes, pipeline: str = "") -> str:
        artifact = await self._client.upload(content)
        request = models_pb2.CreateModelVersionRequest(
            parent=str(MODEL),
            files=[models_pb2.ModelFileReference(path="model.onnx", artifact=artifact.name)],
            preprocessing=artifact_pb2.Preprocessing(document=pipeline) if pipeline else None,
        )
        return (await self._client.models.CreateModelVersion(request)).version

    async def point(self, selector: Selector, number: str) -> None:
        if selector.kind is SelectorKind.ALIAS:
            alias = models_pb2.SetModelAliasRequest(name=str(MODEL), alias=selector.value, version=number)
            await self._client.models.SetModelAlias(alias)
            return
        stage = artifact_pb2.ModelMetadata.Stage.Value(f"STAGE_{selector.value.upper()}")
        move = models_pb2.SetModelVersionStageRequest(name=f"{MODEL}/versions/{number}", stage=stage)
        await self._client.models.SetModelVersionStage(move)


@pytest_asyncio.fixture(params=["memory", "registry"])
async def shelf(request: pytest.FixtureRequest, start_service: StartService, connect: Connect) -> AsyncIterator[Shelf]:
    if request.param == "memory":
        yield MemoryShelf()
        return
    service = await start_service(build, RegistrySettings, redis_url="", log_level="ERROR")
    source = RegistryModels(connect(service.address, Role.READER))
    yield RegistryShelf(source, Client.on(connect(service.address)))


async def test_a_version_is_found_by_number_stage_and_alias(shelf: Shelf) -> None:
    number = await shelf.add(CONTENT)
    await shelf.point(STAGING, number)
    await shelf.point(CHAMPION, number)

    found = [
        await shelf.source.resolve(MODEL, selector)
        for selector in (Selector(SelectorKind.VERSION, number), STAGING, CHAMPION)
    ]

    assert found[0] == found[1] == found[2]
    version = found[0]
    assert str(version.name) == f"{MODEL}/versions/1"
    assert version.digest.startswith("sha256:")
    file = version.servable_file(["onnx"])
    assert (file.path, file.digest, file.size_bytes, file.format) == ("model.onnx", DIGEST, len(CONTENT), "onnx")


async def test_a_version_tells_its_pipeline_with_everything_to_run_it(shelf: Shelf) -> None:
    """N-04."""
    without, with_one = await shelf.add(CONTENT), await shelf.add(CONTENT, document())
    found = [await shelf.source.resolve(MODEL, Selector(SelectorKind.VERSION, each)) for each in (without, with_one)]
    assert found[0].preprocessing is None
    assert found[1].preprocessing == recorded(document())
    assert found[0].digest == found[1].digest
    assert found[0].content != found[1].content  # another pipeline over the same files answers otherwise


async def test_a_source_that_is_there_says_so(shelf: Shelf) -> None:
    await shelf.source.check()


async def test_a_stage_is_followed_as_it_moves(shelf: Shelf) -> None:
    for content in (CONTENT, onnx_models.scaled(3)):
        await shelf.point(PRODUCTION, await shelf.add(content))
        last = await shelf.source.resolve(MODEL, PRODUCTION)
    assert last.name.version == "2"
    assert last.digest != (await shelf.source.resolve(MODEL, Selector(SelectorKind.VERSION, "1"))).digest


@pytest.mark.parametrize("selector", [PRODUCTION, CHAMPION, Selector(SelectorKind.VERSION, "9")])
async def test_where_nothing_is_there_is_no_such_version(shelf: Shelf, selector: Selector) -> None:
    with pytest.raises(NoSuchVersion):
        await shelf.source.resolve(MODEL, selector)
    await shelf.add(CONTENT)
    with pytest.raises(NoSuchVersion):
        await shelf.source.resolve(MODEL, selector)


async def test_the_bytes_of_a_file_come_in_order(shelf: Shelf) -> None:
    content = onnx_models.doubling(columns=500_000)
    await shelf.add(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert b"".join([chunk async for chunk in shelf.source.download(MODEL, digest)]) == content


async def test_bytes_that_are_not_there_are_not_found(shelf: Shelf) -> None:
    with pytest.raises(NotFound):
        await anext(shelf.source.download(MODEL, DIGEST))


async def test_a_source_that_is_away_is_unavailable(connect: Connect) -> None:
    """Not NoSuchVersion, which would end the serving of what is loaded."""
    memory = MemoryModels()
    memory.away = True
    for source in (memory, RegistryModels(connect("127.0.0.1:1", Role.READER))):
        with pytest.raises(Unavailable):
            await source.check()
        with pytest.raises(Unavailable):
            await source.resolve(MODEL, PRODUCTION)
        with pytest.raises(Unavailable):
            await anext(source.download(MODEL, DIGEST))
