"""What must be remembered of what runs made."""

from collections.abc import Sequence
from typing import Protocol

from headwater.names import RunArtifactName
from services.registry.run_artifacts.model import RunArtifact
from services.registry.runs.model import Run


class RunArtifactStore(Protocol):
    """What runs made, as one transaction sees it."""

    async def add(self, made: RunArtifact) -> bool:
        """Add it unless its run has something under the path; whether it was new."""

    async def get(self, name: RunArtifactName) -> RunArtifact:
        """It, or raise RunArtifactNotFound."""

    async def at(self, run: Run, path: str) -> RunArtifact:
        """What the run has under ``path``, or raise RunArtifactNotFound."""

    async def below(self, run: Run, folder: str, *, after: str, limit: int) -> Sequence[RunArtifact]:
        """What has the path ``folder`` or lies below it (all where it is empty), by path, after the path ``after``."""

    async def beside(self, run: Run, folder: str, *, after: str, limit: int) -> Sequence[RunArtifact]:
        """As ``below``, but only what lies directly in the folder."""

    async def folders(self, run: Run, folder: str, limit: int) -> Sequence[str]:
        """The names of folders that lie directly in ``folder``, in order."""

    async def meets(self, run: Run, path: str) -> bool:
        """Whether the path is a folder of something there, or has something there as a folder."""
