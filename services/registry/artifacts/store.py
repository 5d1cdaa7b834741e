"""What must be remembered of artifacts; the bytes are in the blob store."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import ArtifactName
from services.registry.artifacts.model import Artifact


class ArtifactStore(Protocol):
    """Artifacts, as one transaction sees them."""

    async def add(self, artifact: Artifact) -> bool:
        """Add an artifact unless the project has it already; whether it was new."""

    async def find(self, names: Sequence[ArtifactName]) -> Sequence[Artifact]:
        """Those of the artifacts that exist, in no particular order."""
