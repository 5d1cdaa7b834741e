"""Pipelines in memory: for tests, and to say in few lines what the store means."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from chassis.paging import Key
from headwater.names import PipelineName, PipelineVersionName, ProjectName
from services.preprocessing.pipelines.model import Pipeline, PipelineVersion
from services.preprocessing.pipelines.store import PipelineStore


class MemoryPipelineStore(PipelineStore):
    """See PipelineStore. Transactions do nothing."""

    def __init__(self) -> None:
        self._versions: list[PipelineVersion] = []

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """See PipelineStore."""
        yield None

    async def add_version(self, tx: Any, version: PipelineVersion) -> bool:
        """See PipelineStore."""
        if await self.get_version(tx, version.name) is not None:
            return False
        self._versions.append(version)
        return True

    async def get_version(self, _tx: Any, name: PipelineVersionName) -> PipelineVersion | None:
        """See PipelineStore."""
        return next((version for version in self._versions if version.name == name), None)

    async def list_pipelines(self, _tx: Any, project: ProjectName, after: Key | None, limit: int) -> Sequence[Pipeline]:
        """See PipelineStore."""
        first: dict[str, PipelineVersion] = {}
        latest: dict[str, PipelineVersion] = {}
        for version in self._versions:
            if version.name.project == project.project:
                first.setdefault(version.name.pipeline, version)
                latest[version.name.pipeline] = version
        return [
            Pipeline(PipelineName(project.project, name), latest[name].name.version, first[name].created_at)
            for name in sorted(first)
            if after is None or (name,) > after
        ][:limit]

    async def list_versions(
        self, _tx: Any, pipeline: PipelineName, after: Key | None, limit: int
    ) -> Sequence[tuple[int, PipelineVersion]]:
        """See PipelineStore."""
        numbered = [
            (sequence, version)
            for sequence, version in enumerate(self._versions, start=1)
            if (version.name.project, version.name.pipeline) == (pipeline.project, pipeline.pipeline)
        ]
        return [item for item in reversed(numbered) if after is None or (item[0],) < after][:limit]
