"""The use cases of uploads: bytes come in parts, each durable by itself, and become an artifact in the end."""

import asyncio
import dataclasses
import datetime
import weakref
from collections.abc import AsyncIterator, Sequence

from chassis.blobs import Blobs, DigestMismatch, PartLost, Staging
from chassis.clock import Clock
from chassis.ids import new_id
from headwater.names import ArtifactName, ArtifactUploadName, ProjectName
from services.registry.artifacts.artifacts import add_artifact
from services.registry.artifacts.errors import ArtifactTooLarge
from services.registry.artifacts.model import Artifact
from services.registry.events import event
from services.registry.origin import Origin, once
from services.registry.projects.use import project_in_use
from services.registry.store import Store, Transaction
from services.registry.uploads.errors import (
    TooManyParts,
    TooManyUploads,
    UploadEnded,
    UploadIncomplete,
    UploadMoved,
    UploadTooLong,
)
from services.registry.uploads.model import NewUpload, Part, Upload, UploadState

_PART_BYTES = 32 * 2**20
_MAX_PARTS = 10_000
_RETRY_MS = 30_000


class Uploads:
    """Takes bytes over several calls.

    Args:
        lifetime: how long an upload lives after its last bytes.
        max_bytes: the largest artifact.
        max_open: how many uploads of one project may be open, about: some more where many are begun at once.
        part_bytes: how long a part is, about: what a failure costs at most.
        max_parts: how many parts an upload may have; more where the largest artifact needs them.
    """

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        staging: Staging,
        clock: Clock,
        *,
        lifetime: datetime.timedelta,
        max_bytes: int,
        max_open: int = 1000,
        part_bytes: int = _PART_BYTES,
        max_parts: int = _MAX_PARTS,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._staging = staging
        self._clock = clock
        self._lifetime = lifetime
        self._max_bytes = max_bytes
        self._max_open = max_open
        self._part_bytes = part_bytes
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._max_parts = max(max_parts, 2 * max_bytes // part_bytes)

    async def create(self, parent: ProjectName, new: NewUpload, origin: Origin) -> Upload:
        """Begin an upload; it is finished at once where the project has an artifact of the declared digest.

        Raises:
            ProjectNotFound, ProjectArchived, ArtifactTooLarge, TooManyUploads
            RequestIdReused: the request id came before with another body.
        """
        if new.size_bytes > self._max_bytes:
            raise ArtifactTooLarge(max_bytes=self._max_bytes)
        async with self._store.transaction() as tx:

            async def add() -> str:
                project = await project_in_use(tx, parent.project)
                now = self._clock.now()
                upload = Upload(
                    id=new_id(),
                    project=project.name,
                    project_id=project.id,
                    filename=new.filename,
                    digest=new.digest,
                    size_bytes=new.size_bytes,
                    create_time=now,
                    created_by=origin.actor,
                    expire_time=now + self._lifetime,
                )
                for known in await _known(tx, parent, new.digest):
                    upload = _finished(upload, known)
                if upload.state is UploadState.OPEN and (
                    await tx.uploads.count_open(project.id, self._max_open) >= self._max_open
                ):
                    raise TooManyUploads(max_open=self._max_open, retry_after_ms=_RETRY_MS)
                await tx.uploads.add(upload)
                await tx.events.append(event(origin.actor, "artifact_upload.create", upload.name, None, upload, now))
                return str(upload.name)

            return await tx.uploads.get(ArtifactUploadName.parse(await once(tx, origin, add)))

    async def get(self, name: ArtifactUploadName) -> Upload:
        """The upload, or raise UploadNotFound."""
        async with self._store.transaction() as tx:
            return await tx.uploads.get(name)

    async def write(self, name: ArtifactUploadName, offset: int, chunks: AsyncIterator[bytes]) -> Upload:
        """Add bytes at ``offset``, which is where the upload stands. Each part of them is durable by itself.

        Raises:
            UploadNotFound, UploadEnded
            UploadMoved: the upload stands elsewhere; of two writers at one offset exactly one goes on.
            UploadTooLong, ArtifactTooLarge: the bytes go past the declared size, or what this server takes.
            TooManyParts: so many calls have brought so little.
        """
        async with self._store.transaction() as tx:
            upload = await tx.uploads.get(name)
            if await tx.uploads.count_parts(upload) >= self._max_parts:
                raise TooManyParts(max_parts=self._max_parts)
        _check_open(upload, offset)
        segments = _Segments(self._bounded(upload, chunks), self._part_bytes)
        while await segments.begin():
            part_name = f"{upload.stored_bytes:020d}-{new_id()}"
            try:
                size_bytes = await self._staging.put(upload.id, part_name, segments.segment())
            except PartLost:
                _check_open(await self.get(name), upload.stored_bytes)  # more likely it was ended meanwhile
                raise
            upload = await self._append(name, Part(upload.stored_bytes, size_bytes, part_name))
        return upload

    async def finish(self, name: ArtifactUploadName, digest: str, origin: Origin) -> Artifact:
        """Make the bytes an artifact; asked again it is the same one.

        Raises:
            UploadNotFound, UploadEnded
            UploadIncomplete: fewer bytes are there than were declared; the upload stays open.
            DigestMismatch: the bytes have another digest than was declared, here or before; the upload is given up.
        """
        # One after the other, so that a retry of what is still at work makes no second copy, which the disk may lack.
        async with self._turns.setdefault(name.artifact_upload, asyncio.Lock()):
            async with self._store.transaction() as tx:
                upload = await tx.uploads.get(name)
                parts = await tx.uploads.parts(upload)
            if upload.state is not UploadState.FINISHED:
                upload = await self._join(upload, parts, digest, origin)
        _one_digest(upload.artifact, digest)
        async with self._store.transaction() as tx:
            [artifact] = await tx.artifacts.find(
                [ArtifactName(upload.project, upload.artifact.removeprefix("sha256:"))]
            )
            return artifact

    async def abort(self, name: ArtifactUploadName, origin: Origin) -> Upload:
        """Give the upload up; one that was given up already stays as it is.

        Raises:
            UploadNotFound
            UploadEnded: it became an artifact.
        """
        async with self._store.transaction() as tx:
            upload = await tx.uploads.get(name, lock=True)
            if upload.state is UploadState.FINISHED:
                raise UploadEnded(upload=name, state=upload.state.name)
            if upload.state is UploadState.OPEN:
                upload = await self._give_up(tx, upload, origin.actor)
        await self._staging.remove(upload.id)
        return upload

    async def collect(self) -> None:
        """Give up what was left alone for too long, and remove parts that belong to no open upload."""
        async with self._store.transaction() as tx:
            for upload in await tx.uploads.expired(self._clock.now(), limit=1000):
                await self._give_up(tx, upload, "headwater")
        folders = await self._staging.folders()
        async with self._store.transaction() as tx:
            in_use = await tx.uploads.open_ids(folders)
        for folder in folders:
            if folder not in in_use:
                await self._staging.remove(folder)

    async def _append(self, name: ArtifactUploadName, part: Part) -> Upload:
        async with self._store.transaction() as tx:
            upload = await tx.uploads.get(name, lock=True)
            _check_open(upload, part.begin)
            await tx.uploads.add_part(upload, part)
            longer = dataclasses.replace(
                upload,
                stored_bytes=part.begin + part.size_bytes,
                expire_time=self._clock.now() + self._lifetime,
            )
            await tx.uploads.update(longer)
            return longer

    async def _join(self, upload: Upload, parts: Sequence[Part], digest: str, origin: Origin) -> Upload:
        """Make a blob of the parts, and finish the upload; it may have been finished by somebody else meanwhile."""
        _check_open(upload, upload.stored_bytes)
        if upload.stored_bytes < upload.size_bytes:
            told = f"{upload.stored_bytes} of {upload.size_bytes} bytes are there."
            raise UploadIncomplete(told, stored_bytes=upload.stored_bytes, size_bytes=upload.size_bytes)
        expected = _one_digest(upload.digest, digest)
        try:
            blob = await self._blobs.put(self._joined(upload, parts), expected_digest=expected)
        except DigestMismatch:
            await self.abort(upload.name, origin)
            raise
        except PartLost:  # whoever ends an upload removes its parts
            ended = await self.get(upload.name)
            if ended.state is UploadState.FINISHED:
                return ended
            _check_open(ended, upload.stored_bytes)
            raise
        finished = await self._finish(upload.name, blob.digest, blob.size_bytes, origin)
        await self._staging.remove(upload.id)
        return finished

    async def _finish(self, name: ArtifactUploadName, digest: str, size_bytes: int, origin: Origin) -> Upload:
        now = self._clock.now()
        async with self._store.transaction() as tx:
            upload = await tx.uploads.get(name, lock=True)
            if upload.state is UploadState.FINISHED:  # somebody else has just asked for the same
                return upload
            _check_open(upload, size_bytes)
            artifact = Artifact(
                id=new_id(),
                project=upload.project,
                project_id=upload.project_id,
                digest=digest,
                size_bytes=size_bytes,
                filename=upload.filename,
                create_time=now,
                created_by=origin.actor,
            )
            await add_artifact(tx, artifact, origin)
            finished = _finished(upload, artifact)
            await tx.uploads.update(finished)
            await tx.events.append(event(origin.actor, "artifact_upload.finish", name, upload, finished, now))
            return finished

    async def _give_up(self, tx: Transaction, upload: Upload, actor: str) -> Upload:
        aborted = dataclasses.replace(upload, state=UploadState.ABORTED)
        await tx.uploads.update(aborted)
        told = event(actor, "artifact_upload.abort", upload.name, upload, aborted, self._clock.now())
        await tx.events.append(told)
        return aborted

    async def _bounded(self, upload: Upload, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The chunks, as long as they belong to the upload: of a part that goes past its end nothing is stored."""
        limit, size_bytes = upload.size_bytes or self._max_bytes, upload.stored_bytes
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > limit:
                raise UploadTooLong(size_bytes=limit) if upload.size_bytes else ArtifactTooLarge(max_bytes=limit)
            yield chunk

    async def _joined(self, upload: Upload, parts: Sequence[Part]) -> AsyncIterator[bytes]:
        for part in parts:
            async for chunk in self._staging.open(upload.id, part.name):
                yield chunk


class _Segments:
    """Cuts a stream of chunks into segments of about ``size_bytes``."""

    def __init__(self, chunks: AsyncIterator[bytes], size_bytes: int) -> None:
        self._chunks = chunks
        self._size_bytes = size_bytes
        self._next = b""

    async def begin(self) -> bool:
        """Whether there is another segment."""
        while not self._next:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                return False
            self._next = chunk
        return True

    async def segment(self) -> AsyncIterator[bytes]:
        """The chunks of the next segment."""
        size_bytes = 0
        while size_bytes < self._size_bytes and await self.begin():
            chunk, self._next = self._next, b""
            size_bytes += len(chunk)
            yield chunk


async def _known(tx: Transaction, parent: ProjectName, digest: str) -> Sequence[Artifact]:
    return await tx.artifacts.find([ArtifactName(parent.project, digest.removeprefix("sha256:"))]) if digest else []


def _finished(upload: Upload, artifact: Artifact) -> Upload:
    return dataclasses.replace(
        upload, state=UploadState.FINISHED, stored_bytes=artifact.size_bytes, artifact=artifact.digest
    )


def _check_open(upload: Upload, offset: int) -> None:
    if upload.state is not UploadState.OPEN:
        raise UploadEnded(upload=upload.name, state=upload.state.name)
    if offset != upload.stored_bytes:
        told = f"{upload.stored_bytes} bytes are stored; go on from there."
        raise UploadMoved(told, stored_bytes=upload.stored_bytes, offset=offset)


def _one_digest(one: str, other: str) -> str:
    if one and other and one != other:
        raise DigestMismatch(declared=other, received=one)
    return one or other
