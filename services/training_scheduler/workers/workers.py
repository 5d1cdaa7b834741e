"""What workers ask and tell, beside their checkpoints."""

import dataclasses
import re

from headwater.names import ArtifactName
from services.training_scheduler.errors import InvalidResult
from services.training_scheduler.jobs.changes import Changes
from services.training_scheduler.jobs.model import Progress, TrainingJob, TrainingResult
from services.training_scheduler.store import Store
from services.training_scheduler.workers.attempt import Worker, fenced

_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){0,7}", re.ASCII)
_MAX_METRICS = 1_000


class Workers:
    """Answers workers. Every method raises StaleAttempt when the worker's attempt is over."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self._store = store
        self._changes = changes

    async def assignment(self, worker: Worker) -> TrainingJob:
        """The job that the worker works on."""
        async with self._store.transaction() as tx:
            return await fenced(tx, worker)

    async def report_progress(self, worker: Worker, progress: Progress) -> bool:
        """Note how far the training has come, by the worker of rank 0; returns whether it should stop."""
        async with self._store.transaction() as tx:
            job = await fenced(tx, worker, lock=not worker.rank)
            if worker.rank or progress == job.progress:
                return job.cancel_requested
            metrics = dict(list(progress.metrics.items())[:_MAX_METRICS])
            job = await tx.jobs.save(dataclasses.replace(job, progress=dataclasses.replace(progress, metrics=metrics)))
        await self._changes.tell(job.id)
        return job.cancel_requested

    async def report_result(self, worker: Worker, result: TrainingResult) -> None:
        """Note what the training made; it counts when all workers have ended well.

        Raises:
            InvalidResult: a file that no model version can have.
        """
        _check(result, worker.job.project)
        async with self._store.transaction() as tx:
            job = await fenced(tx, worker, lock=True)
            await tx.jobs.save(dataclasses.replace(job, result=result))


def _check(result: TrainingResult, project: str) -> None:
    paths = [file.path for file in result.files]
    if not paths or len(set(paths)) != len(paths):
        raise InvalidResult("A result needs at least one file, and each path once.", field="result.files")
    for file in result.files:
        if not _PATH.fullmatch(file.path):
            raise InvalidResult("A file's path is not a legal path in a model version.", path=file.path)
        if ArtifactName.parse(file.artifact, "result.files.artifact").project != project:
            raise InvalidResult("A file's artifact is not in the job's project.", artifact=file.artifact)
