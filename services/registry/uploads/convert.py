"""Uploads between proto and domain."""

from collections.abc import AsyncIterator

from headwater.names import ArtifactName
from headwater.registry.v1 import artifacts_pb2
from services.registry import convert
from services.registry.artifacts.errors import InvalidUpload
from services.registry.uploads.model import NewUpload, Upload

Messages = AsyncIterator[artifacts_pb2.WriteArtifactUploadRequest]


def new_upload(request: artifacts_pb2.CreateArtifactUploadRequest) -> NewUpload:
    """What the request says of bytes to come."""
    return NewUpload(request.filename, request.digest, request.size_bytes)


async def first(messages: Messages) -> artifacts_pb2.WriteArtifactUploadRequest:
    """The first message, which says where the bytes belong.

    Raises:
        InvalidUpload: there is none.
    """
    message = await anext(messages, None)
    if message is None or not message.name:
        raise InvalidUpload("The first message names the upload.")
    return message


async def data(begin: artifacts_pb2.WriteArtifactUploadRequest, messages: Messages) -> AsyncIterator[bytes]:
    """The bytes, message by message.

    Raises:
        InvalidUpload: a later message names an upload or an offset.
    """
    yield begin.data
    async for message in messages:
        if message.name or message.offset:
            raise InvalidUpload("Only the first message names the upload and the offset.")
        yield message.data


def to_proto(upload: Upload) -> artifacts_pb2.ArtifactUpload:
    """The upload as a message."""
    artifact = ArtifactName(upload.project, upload.artifact.removeprefix("sha256:")) if upload.artifact else ""
    return artifacts_pb2.ArtifactUpload(
        name=str(upload.name),
        filename=upload.filename,
        stored_bytes=upload.stored_bytes,
        size_bytes=upload.size_bytes,
        digest=upload.digest,
        state=artifacts_pb2.ArtifactUpload.State.ValueType(upload.state),
        create_time=convert.timestamp(upload.create_time),
        expire_time=convert.timestamp(upload.expire_time),
        artifact=str(artifact),
    )
