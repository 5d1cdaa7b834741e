"""One claimed job, from where it stands to its end."""

import asyncio
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from chassis.clock import Clock
from chassis.launchers import Gang, GangResult, GangSpec, Launcher
from headwater.errors import HeadwaterError
from headwater.names import ArtifactName
from services.training_scheduler.attempts.hold import Hold
from services.training_scheduler.attempts.patience import patiently
from services.training_scheduler.attempts.tracking import Tracking
from services.training_scheduler.attempts.verdict import End, Restart, judge
from services.training_scheduler.attempts.workspace import Workspace
from services.training_scheduler.errors import LauncherNotConfigured, StaleAttempt
from services.training_scheduler.jobs.model import Failure, LauncherKind, State, TrainingJob, tail

_log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """Where workers run and what they are told."""

    launchers: Mapping[LauncherKind, Launcher]
    directory: Path
    environment: Callable[[TrainingJob], Mapping[str, str]]
    """The job's credentials and the addresses of the services."""
    stop_grace_s: float
    log_max_bytes: int


class Supervisor:
    """Runs claimed jobs. What it does for one may be interrupted anywhere and is taken up by the next claim."""

    def __init__(self, tracking: Tracking, placement: Placement, clock: Clock) -> None:
        self._tracking = tracking
        self._placement = placement
        self._clock = clock

    async def supervise(self, hold: Hold) -> None:
        """Bring the job to its end, or return when somebody else has taken it.

        When cancelled (the scheduler stops), its workers are stopped and the job is free for others at once. A fault of
        ours leaves it to be taken up again when the lease has run out, not sooner.
        """
        work = asyncio.create_task(self._work(hold))
        keep = asyncio.create_task(hold.keep())
        try:
            await asyncio.wait([work, keep], return_when=asyncio.FIRST_COMPLETED)
        finally:
            keep.cancel()
            work.cancel()
            worked, kept = await asyncio.gather(work, keep, return_exceptions=True)
            if not isinstance(worked, Exception) and not isinstance(kept, Exception):
                with contextlib.suppress(HeadwaterError):
                    await hold.release()
        for result in (worked, kept):
            if isinstance(result, StaleAttempt):
                _log.warning("somebody else has the job now", job=hold.job.id)
            elif isinstance(result, Exception):
                raise result

    async def _work(self, hold: Hold) -> None:
        workspace = Workspace(self._placement.directory, hold.job.id)
        if hold.job.state is not State.FINISHING:
            end = await self._train(hold, workspace)
            await hold.apply(lambda job: job if job.state is State.FINISHING else job.decided(end.outcome, end.failure))
        await self._finish(hold)
        await workspace.remove_code()

    async def _train(self, hold: Hold, workspace: Workspace) -> End:
        try:
            if hold.job.cancel_requested:
                return End(State.CANCELLED)
            await self._prepare(hold, workspace)
            while isinstance(verdict := await self._attempt(hold, workspace), Restart):
                await hold.next_attempt()
            return verdict
        except StaleAttempt:
            raise
        except HeadwaterError as error:
            return End(State.FAILED, Failure(error.reason, tail(error.message)))

    async def _prepare(self, hold: Hold, workspace: Workspace) -> None:
        run = await patiently(lambda: self._tracking.begin(hold.job))
        await hold.apply(lambda job: dataclasses.replace(job, run=run))
        digest_hex = ArtifactName.parse(hold.job.spec.code).artifact
        await patiently(lambda: workspace.store_code(digest_hex, self._tracking.code(hold.job)))

    async def _attempt(self, hold: Hold, workspace: Workspace) -> Restart | End:
        token, now = hold.job.fencing_token, self._clock.now()
        folder = await workspace.unpack(token)
        job = await hold.apply(
            lambda job: job if job.cancel_requested or job.started_token == token else job.started(now)
        )
        if job.cancel_requested:
            return End(State.CANCELLED)
        launcher = self._placement.launchers.get(job.spec.launcher)
        if launcher is None:
            raise LauncherNotConfigured(f"This scheduler has no launcher {job.spec.launcher}.")
        gang = await launcher.start(self._gang_spec(job, folder, workspace.log(token)))
        try:
            result = await self._end_of(gang, hold)
        finally:
            await gang.stop(self._placement.stop_grace_s)
        await hold.refresh()
        log = await workspace.log_end(token)
        return judge(hold.job, succeeded=result.succeeded, detail=result.detail, log=log)

    async def _end_of(self, gang: Gang, hold: Hold) -> GangResult:
        ended = asyncio.create_task(gang.wait())
        cancelled = asyncio.create_task(hold.cancel_requested.wait())
        try:
            await asyncio.wait([ended, cancelled], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                await gang.stop(self._placement.stop_grace_s)
            return await ended
        finally:
            ended.cancel()
            cancelled.cancel()

    def _gang_spec(self, job: TrainingJob, folder: Path, log: Path) -> GangSpec:
        program, *arguments = job.spec.command
        # One start of the group is one attempt with a fencing token of its own: the launcher itself restarts nothing.
        return GangSpec(
            argv=(sys.executable, program, *arguments) if program.endswith(".py") else (program, *arguments),
            processes=job.spec.worker_count,
            env=self._placement.environment(job),
            cwd=folder,
            cpus=job.spec.resources.cpus,
            memory_bytes=job.spec.resources.memory_bytes,
            gpus=job.spec.resources.gpus,
            log=log,
            log_max_bytes=self._placement.log_max_bytes,
        )

    async def _finish(self, hold: Hold) -> None:
        job, now = hold.job, self._clock.now()
        assert job.outcome is not None
        outcome, failure, version = job.outcome, job.failure, ""
        try:
            if job.run:
                await patiently(lambda: self._tracking.finish(job))
            if outcome is State.SUCCEEDED and job.spec.model:
                version = await patiently(lambda: self._tracking.register(job))
        except HeadwaterError as error:
            _log.warning("the registry refused the job's result", job=job.id, reason=error.reason, error=str(error))
            if outcome is State.SUCCEEDED:
                outcome, failure = State.FAILED, Failure(error.reason, tail(error.message))
        await hold.apply(
            lambda job: job if job.ended else job.ended_as(outcome, now, model_version=version, failure=failure)
        )
