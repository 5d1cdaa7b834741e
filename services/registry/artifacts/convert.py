"""Artifacts between proto and domain."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from headwater.registry.v1 import artifacts_pb2
from services.registry import convert
from services.registry.artifacts.errors import InvalidUpload, UploadIdle
from services.registry.artifacts.model import Artifact

_Message = TypeVar("_Message")
Messages = AsyncIterator[artifacts_pb2.UploadArtifactRequest]


async def lively(messages: AsyncIterator[_Message], idle_s: float) -> AsyncIterator[_Message]:
    """The messages of a caller who pauses for ``idle_s`` seconds at most.

    Raises:
        UploadIdle: nothing came for longer.
    """
    while True:
        try:
            async with asyncio.timeout(idle_s):
                message = await anext(messages, None)
        except TimeoutError as error:
            raise UploadIdle(idle_s=idle_s) from error
        if message is None:
            return
        yield message


async def header(messages: Messages) -> artifacts_pb2.UploadArtifactHeader:
    """The first message of an upload.

    Raises:
        InvalidUpload: it is missing, or is not a header.
    """
    first = await anext(messages, None)
    if first is None or first.WhichOneof("part") != "header":
        raise InvalidUpload("The first message of an upload must be its header.")
    return first.header


async def data(messages: Messages) -> AsyncIterator[bytes]:
    """The bytes of an upload, message by message.

    Raises:
        InvalidUpload: there is another header.
    """
    async for message in messages:
        if message.WhichOneof("part") != "data":
            raise InvalidUpload("Only the first message of an upload is a header.")
        yield message.data


def to_proto(artifact: Artifact) -> artifacts_pb2.Artifact:
    """The artifact as a message."""
    return artifacts_pb2.Artifact(
        name=str(artifact.name),
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
        filename=artifact.filename,
        create_time=convert.timestamp(artifact.create_time),
        created_by=artifact.created_by,
    )
