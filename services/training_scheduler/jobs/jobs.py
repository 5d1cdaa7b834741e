"""What people do with training jobs."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from chassis.clock import Clock
from chassis.ids import new_id
from chassis.paging import Page, decode_token, page_of, page_size, query_digest
from headwater.names import ProjectName, TrainingJobName
from services.training_scheduler.attempts.placement import Capacity, check_possible
from services.training_scheduler.errors import SchedulerStopping, TrainingJobNotFound
from services.training_scheduler.jobs import spec as specs
from services.training_scheduler.jobs.changes import WAITING, Changes
from services.training_scheduler.jobs.model import LauncherKind, State, TrainingJob, TrainingSpec
from services.training_scheduler.store import Store


@dataclasses.dataclass(frozen=True, slots=True)
class Inputs:
    """What is known of a job's inputs when it is created."""

    dataset_checkpoint: str
    """The checkpoint of the dataset version that the job is to read; empty: the version's own rows (M-26)."""
    warnings: tuple[str, ...]


class Catalog(Protocol):
    """What other services know of a job's inputs."""

    async def check_inputs(self, spec: TrainingSpec) -> Inputs:
        """Return if the caller can see the dataset version and the code.

        Raises:
            NotFound: naming what is missing.
            FailedPrecondition: the dataset version is archived, or a place outside of which there is no copy; or the
                checkpoint holds none.
            Unavailable: the service that knows is away.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class NewJob:
    """What somebody asks for; ``request_id`` and ``body_digest`` make asking again safe (promise 4)."""

    project: ProjectName
    spec: TrainingSpec
    created_by: str
    display_name: str = ""
    request_id: str = ""
    body_digest: str = ""


class Jobs:
    """Creates, shows and stops jobs."""

    def __init__(
        self,
        store: Store,
        *,
        catalog: Catalog,
        capacities: Mapping[LauncherKind, Capacity],
        changes: Changes,
        clock: Clock,
        poll_s: float,
        draining: asyncio.Event,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._capacities = capacities
        self._changes = changes
        self._clock = clock
        self._poll_s = poll_s
        self._draining = draining

    async def create(self, new: NewJob) -> TrainingJob:
        """Accept a job: from here on it will reach exactly one end (promise 6).

        Raises:
            InvalidSpec, ResourcesImpossible, LauncherNotConfigured: it could never run.
            NotFound: its dataset version or code does not exist.
            FailedPrecondition: its dataset version is archived, or a place outside of which there is no copy; or the
                checkpoint that it names holds none.
        """
        specs.check(new.spec, new.project.project)
        check_possible(new.spec, self._capacities)
        inputs = await self._catalog.check_inputs(new.spec)
        method = "CreateTrainingJob"
        async with self._store.transaction() as tx:
            first = await tx.requests.first_result(method, new.request_id, new.body_digest)
            if first is not None:
                return await tx.jobs.get(first)
            job = await tx.jobs.add(
                TrainingJob(
                    id=new_id(),
                    project=new.project.project,
                    spec=dataclasses.replace(new.spec, dataset_checkpoint=inputs.dataset_checkpoint),
                    created_by=new.created_by,
                    create_time=self._clock.now(),
                    display_name=new.display_name,
                    warnings=inputs.warnings,
                )
            )
            await tx.requests.remember(method, new.request_id, new.body_digest, job.id)
        await self._changes.tell(WAITING)
        return job

    async def get(self, name: TrainingJobName) -> TrainingJob:
        """The job as it is now, or raise TrainingJobNotFound."""
        async with self._store.transaction() as tx:
            return _of_project(await tx.jobs.get(name.job), name)

    async def page(self, project: ProjectName, requested_size: int, page_token: str) -> Page[TrainingJob]:
        """The project's jobs, newest first."""
        size, query = page_size(requested_size), query_digest("ListTrainingJobs", project)
        after = decode_token(page_token, query, (int,))
        before = None if after is None else int(after[0])
        async with self._store.transaction() as tx:
            rows = await tx.jobs.page(project.project, before=before, limit=size + 1)
        return page_of(rows, size, key=lambda job: (job.sequence,), query=query)

    async def watch(self, name: TrainingJobName) -> AsyncIterator[TrainingJob]:
        """The job now and whenever it has changed, until it has ended. Changes in quick succession come as one.

        Raises:
            SchedulerStopping: watch again; another scheduler, or this one soon, goes on.
        """
        with self._changes.listen(name.job) as listener:
            job = await self.get(name)
            yield job
            while not job.ended:
                await listener.wait(self._poll_s)
                if self._draining.is_set():
                    raise SchedulerStopping(retry_after_ms=1_000)
                newer = await self.get(name)
                if newer.revision != job.revision:
                    job = newer
                    yield job

    async def cancel(self, name: TrainingJobName) -> TrainingJob:
        """Stop the job: at once when no scheduler has taken it yet, else as soon as its workers are gone.

        A job whose end is decided already ends that way.
        """
        async with self._store.transaction() as tx:
            job = _of_project(await tx.jobs.get(name.job, lock=True), name)
            if job.ended or job.state is State.FINISHING or job.cancel_requested:
                return job
            job = dataclasses.replace(job, cancel_requested=True)
            if not job.fencing_token:  # nobody has taken it, so there is neither a run nor a worker
                job = job.ended_as(State.CANCELLED, self._clock.now())
            job = await tx.jobs.save(job)
        await self._changes.tell(job.id)
        return job


def _of_project(job: TrainingJob, name: TrainingJobName) -> TrainingJob:
    if job.project != name.project:
        raise TrainingJobNotFound(job=name.job)
    return job
