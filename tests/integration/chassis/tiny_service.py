"""A small real service for the tests of the edges: ArtifactService, kept in a dictionary, with a few special names."""

# ruff: noqa: N802 (the names are those of the protos)

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from chassis import Service, ServiceSettings
from chassis.auth import Authenticator, current_principal
from headwater.errors import NotFound
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc

SECRET = "SELECT secret FROM /home/vault"
PREFIX = "/headwater.registry.v1.ArtifactService"


class ArtifactNotFound(NotFound):
    """No such artifact."""

    reason = "ARTIFACT_NOT_FOUND"


class TinyArtifacts(artifacts_pb2_grpc.ArtifactServiceServicer):
    """What a name asks for, it gets: ``boom`` fails, ``slow`` waits, ``missing`` is not there."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = 0

    async def GetArtifact(self, request: artifacts_pb2.GetArtifactRequest, context: Any) -> artifacts_pb2.Artifact:
        if request.name == "boom":
            raise ValueError(SECRET)
        if request.name == "missing":
            raise ArtifactNotFound(artifact="a" * 5000, colour="grün")
        if request.name == "abort":
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, "by hand")
        if request.name == "slow":
            await self._wait()
        return artifacts_pb2.Artifact(name=request.name, created_by=current_principal().subject)

    async def UploadArtifact(
        self, request: AsyncIterator[artifacts_pb2.UploadArtifactRequest], context: Any
    ) -> artifacts_pb2.Artifact:
        size = 0
        async for part in request:
            if part.header.filename == "boom":
                raise ValueError(SECRET)
            size += len(part.data)
        return artifacts_pb2.Artifact(size_bytes=size)

    async def DownloadArtifact(
        self, request: artifacts_pb2.DownloadArtifactRequest, context: Any
    ) -> AsyncIterator[artifacts_pb2.DownloadArtifactResponse]:
        if request.name == "missing":
            raise ArtifactNotFound(artifact="x")
        for number in range(3):
            yield artifacts_pb2.DownloadArtifactResponse(data=bytes([number]))
            if request.name == "boom":
                raise ValueError(SECRET)
            if request.name == "slow":
                await self._wait()

    async def _wait(self) -> None:
        self.running.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def tiny_service(settings: ServiceSettings, artifacts: TinyArtifacts, name: str = "tiny") -> Service:
    """The service, not yet started."""
    service = Service(name, settings, auth=Authenticator.from_settings(settings.auth_key_file))
    service.add_servicer(
        artifacts_pb2_grpc.add_ArtifactServiceServicer_to_server,
        artifacts,
        artifacts_pb2.DESCRIPTOR.services_by_name["ArtifactService"],
    )
    return service


class SmallLimits(ServiceSettings):
    """Limits that a test can reach."""

    max_message_bytes: int = 64 * 1024
    max_concurrent_calls: int = 3
    grace_s: float = 5.0
    check_interval_s: float = 0.05
