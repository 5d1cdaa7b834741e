"""The loop that takes jobs and brings each to its one end (promise 6).

A runner claims a job by a lease, works outside any transaction, and writes only while the lease is its own. A runner
that dies or stalls loses its lease; another goes on with the next attempt.
"""

import asyncio
import contextlib
import dataclasses
from typing import Final

import structlog

from chassis.clock import Clock
from chassis.db.lease import LeaseLost, Leases
from headwater.dataset.v1 import datasets_pb2
from headwater.datasets.states import check_usable
from headwater.errors import Aborted, Code, HeadwaterError, Internal
from services.preprocessing.jobs.datasets import Datasets, Stored
from services.preprocessing.jobs.execution import Execution
from services.preprocessing.jobs.lineage import Lineage
from services.preprocessing.jobs.model import Job, Progress, State
from services.preprocessing.jobs.store import JobStore
from services.preprocessing.pipelines.model import PipelineVersion
from services.preprocessing.pipelines.pipelines import Pipelines

_log = structlog.get_logger(__name__)
_TRANSIENT: Final = frozenset(
    {Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED, Code.CANCELLED}
)
_CANDIDATES: Final = 16


class JobStopped(Aborted):
    """The job was cancelled while it ran."""

    reason = "JOB_STOPPED"


@dataclasses.dataclass(frozen=True, slots=True)
class RunnerOptions:
    """How a runner works. Times are in seconds."""

    owner: str
    lease_s: float
    max_attempts: int
    poll_interval_s: float


class Runner:
    """Takes jobs, oldest first, one at a time: the steps of one job fill the machine."""

    def __init__(
        self,
        store: JobStore,
        leases: Leases,
        pipelines: Pipelines,
        datasets: Datasets,
        lineage: Lineage,
        execution: Execution,
        clock: Clock,
        options: RunnerOptions,
    ) -> None:
        self._store = store
        self._leases = leases
        self._pipelines = pipelines
        self._datasets = datasets
        self._lineage = lineage
        self._execution = execution
        self._clock = clock
        self._options = options

    async def run_forever(self) -> None:
        """Take jobs until cancelled."""
        while True:
            if not await self.run_next():
                await asyncio.sleep(self._options.poll_interval_s)

    async def run_next(self) -> bool:
        """Take the oldest job that is free and bring it on; False when there is none."""
        claimed = await self._claim()
        if claimed is None:
            return False
        job, token = claimed
        log = _log.bind(job=str(job.name), attempt=token)
        keeper = asyncio.ensure_future(self._keep_lease(job, token))
        work = asyncio.ensure_future(self._attempt(job, token))
        try:
            await asyncio.wait({keeper, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
            await work
        except (LeaseLost, JobStopped) as stopped:
            log.info("attempt dropped", reason=stopped.reason)
        except asyncio.CancelledError:
            if not keeper.done():  # the process drains: another runner goes on at once
                with contextlib.suppress(HeadwaterError):
                    await self._release(job, token)
                raise
            log.warning("lease lost")
        finally:
            for task in (keeper, work):
                task.cancel()
            await asyncio.gather(keeper, work, return_exceptions=True)
        return True

    async def _claim(self) -> tuple[Job, int] | None:
        async with self._store.transaction() as tx:
            for job in await self._store.unfinished(tx, _CANDIDATES):
                token = await self._leases.claim(tx, str(job.name), self._options.owner, self._options.lease_s)
                if token is None:
                    continue
                locked = await self._store.get(tx, job.name, lock=True)
                if locked is None or locked.state.terminal:
                    continue
                started = locked.started_at or self._clock.now()
                return await self._store.save(tx, locked.moved(State.RUNNING, started_at=started)), token
        return None

    async def _keep_lease(self, job: Job, token: int) -> None:
        """Renew the lease until it is lost or the job is ended by somebody else; returns then."""
        while True:
            await asyncio.sleep(self._options.lease_s / 3)
            try:
                async with self._store.transaction() as tx:
                    await self._leases.renew(tx, str(job.name), token, self._options.lease_s)
                    current = await self._store.get(tx, job.name)
            except LeaseLost:
                return
            except HeadwaterError:
                continue  # the database is away; the lease decides when it is back
            if current is None or current.state.terminal:
                return

    async def _attempt(self, job: Job, token: int) -> None:
        run = job.run
        try:
            pipeline = await self._pipelines.get_version(job.pipeline_version)
            run = await self._lineage.start(job, pipeline)
            version = await self._datasets.version(str(job.dataset_version))
            check_usable(version)
            source = await self._datasets.stored(version)
            await self._change(job, token, run=run)
            committed = await self._execute(job, token, pipeline, source)
            await self._lineage.connect(job, run, pipeline, source, committed.dataset_version)
            await self._lineage.finish(run)
            await self._succeed(job, token, committed)
        except (LeaseLost, JobStopped):
            await self._note_cancelled(job, run)
            raise
        except HeadwaterError as error:
            if error.code in _TRANSIENT and token < self._options.max_attempts:
                _log.warning("attempt failed, will be tried again", job=str(job.name), reason=error.reason)
                await asyncio.sleep(self._options.poll_interval_s * 2**token)
                await self._release(job, token)
                return
            await self._fail(job, token, run, error)
        except Exception as error:
            _log.exception("attempt failed", job=str(job.name))
            await self._fail(job, token, run, Internal(f"{type(error).__name__} while processing."))

    async def _execute(
        self, job: Job, token: int, pipeline: PipelineVersion, source: Stored
    ) -> datasets_pb2.CommitUploadResponse:
        async def report(progress: Progress) -> None:
            await self._change(job, token, progress=progress)

        return await self._execution.run(job, token, pipeline, source, report)

    async def _change(self, job: Job, token: int, **changes: object) -> Job:
        """Change the job if it is still ours and still runs."""
        async with self._store.transaction() as tx:
            await self._leases.check(tx, str(job.name), token)
            current = await self._store.get(tx, job.name, lock=True)
            if current is None or current.state.terminal:
                raise JobStopped(job=job.name)
            return await self._store.save(tx, dataclasses.replace(current, **changes))  # type: ignore[arg-type]

    async def _succeed(self, job: Job, token: int, committed: datasets_pb2.CommitUploadResponse) -> None:
        await self._change(
            job,
            token,
            state=State.SUCCEEDED,
            ended_at=self._clock.now(),
            output_version=committed.dataset_version.name,
            output_created=committed.created,
        )

    async def _fail(self, job: Job, token: int, run: str, error: HeadwaterError) -> None:
        if run:
            await self._lineage.finish(run, failure=error.message)
        await self._change(
            job,
            token,
            state=State.FAILED,
            ended_at=self._clock.now(),
            failure_reason=error.reason,
            failure=error.message,
        )

    async def _note_cancelled(self, job: Job, run: str) -> None:
        async with self._store.transaction() as tx:
            current = await self._store.get(tx, job.name)
        if run and current is not None and current.state is State.CANCELLED:
            await self._lineage.finish(run, cancelled=True)

    async def _release(self, job: Job, token: int) -> None:
        async with self._store.transaction() as tx:
            await self._leases.release(tx, str(job.name), token)
