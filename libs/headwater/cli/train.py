"""``headwater train``: training jobs."""

from pathlib import Path
from typing import Annotated

import cyclopts

from headwater import code, datasets, jobs, references
from headwater.cli.render import errors, facts, progress, table, warn
from headwater.client import Connection
from headwater.errors import FailedPrecondition, InvalidArgument
from headwater.names import DEFAULT_PROJECT, ProjectName
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc

app = cyclopts.App(name="train", help="Training jobs.")


class TrainingFailed(FailedPrecondition):
    """A training job ended without a result."""

    reason = "TRAINING_FAILED"


@app.command
def submit(
    folder: Path,
    *,
    command: Annotated[list[str], cyclopts.Parameter(consume_multiple=True)],
    dataset: str,
    model: str = "",
    workers: int = 1,
    max_restarts: int = 3,
    launcher: str = "local",
    checkpoint: str = "",
    parameter: Annotated[list[str] | None, cyclopts.Parameter(name=["--parameter", "-p"])] = None,
    watch: bool = True,
    project: str = DEFAULT_PROJECT,
) -> None:
    """Submit a training job: a folder of code, what to run in it, and the data.

    Parameters
    ----------
    folder
        The code. It is stored by digest, so that the model can be traced back to it.
    command
        What each worker runs within the folder, for example train.py.
    dataset
        digits-tensors, or digits-tensors@v1.0.0 for a version that is not the newest.
    model
        The model that the result becomes a version of; none registers no version.
    workers
        Worker processes, which form one process group.
    max_restarts
        How often the group may start again, from its last checkpoint, after a worker died.
    checkpoint
        The checkpoint of the dataset version whose copy is read. Of a place outside, the newest one if none is named.
    launcher
        Who places the workers: local or ray.
    parameter
        key=value that the code reads; may be repeated. Numbers, true and false are recognised.
    watch
        Follow the job until it ends.
    project
        The project of everything.
    """
    with Connection.discover() as connection:
        job = jobs.submit(
            connection,
            code=code.upload(connection, folder, project=project).name,
            command=command,
            dataset_version=datasets.resolve_version(connection, dataset, project=project),
            model=references.model(model, project) if model else None,
            parameters=dict(map(_parameter, parameter or [])),
            worker_count=workers,
            max_restarts=max_restarts,
            launcher=launcher,
            dataset_checkpoint=checkpoint,
            display_name=folder.resolve().name,
            project=project,
        )
        warn(job.warnings)
        if watch:
            job = follow(connection, job.name)
    report(job)


@app.command(name="watch")
def watch_(job: str) -> None:
    """Follow a job until it ends."""
    with Connection.discover() as connection:
        report(follow(connection, job))


@app.command
def cancel(job: str) -> None:
    """Stop a job."""
    with Connection.discover() as connection:
        report(jobs.cancel(connection, job))


@app.command(name="list")
def list_(*, project: str = DEFAULT_PROJECT) -> None:
    """List the newest jobs of a project."""
    with Connection.discover() as connection:
        stub = jobs_pb2_grpc.TrainingJobServiceStub(connection.channel("training"))
        request = jobs_pb2.ListTrainingJobsRequest(parent=str(ProjectName(project)))
        rows = [
            (job.name, job.display_name, _state(job), job.model_version)
            for job in stub.ListTrainingJobs(request).training_jobs
        ]
    table(("job", "name", "state", "model version"), rows)


def follow(connection: Connection, name: str) -> jobs_pb2.TrainingJob:
    """Show how far a job is until it has ended."""
    job = jobs_pb2.TrainingJob(name=name)
    attempts = 1
    with progress("steps") as bar:
        task = bar.add_task("waiting", total=None)
        for job in jobs.watch(connection, name):
            metrics = "  ".join(f"{key} {value:.4g}" for key, value in sorted(job.progress.metrics.items()))
            epoch = f"epoch {min(job.progress.epoch + 1, job.progress.epoch_count)}/{job.progress.epoch_count}"
            description = f"{epoch}  {metrics}" if job.progress.epoch_count else _state(job)
            bar.update(
                task, description=description, total=job.progress.step_count or None, completed=job.progress.step
            )
            if job.attempt_count > attempts:
                attempts = job.attempt_count
                errors.print(f"a worker died; attempt {attempts} goes on from epoch {job.checkpoint.epoch}")
    return job


def report(job: jobs_pb2.TrainingJob) -> None:
    """Print a job; one that failed raises TrainingFailed."""
    facts(
        job=job.name,
        state=_state(job),
        run=job.run,
        attempts=job.attempt_count,
        metrics=", ".join(f"{key} {value:.4g}" for key, value in sorted(job.progress.metrics.items())),
        model_version=job.model_version,
    )
    if job.state == jobs_pb2.TrainingJob.STATE_FAILED:
        raise TrainingFailed(job.failure, job=job.name, reason=job.failure_reason)


def _state(job: jobs_pb2.TrainingJob) -> str:
    return jobs_pb2.TrainingJob.State.Name(job.state).removeprefix("STATE_").lower()


def _parameter(text: str) -> tuple[str, jobs.Parameter]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise InvalidArgument(f"Write parameters as key=value, not {text!r}.", field="parameter")
    if value in ("true", "false"):
        return key, value == "true"
    try:
        return key, float(value)
    except ValueError:
        return key, value
