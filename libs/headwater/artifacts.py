"""Artifacts from Python: immutable bytes by digest, up and down, in pieces that outlast a broken connection."""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from headwater import digests
from headwater.client import Connection
from headwater.errors import Aborted, DataLoss, DeadlineExceeded, FailedPrecondition, HeadwaterError, Unavailable
from headwater.names import DEFAULT_PROJECT, ArtifactName, ProjectName
from headwater.patience import patiently
from headwater.registry.v1 import artifacts_pb2, artifacts_pb2_grpc

T = TypeVar("T")

_MESSAGE_BYTES: Final = 2**20
_ONE_CALL_BYTES: Final = 16 * 2**20
_TRIES_WITHOUT_PROGRESS: Final = 6
_MORE_TRIES: Final = 3
_FIRST_PAUSE_S: Final = 0.2
_UPLOADS: Final = uuid.UUID("6f1d0c56-6d0e-5a0e-9f0e-0f6f2a1c7b11")
_ENDED: Final = "ARTIFACT_UPLOAD_ENDED"
"""Another process, which sends the same file, was quicker; or the upload was given up, which finishing it will tell."""
_Upload = artifacts_pb2.ArtifactUpload


class DownloadDamaged(DataLoss):
    """The bytes that came are not those of the artifact; nothing was kept."""

    reason = "DOWNLOAD_DAMAGED"
    text = "The bytes that came are not those of the artifact."


def upload(connection: Connection, path: Path, *, project: str = DEFAULT_PROJECT) -> artifacts_pb2.Artifact:
    """Store one file's bytes; storing the same bytes again returns the same artifact.

    A large file that was cut off goes on where it stood, also in another process and on another day: within the time
    that the server keeps an upload (setting ``upload_lifetime_s``).

    Raises:
        OSError: the file cannot be read.
        HeadwaterError: what the registry says; Unavailable when it stayed away.
    """
    digest, size_bytes = digests.of_file(path), path.stat().st_size
    stub = _stub(connection)
    if size_bytes <= _ONE_CALL_BYTES:
        header = artifacts_pb2.UploadArtifactHeader(parent=str(ProjectName(project)), filename=path.name, digest=digest)
        return _again(lambda: stub.UploadArtifact(_messages(header, path)))
    begun = _begin(connection, path, digest, size_bytes, project)
    if begun.state != _Upload.STATE_FINISHED:
        _send(connection, begun, path)
    request = artifacts_pb2.FinishArtifactUploadRequest(name=begun.name)
    return patiently(lambda: stub.FinishArtifactUpload(request, timeout=3600))  # asked again it is the same artifact


def download(connection: Connection, name: ArtifactName, target: Path) -> None:
    """Write an artifact's bytes to ``target``, which appears when they are complete and have their digest.

    Raises:
        DownloadDamaged
        HeadwaterError: what the registry says; Unavailable when it stayed away.
    """
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with partial.open("xb") as file:
            digest = hashlib.sha256()
            for chunk in _chunks(connection, name):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if digest.hexdigest() != name.artifact:
            raise DownloadDamaged(artifact=name)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def import_(
    connection: Connection, uri: str, *, digest: str = "", project: str = DEFAULT_PROJECT
) -> artifacts_pb2.Artifact:
    """Let the registry fetch bytes from a place in object storage that its operator has allowed.

    Raises:
        PermissionDenied: the place is not among them.
        InvalidArgument: the bytes do not have ``digest``; nothing is stored.
    """
    request = artifacts_pb2.ImportArtifactRequest(parent=str(ProjectName(project)), uri=uri, digest=digest)
    return _stub(connection).ImportArtifact(request, timeout=86_400)


def _stub(connection: Connection) -> artifacts_pb2_grpc.ArtifactServiceStub:
    return artifacts_pb2_grpc.ArtifactServiceStub(connection.channel("registry"))


def _messages(header: artifacts_pb2.UploadArtifactHeader, path: Path) -> Iterator[artifacts_pb2.UploadArtifactRequest]:
    yield artifacts_pb2.UploadArtifactRequest(header=header)
    for data in _read(path, 0):
        yield artifacts_pb2.UploadArtifactRequest(data=data)


def _read(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while data := file.read(_MESSAGE_BYTES):
            yield data


def _begin(connection: Connection, path: Path, digest: str, size_bytes: int, project: str) -> _Upload:
    """An upload that takes bytes or is finished: the one that was begun before, or a new one."""
    request = artifacts_pb2.CreateArtifactUploadRequest(
        parent=str(ProjectName(project)), filename=path.name, digest=digest, size_bytes=size_bytes
    )
    # The same file is the same request: it finds what an earlier process has sent.
    request.request_id = str(uuid.uuid5(_UPLOADS, f"{project}\0{path.name}\0{digest}"))
    begun = _stub(connection).CreateArtifactUpload(request)
    if begun.state == _Upload.STATE_ABORTED:
        request.request_id = str(uuid.uuid4())
        begun = _stub(connection).CreateArtifactUpload(request)
    return begun


def _send(connection: Connection, begun: _Upload, path: Path) -> None:
    stub, stored, tries = _stub(connection), begun.stored_bytes, 0

    def messages() -> Iterator[artifacts_pb2.WriteArtifactUploadRequest]:
        name, offset = begun.name, stored
        for data in _read(path, stored):
            yield artifacts_pb2.WriteArtifactUploadRequest(name=name, offset=offset, data=data)
            name, offset = "", 0

    while stored < begun.size_bytes:
        try:
            stub.WriteArtifactUpload(messages())
        except (Aborted, DeadlineExceeded, Unavailable) as error:
            _pause(tries, error)
        except FailedPrecondition as error:
            if error.reason != _ENDED:
                raise
        found = patiently(lambda: stub.GetArtifactUpload(artifacts_pb2.GetArtifactUploadRequest(name=begun.name)))
        tries = 0 if found.stored_bytes > stored else tries + 1
        if found.state != _Upload.STATE_OPEN:
            return
        stored = found.stored_bytes


def _chunks(connection: Connection, name: ArtifactName) -> Iterator[bytes]:
    """The bytes in order, going on after what has come when the connection breaks."""
    received, tries = 0, 0
    while True:
        request = artifacts_pb2.DownloadArtifactRequest(name=str(name), offset=received)
        before = received
        try:
            for message in _stub(connection).DownloadArtifact(request):
                received += len(message.data)
                yield message.data
        except Unavailable as error:
            tries = 0 if received > before else tries + 1
            _pause(tries, error)
        else:
            return


def _again(call: Callable[[], T]) -> T:
    """``call``, which may be repeated without harm, tried a few times while the service is away."""
    for tries in range(_MORE_TRIES):
        try:
            return call()
        except Unavailable as error:
            _pause(tries, error)
    return call()


def _pause(tries: int, error: HeadwaterError) -> None:
    """Wait before another try, or raise ``error`` after too many without progress."""
    if tries >= _TRIES_WITHOUT_PROGRESS:
        raise error
    time.sleep((error.retry_after_ms or 0) / 1000 or _FIRST_PAUSE_S * 2**tries)
