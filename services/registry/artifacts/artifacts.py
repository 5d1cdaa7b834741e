"""The use cases of artifacts."""

from collections.abc import AsyncGenerator, AsyncIterator

from chassis.blobs import BlobNotFound, Blobs
from chassis.clock import Clock
from chassis.ids import new_id
from headwater.names import ArtifactName, ProjectName
from services.registry.artifacts.errors import ArtifactLost, ArtifactNotFound, ArtifactTooLarge
from services.registry.artifacts.model import Artifact, digest_in
from services.registry.events import event
from services.registry.origin import Origin
from services.registry.store import Store


class Artifacts:
    """Takes, finds and gives out immutable bytes."""

    def __init__(self, store: Store, blobs: Blobs, clock: Clock, *, max_bytes: int) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._max_bytes = max_bytes

    async def upload(
        self, parent: ProjectName, filename: str, digest: str, chunks: AsyncIterator[bytes], origin: Origin
    ) -> Artifact:
        """Store ``chunks``; when this returns they are durable. ``digest`` is what they must have, empty if not known.

        The same bytes again give the artifact of the first time. Memory does not grow with the size.

        Raises:
            ProjectNotFound
            DigestMismatch, ArtifactTooLarge: nothing is stored.
        """
        async with self._store.transaction() as tx:
            project = await tx.projects.get(parent.project)
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
            if await tx.artifacts.add(artifact):
                told = event(origin.actor, "artifact.create", artifact.name, None, artifact, artifact.create_time)
                await tx.events.append(told)
            [stored] = await tx.artifacts.find([artifact.name])
            return stored

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

    async def _bounded(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        size_bytes = 0
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > self._max_bytes:
                raise ArtifactTooLarge(max_bytes=self._max_bytes)
            yield chunk
