"""What runs made, in memory."""

from collections.abc import Sequence

from headwater.names import RunArtifactName
from services.registry.run_artifacts.errors import RunArtifactNotFound
from services.registry.run_artifacts.model import RunArtifact
from services.registry.run_artifacts.store import RunArtifactStore
from services.registry.runs.model import Run


class MemoryRunArtifacts(RunArtifactStore):
    """See RunArtifactStore."""

    def __init__(self, made: dict[tuple[str, str], RunArtifact]) -> None:
        self._made = made  # by run id and path

    async def add(self, made: RunArtifact) -> bool:
        """See RunArtifactStore."""
        return self._made.setdefault((made.run_id, made.path), made) is made

    async def get(self, name: RunArtifactName) -> RunArtifact:
        """See RunArtifactStore."""
        for made in self._made.values():
            if made.name == name:
                return made
        raise RunArtifactNotFound(run_artifact=name)

    async def at(self, run: Run, path: str) -> RunArtifact:
        """See RunArtifactStore."""
        if (run.id, path) not in self._made:
            raise RunArtifactNotFound(run=run.name, path=path)
        return self._made[run.id, path]

    async def below(self, run: Run, folder: str, *, after: str, limit: int) -> Sequence[RunArtifact]:
        """See RunArtifactStore."""
        return self._of(run, folder, after)[:limit]

    async def beside(self, run: Run, folder: str, *, after: str, limit: int) -> Sequence[RunArtifact]:
        """See RunArtifactStore."""
        inside = len(_prefix(folder))
        return [made for made in self._of(run, folder, after) if "/" not in made.path[inside:]][:limit]

    async def folders(self, run: Run, folder: str, limit: int) -> Sequence[str]:
        """See RunArtifactStore."""
        prefix = _prefix(folder)
        inside = [made.path[len(prefix) :] for made in self._of(run, folder, "") if made.path.startswith(prefix)]
        return sorted({path.partition("/")[0] for path in inside if "/" in path})[:limit]

    async def meets(self, run: Run, path: str) -> bool:
        """See RunArtifactStore."""
        others = [other for run_id, other in self._made if run_id == run.id]
        return any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in others)

    def _of(self, run: Run, folder: str, after: str) -> list[RunArtifact]:
        prefix = _prefix(folder)
        wanted = [
            made
            for (run_id, path), made in self._made.items()
            if run_id == run.id and path > after and (path == folder or path.startswith(prefix))
        ]
        return sorted(wanted, key=lambda made: made.path)


def _prefix(folder: str) -> str:
    return f"{folder}/" if folder else ""
