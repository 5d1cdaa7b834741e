"""The use cases of artifacts."""

from collections.abc import AsyncGenerator, AsyncIterator

from chassis.blobs import BlobNotFound, Blobs, read_in_chunks
from chassis.clock import Clock
from chassis.ids import new_id
from headwater.names import ArtifactName, ProjectName
from services.registry.artifacts.errors import ArtifactLost, ArtifactNotFound, ArtifactTooLarge
from services.registry.artifacts.model import Artifact, digest_in
from services.registry.artifacts.sources import Sources
from services.registry.events import event
from services.registry.origin import Origin
from services.registry.projects.use import project_in_use
from services.registry.store import Store, Transaction


class Artifacts:
    """Takes, finds and gives out immutable bytes."""

    def __init__(self, store: Store, blobs: Blobs, sources: Sources, clock: Clock, *, max_bytes: int) -> None:
        self._store = store
        self._blobs = blobs
        self._sources = sources
        self._clock = clock
        self._max_bytes = max_bytes

    async def upload(
        self, parent: ProjectName, filename: str, digest: str, chunks: AsyncIterator[bytes], origin: Origin
    ) -> Artifact:
        """Store ``chunks``; when this returns they are durable. ``digest`` is what they must have, empty if not known.

        The same bytes again give the artifact of the first time. Memory does not grow with the size.

        Raises:
            ProjectNotFound, ProjectArchived
            DigestMismatch, ArtifactTooLarge: nothing is stored.
        """
        async with self._store.transaction() as tx:
            project = await project_in_use(tx, parent.project)
        blob = await self._blobs.put(self._bounded(chunks), expected_digest=digest)
        artifact = Artifact(
            id=new_id(),
            project=project.name,
            project_id=project.id,
            digest=blob.digest,
            size_bytes=blob.size_bytes,
            filename=filename,
            create_time=self._clock.now(),
            created_by=origin.actor,
        )
        async with self._store.transaction() as tx:
            return await add_artifact(tx, artifact, origin)

    async def import_(self, parent: ProjectName, uri: str, filename: str, digest: str, origin: Origin) -> Artifact:
        """Store what lies at ``uri``, as ``upload`` does with what is sent.

        Raises:
            SourceNotAllowed, SourceNotFound, SourceUnavailable: nothing is stored.
        """
        source = self._sources.find(uri)
        return await self.upload(parent, filename or source.filename, digest, source.chunks(), origin)

    async def get(self, name: ArtifactName) -> Artifact:
        """The artifact, or raise ArtifactNotFound."""
        digest_in(name)
        async with self._store.transaction() as tx:
            found = await tx.artifacts.find([name])
        if not found:
            raise ArtifactNotFound(artifact=name)
        return found[0]

    async def download(self, name: ArtifactName) -> AsyncGenerator[bytes]:
        """The bytes in order, in chunks of at most 1 MiB, checked against the digest before the last one is given.

        Raises:
            ArtifactNotFound
            DataLoss: the stored bytes are missing or not those that were stored.
        """
        artifact = await self.get(name)
        try:
            async for chunk in self._blobs.open(artifact.digest):
                yield chunk
        except BlobNotFound as error:
            raise ArtifactLost(artifact=name) from error

    async def download_range(self, name: ArtifactName, offset: int, length: int) -> AsyncGenerator[bytes]:
        """Bytes from ``offset``: ``length`` of them or, where that is 0, all to the end. Not checked against it.

        Raises:
            ArtifactNotFound
            RangeOutside: the range does not begin within the artifact.
            DataLoss: the stored bytes are missing.
        """
        artifact = await self.get(name)
        try:
            async for chunk in read_in_chunks(self._blobs, artifact.digest, offset, length):
                yield chunk
        except BlobNotFound as error:
            raise ArtifactLost(artifact=name) from error

    async def _bounded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size_bytes = 0
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > self._max_bytes:
                raise ArtifactTooLarge(max_bytes=self._max_bytes)
            yield chunk


async def add_artifact(tx: Transaction, artifact: Artifact, origin: Origin) -> Artifact:
    """Add an artifact whose bytes are stored, unless the project has it; returns the one that it has."""
    if await tx.artifacts.add(artifact):
        told = event(origin.actor, "artifact.create", artifact.name, None, artifact, artifact.create_time)
        await tx.events.append(told)
    [stored] = await tx.artifacts.find([artifact.name])
    return stored
