"""What can be done with pipelines."""

from chassis.clock import Clock
from chassis.db.requests import Requests
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import PipelineName, PipelineVersionName, ProjectName
from headwater.transforms import document
from headwater.transforms.model import Fault
from services.preprocessing.errors import PipelineNotFound, PipelineVersionConflict
from services.preprocessing.pipelines.model import Pipeline, PipelineVersion
from services.preprocessing.pipelines.store import PipelineStore


class Pipelines:
    """The use cases of PipelineService."""

    def __init__(self, store: PipelineStore, requests: Requests, clock: Clock) -> None:
        self._store = store
        self._requests = requests
        self._clock = clock

    async def create_version(
        self, project: ProjectName, text: str, author: str, request_id: str, body_digest: str
    ) -> PipelineVersion:
        """Store the version that the document ``text`` describes.

        Raises:
            PipelineInvalid: naming every fault.
            PipelineVersionConflict: that version exists with another content.
        """
        definition = document.parse(text)
        name = PipelineVersionName(project.project, definition.pipeline_id, definition.version)
        version = PipelineVersion(name, definition, self._clock.now(), author)
        async with self._store.transaction() as tx:
            await self._requests.first_result(tx, "CreatePipelineVersion", request_id, body_digest)
            if not await self._store.add_version(tx, version):
                stored = await self._store.get_version(tx, name)
                if stored is None or stored.definition != definition:
                    raise PipelineVersionConflict(pipeline_version=name)
                version = stored
            await self._requests.remember(tx, "CreatePipelineVersion", request_id, body_digest, str(name))
        return version

    def faults(self, text: str) -> list[Fault]:
        """Every fault of a document."""
        return document.examine(text)[1]

    async def get_version(self, name: PipelineVersionName) -> PipelineVersion:
        """One version.

        Raises:
            PipelineNotFound: there is none of that name.
        """
        async with self._store.transaction() as tx:
            version = await self._store.get_version(tx, canonical(name))
        if version is None:
            raise PipelineNotFound(pipeline_version=name)
        return version

    async def list_pipelines(self, project: ProjectName, size: int, token: str) -> Page[Pipeline]:
        """A page of the project's pipelines by name."""
        size, query = page_size(size), query_digest("pipelines", project)
        async with self._store.transaction() as tx:
            after = decode_token(token, query, (str,))
            found = await self._store.list_pipelines(tx, project, after, size + 1)
        return page_of(found, size, key=lambda pipeline: (pipeline.name.pipeline,), query=query)

    async def list_versions(self, pipeline: PipelineName, size: int, token: str) -> Page[PipelineVersion]:
        """A page of the pipeline's versions, newest first."""
        size, query = page_size(size), query_digest("versions", pipeline)
        async with self._store.transaction() as tx:
            after = decode_token(token, query, (int,))
            found = await self._store.list_versions(tx, pipeline, after, size + 1)
        page = page_of(found, size, key=lambda item: (item[0],), query=query)
        return Page([version for _, version in page.items], page.next_page_token)


def canonical(name: PipelineVersionName) -> PipelineVersionName:
    """``versions/1.0.0`` also for ``versions/v1.0.0`` (K-02)."""
    return PipelineVersionName(name.project, name.pipeline, document.canonical_version(name.version))
