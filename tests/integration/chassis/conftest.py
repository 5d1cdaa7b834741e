"""The tiny service, running, and stubs for it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from chassis import Service
from chassis.testing import Connect, StartService
from headwater.registry.v1 import artifacts_pb2_grpc
from tests.integration.chassis.tiny_service import SmallLimits, TinyArtifacts, tiny_service


@pytest_asyncio.fixture
async def artifacts() -> TinyArtifacts:
    """The servicer of ``tiny``."""
    return TinyArtifacts()  # type: ignore[abstract]  # the other methods are UNIMPLEMENTED


@pytest_asyncio.fixture
async def tiny(start_service: StartService, artifacts: TinyArtifacts) -> AsyncIterator[Service]:
    """The tiny service with small limits, with authentication."""

    async def build(settings: SmallLimits) -> Service:
        return tiny_service(settings, artifacts)

    yield await start_service(build, SmallLimits, database_url="", redis_url="")
    artifacts.go_on.set()


@pytest_asyncio.fixture
async def stub(tiny: Service, connect: Connect) -> "artifacts_pb2_grpc.ArtifactServiceAsyncStub":
    """A stub in the role of an administrator."""
    return artifacts_pb2_grpc.ArtifactServiceStub(connect(tiny.address))
