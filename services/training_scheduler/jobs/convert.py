"""Jobs between proto and domain."""

import datetime
from collections.abc import Mapping
from typing import Any

from google.protobuf import struct_pb2, timestamp_pb2

from headwater.names import ProjectName
from headwater.training.v1 import jobs_pb2
from services.training_scheduler.errors import InvalidSpec
from services.training_scheduler.jobs.jobs import NewJob
from services.training_scheduler.jobs.model import (
    Checkpoint,
    Json,
    LauncherKind,
    Progress,
    Resources,
    State,
    TrainingJob,
    TrainingSpec,
)

_LAUNCHERS = {
    jobs_pb2.TrainingSpec.LAUNCHER_UNSPECIFIED: LauncherKind.LOCAL,
    jobs_pb2.TrainingSpec.LAUNCHER_LOCAL: LauncherKind.LOCAL,
    jobs_pb2.TrainingSpec.LAUNCHER_RAY: LauncherKind.RAY,
}
_LAUNCHERS_TO_PROTO = {
    LauncherKind.LOCAL: jobs_pb2.TrainingSpec.LAUNCHER_LOCAL,
    LauncherKind.RAY: jobs_pb2.TrainingSpec.LAUNCHER_RAY,
}
_STATES_TO_PROTO = {
    State.PENDING: jobs_pb2.TrainingJob.STATE_PENDING,
    State.RUNNING: jobs_pb2.TrainingJob.STATE_RUNNING,
    State.FINISHING: jobs_pb2.TrainingJob.STATE_FINISHING,
    State.SUCCEEDED: jobs_pb2.TrainingJob.STATE_SUCCEEDED,
    State.FAILED: jobs_pb2.TrainingJob.STATE_FAILED,
    State.CANCELLED: jobs_pb2.TrainingJob.STATE_CANCELLED,
}


def new_job(request: jobs_pb2.CreateTrainingJobRequest, *, created_by: str, body_digest: str) -> NewJob:
    """What the request asks for."""
    return NewJob(
        project=ProjectName.parse(request.parent, "parent"),
        spec=spec_from_proto(request.spec),
        created_by=created_by,
        display_name=request.display_name,
        request_id=request.request_id,
        body_digest=body_digest,
    )


def spec_from_proto(spec: jobs_pb2.TrainingSpec) -> TrainingSpec:
    """Raises InvalidSpec for a parameter that has no value."""
    return TrainingSpec(
        dataset_version=spec.dataset_version,
        code=spec.code,
        command=tuple(spec.command),
        parameters=parameters_from_proto(spec.parameters),
        worker_count=spec.worker_count,
        resources=Resources(
            cpus=spec.resources.cpus or 1.0,
            memory_bytes=spec.resources.memory_bytes,
            gpus=spec.resources.gpus,
        ),
        launcher=_LAUNCHERS[spec.launcher],
        max_restarts=spec.max_restarts,
        model=spec.model,
        dataset_checkpoint=spec.dataset_checkpoint,
    )


def spec_to_proto(spec: TrainingSpec) -> jobs_pb2.TrainingSpec:
    """The inverse of :func:`spec_from_proto`, with what was left open filled in."""
    return jobs_pb2.TrainingSpec(
        dataset_version=spec.dataset_version,
        code=spec.code,
        command=spec.command,
        parameters=parameters_to_proto(spec.parameters),
        worker_count=spec.worker_count,
        resources=jobs_pb2.Resources(
            cpus=spec.resources.cpus, memory_bytes=spec.resources.memory_bytes, gpus=spec.resources.gpus
        ),
        launcher=_LAUNCHERS_TO_PROTO[spec.launcher],
        max_restarts=spec.max_restarts,
        model=spec.model,
        dataset_checkpoint=spec.dataset_checkpoint,
    )


def job_to_proto(job: TrainingJob) -> jobs_pb2.TrainingJob:
    """The job as clients see it."""
    return jobs_pb2.TrainingJob(
        name=job.name,
        display_name=job.display_name,
        spec=spec_to_proto(job.spec),
        state=_STATES_TO_PROTO[job.state],
        run=job.run,
        progress=progress_to_proto(job.progress),
        attempt_count=job.attempt_count,
        checkpoint=checkpoint_to_proto(job.checkpoint),
        model_version=job.model_version,
        failure_reason=job.failure.reason if job.failure else "",
        failure=job.failure.text if job.failure else "",
        create_time=_time(job.create_time),
        start_time=_time(job.start_time),
        end_time=_time(job.end_time),
        created_by=job.created_by,
        warnings=job.warnings,
    )


def progress_from_proto(progress: jobs_pb2.Progress) -> Progress:
    """The inverse of :func:`progress_to_proto`."""
    return Progress(
        epoch=progress.epoch,
        epoch_count=progress.epoch_count,
        step=progress.step,
        step_count=progress.step_count,
        metrics=dict(progress.metrics),
    )


def progress_to_proto(progress: Progress) -> jobs_pb2.Progress:
    """The inverse of :func:`progress_from_proto`."""
    return jobs_pb2.Progress(
        epoch=progress.epoch,
        epoch_count=progress.epoch_count,
        step=progress.step,
        step_count=progress.step_count,
        metrics=progress.metrics,
    )


def checkpoint_to_proto(checkpoint: Checkpoint | None) -> jobs_pb2.Checkpoint | None:
    """None stays None: a message field that is not set."""
    if checkpoint is None:
        return None
    return jobs_pb2.Checkpoint(
        epoch=checkpoint.epoch,
        step=checkpoint.step,
        digest=checkpoint.digest,
        size_bytes=checkpoint.size_bytes,
        create_time=_time(checkpoint.create_time),
    )


def parameters_from_proto(parameters: Mapping[str, struct_pb2.Value]) -> dict[str, Json]:
    """Raises InvalidSpec for a parameter that has no value."""
    return {key: _json(key, value) for key, value in parameters.items()}


def parameters_to_proto(parameters: Mapping[str, Json]) -> dict[str, struct_pb2.Value]:
    """The inverse of :func:`parameters_from_proto`."""
    return {key: _value(value) for key, value in parameters.items()}


def _json(key: str, value: struct_pb2.Value) -> Json:
    match value.WhichOneof("kind"):
        case "null_value":
            return None
        case "bool_value":
            return value.bool_value
        case "number_value":
            return value.number_value
        case "string_value":
            return value.string_value
        case "struct_value":
            return {name: _json(key, item) for name, item in value.struct_value.fields.items()}
        case "list_value":
            return [_json(key, item) for item in value.list_value.values]
    raise InvalidSpec(f"The parameter {key} has no value.", field=f"spec.parameters.{key}")


def _value(value: Json) -> struct_pb2.Value:
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case dict():
            fields: dict[str, Any] = {name: _value(item) for name, item in value.items()}
            return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
        case _:
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_value(item) for item in value]))


def _time(value: datetime.datetime | None) -> timestamp_pb2.Timestamp | None:
    if value is None:
        return None
    timestamp = timestamp_pb2.Timestamp()
    timestamp.FromDatetime(value)
    return timestamp
