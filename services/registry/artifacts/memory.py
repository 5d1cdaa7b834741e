"""Artifacts in memory."""

from collections.abc import Sequence

from headwater.names import ArtifactName
from services.registry.artifacts.model import Artifact
from services.registry.artifacts.store import ArtifactStore


class MemoryArtifacts(ArtifactStore):
    """See ArtifactStore."""

    def __init__(self, artifacts: dict[ArtifactName, Artifact]) -> None:
        self._artifacts = artifacts

    async def add(self, artifact: Artifact) -> bool:
        """See ArtifactStore."""
        return self._artifacts.setdefault(artifact.name, artifact) is artifact

    async def find(self, names: Sequence[ArtifactName]) -> Sequence[Artifact]:
        """See ArtifactStore."""
        return [self._artifacts[name] for name in set(names) if name in self._artifacts]
