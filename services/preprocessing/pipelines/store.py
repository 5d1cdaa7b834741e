"""What must be remembered of pipelines."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from chassis.paging import Key
from headwater.names import PipelineName, PipelineVersionName, ProjectName
from services.preprocessing.pipelines.model import Pipeline, PipelineVersion


class PipelineStore(Protocol):
    """Pipelines and their versions. tests/contract/preprocessing holds every implementation to this."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """One transaction; the value is passed to the methods below."""

    async def add_version(self, tx: Any, version: PipelineVersion) -> bool:
        """Keep the version, and the pipeline if it is new; False, and no change, when that version is there already."""

    async def get_version(self, tx: Any, name: PipelineVersionName) -> PipelineVersion | None:
        """The version, or None."""

    async def list_pipelines(self, tx: Any, project: ProjectName, after: Key | None, limit: int) -> Sequence[Pipeline]:
        """At most ``limit`` pipelines by name, after the key ``(pipeline,)``."""

    async def list_versions(
        self, tx: Any, pipeline: PipelineName, after: Key | None, limit: int
    ) -> Sequence[tuple[int, PipelineVersion]]:
        """At most ``limit`` versions with their sequence numbers, newest first, after the key ``(sequence,)``."""
