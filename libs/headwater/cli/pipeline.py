"""``headwater pipeline``: preprocessing pipelines."""

import sys
from pathlib import Path

import cyclopts

from headwater import datasets, pipelines, references
from headwater.cli.render import errors, facts, output, progress, warn
from headwater.client import Connection
from headwater.errors import FailedPrecondition, InvalidArgument
from headwater.names import DEFAULT_PROJECT
from headwater.preprocessing.v1 import jobs_pb2

app = cyclopts.App(name="pipeline", help="Preprocessing pipelines.")


class PreprocessingFailed(FailedPrecondition):
    """A preprocessing job ended without a result."""

    reason = "PREPROCESSING_FAILED"


@app.command
def create(file: Path, *, project: str = DEFAULT_PROJECT) -> None:
    """Store a pipeline from a JSON or YAML file.

    Parameters
    ----------
    file
        The pipeline: id, name, version, description, steps, metadata.
    project
        The project it belongs to.
    """
    with Connection.discover() as connection:
        version = pipelines.create(connection, _document(file), project=project)
    facts(pipeline=version.name, steps=" → ".join(step.step_type for step in version.steps), digest=version.digest)


@app.command
def validate(file: Path) -> None:
    """Name every fault of a pipeline file; exit with 1 when there is one."""
    with Connection.discover() as connection:
        faults = pipelines.faults(connection, _document(file))
    for fault in faults:
        errors.print(f"{fault.path}: {fault.message}", markup=False)
    if faults:
        sys.exit(1)
    output.print(f"{file} is valid", markup=False)


@app.command
def apply(pipeline: str, *, dataset: str, output_dataset: str, project: str = DEFAULT_PROJECT) -> None:
    """Apply a pipeline to a dataset version; the result is a version of another dataset.

    Parameters
    ----------
    pipeline
        digits-prep, or digits-prep@1.0.0 for a version that is not the newest.
    dataset
        digits, or digits@v1.0.0 for a version that is not the newest.
    output_dataset
        The dataset that the result goes to; created when it is new.
    project
        The project of all three.
    """
    with Connection.discover() as connection:
        job = pipelines.apply(
            connection,
            pipelines.resolve(connection, pipeline, project=project),
            datasets.resolve_version(connection, dataset, project=project),
            references.dataset(output_dataset, project),
        )
        warn(job.warnings)
        job = _follow(connection, job)
        if job.state != jobs_pb2.PreprocessingJob.STATE_SUCCEEDED:
            raise PreprocessingFailed(job.failure or "The job was cancelled.", job=job.name, reason=job.failure_reason)
        version = datasets.get_version(connection, job.output_version)
    facts(
        version=version.name,
        digest=version.digest,
        rows=f"{version.row_count:,}",
        cache=f"{job.cached_chunk_count} of {job.chunk_count} chunks served from the cache",
        result="a new version" if job.output_created else "nothing changed: the version was there, row for row",
    )


def _document(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidArgument(f"{file} is not text in UTF-8.", field="file") from None


def _follow(connection: Connection, job: jobs_pb2.PreprocessingJob) -> jobs_pb2.PreprocessingJob:
    with progress("chunks") as bar:
        task = bar.add_task("preprocessing", total=None)
        for now in pipelines.watch(connection, job.name):
            bar.update(task, total=now.chunk_count or None, completed=now.done_chunk_count)
            job = now
    return job
