"""Training jobs from Python: submit a folder of code, follow the job, stop it."""

import uuid
from collections.abc import Iterator, Mapping, Sequence

from google.protobuf import struct_pb2

from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT, ModelName, ProjectName
from headwater.training.v1 import jobs_pb2, jobs_pb2_grpc

Parameter = str | float | bool
"""What a training parameter may be."""


def submit(
    connection: Connection,
    *,
    code: str,
    command: Sequence[str],
    dataset_version: str,
    model: ModelName | None = None,
    parameters: Mapping[str, Parameter] | None = None,
    worker_count: int = 1,
    max_restarts: int = 3,
    launcher: str = "local",
    dataset_checkpoint: str = "",
    display_name: str = "",
    project: str = DEFAULT_PROJECT,
) -> jobs_pb2.TrainingJob:
    """Submit a job that runs ``command`` within ``code`` (an artifact's resource name) on ``worker_count`` processes.

    The result becomes the next version of ``model``; without one, no version is registered. What is read is the copy
    that ``dataset_checkpoint`` of the dataset version holds; without one the version's rows or, where they are in a
    place outside, the newest copy that there is now.
    """
    spec = jobs_pb2.TrainingSpec(
        dataset_version=dataset_version,
        code=code,
        command=command,
        parameters={key: _value(value) for key, value in (parameters or {}).items()},
        worker_count=worker_count,
        launcher=jobs_pb2.TrainingSpec.Launcher.Value(f"LAUNCHER_{launcher.upper()}"),
        max_restarts=max_restarts,
        model=str(model) if model else "",
        dataset_checkpoint=dataset_checkpoint,
    )
    request = jobs_pb2.CreateTrainingJobRequest(
        parent=str(ProjectName(project)), spec=spec, display_name=display_name, request_id=str(uuid.uuid4())
    )
    return _jobs(connection).CreateTrainingJob(request)


def watch(connection: Connection, job: str) -> Iterator[jobs_pb2.TrainingJob]:
    """The job as it is, then whenever it changes, until it has ended."""
    yield from _jobs(connection).WatchTrainingJob(jobs_pb2.WatchTrainingJobRequest(name=job))


def cancel(connection: Connection, job: str) -> jobs_pb2.TrainingJob:
    """Stop a job; one that has ended stays as it ended."""
    return _jobs(connection).CancelTrainingJob(jobs_pb2.CancelTrainingJobRequest(name=job))


def _value(value: Parameter) -> struct_pb2.Value:
    match value:
        case bool():
            return struct_pb2.Value(bool_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case _:
            return struct_pb2.Value(number_value=value)


def _jobs(connection: Connection) -> jobs_pb2_grpc.TrainingJobServiceStub:
    return jobs_pb2_grpc.TrainingJobServiceStub(connection.channel("training"))
