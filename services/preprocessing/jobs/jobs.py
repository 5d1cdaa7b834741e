"""What can be done with jobs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from chassis.clock import Clock
from chassis.db.requests import Requests
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.errors import InvalidArgument
from headwater.names import DatasetName, DatasetVersionName, PipelineVersionName, PreprocessingJobName, ProjectName
from services.preprocessing.errors import JobNotFound
from services.preprocessing.jobs.model import Job, State
from services.preprocessing.jobs.store import JobStore
from services.preprocessing.pipelines.pipelines import Pipelines

_WATCH_INTERVAL_S = 0.2


class Inputs(Protocol):
    """What the dataset service knows of a job's input."""

    async def check_usable(self, version: str) -> tuple[str, ...]:
        """Return if the dataset version may be used, with what to warn of.

        Raises:
            NotFound: there is none of that name.
            FailedPrecondition: it is archived, or a place outside of which no checkpoint holds a copy.
            Unavailable: the dataset service is away.
        """


class Jobs:
    """The use cases of PreprocessingJobService."""

    def __init__(self, store: JobStore, requests: Requests, pipelines: Pipelines, inputs: Inputs, clock: Clock) -> None:
        self._store = store
        self._requests = requests
        self._pipelines = pipelines
        self._inputs = inputs
        self._clock = clock

    async def create(
        self,
        project: ProjectName,
        pipeline_version: PipelineVersionName,
        dataset_version: DatasetVersionName,
        output_dataset: DatasetName,
        author: str,
        request_id: str,
        body_digest: str,
    ) -> Job:
        """Accept a job: it will reach exactly one terminal state.

        Raises:
            PipelineNotFound: there is no such pipeline version.
            NotFound: there is no such dataset version.
            FailedPrecondition: the dataset version is archived, or a place outside of which there is no copy.
            InvalidArgument: the result would go where the rows come from.
        """
        if (output_dataset.project, output_dataset.dataset) == (dataset_version.project, dataset_version.dataset):
            raise InvalidArgument("The result must go to another dataset than it is made from.", field="output_dataset")
        pipeline = await self._pipelines.get_version(pipeline_version)
        warnings = await self._inputs.check_usable(str(dataset_version))
        async with self._store.transaction() as tx:
            first = await self._requests.first_result(tx, "CreatePreprocessingJob", request_id, body_digest)
            if first is not None:
                return _found(await self._store.get(tx, PreprocessingJobName.parse(first)), first)
            name = PreprocessingJobName(project.project, new_id())
            now = self._clock.now()
            job = Job(name, pipeline.name, dataset_version, output_dataset, now, author, warnings=warnings)
            await self._store.add(tx, job)
            await self._requests.remember(tx, "CreatePreprocessingJob", request_id, body_digest, str(name))
        return job

    async def get(self, name: PreprocessingJobName) -> Job:
        """One job.

        Raises:
            JobNotFound: there is none of that name.
        """
        async with self._store.transaction() as tx:
            return _found(await self._store.get(tx, name), str(name))

    async def list(self, project: ProjectName, size: int, token: str) -> Page[Job]:
        """A page of the project's jobs, newest first."""
        size, query = page_size(size), query_digest("jobs", project)
        async with self._store.transaction() as tx:
            found = await self._store.list(tx, project, decode_token(token, query, (str,)), size + 1)
        return page_of(found, size, key=lambda job: (job.name.job,), query=query)

    async def watch(self, name: PreprocessingJobName) -> AsyncIterator[Job]:
        """The job as it is, then whenever it has changed, until it has ended.

        Raises:
            JobNotFound: there is none of that name.
        """
        seen = -1
        while True:
            job = await self.get(name)
            if job.revision != seen:
                seen = job.revision
                yield job
            if job.state.terminal:
                return
            await asyncio.sleep(_WATCH_INTERVAL_S)

    async def cancel(self, name: PreprocessingJobName) -> Job:
        """Stop a job; one that has ended stays as it ended.

        Raises:
            JobNotFound: there is none of that name.
        """
        async with self._store.transaction() as tx:
            job = _found(await self._store.get(tx, name, lock=True), str(name))
            if job.state.terminal:
                return job
            return await self._store.save(tx, job.moved(State.CANCELLED, ended_at=self._clock.now()))


def _found(job: Job | None, name: str) -> Job:
    if job is None:
        raise JobNotFound(job=name)
    return job
