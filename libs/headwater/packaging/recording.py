"""A record of an experiment → a run in the registry (M-34)."""

import dataclasses
import datetime
import uuid
from collections.abc import Iterator
from pathlib import Path

from headwater import artifacts
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import Unimplemented
from headwater.names import DEFAULT_PROJECT, ProjectName
from headwater.packaging import local
from headwater.packaging.experiment import ExperimentRecord, File
from headwater.packaging.registering import to_proto
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc

_KINDS = {"MODEL": runs_pb2.RunArtifact.KIND_MODEL, "DATA": runs_pb2.RunArtifact.KIND_DATA}


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """The run that a record became."""

    run: artifact_pb2.Run
    warnings: tuple[str, ...]
    """What the record says and the registry does not keep."""


def record(
    connection: Connection, document: ExperimentRecord, folder: Path, *, project: str = DEFAULT_PROJECT
) -> Recorded:
    """Make a run with the record's parameters, metrics, tags and files, and end it.

    Files that lie within ``folder`` are uploaded; of others their paths are kept.

    Raises:
        LocalFileRefused: a file is outside of ``folder``.
    """
    files = {file: _found(file, folder) for file in (*document.artifacts, *document.datasets)}
    stub = runs_pb2_grpc.RunServiceStub(connection.channel("registry"))
    run = stub.CreateRun(
        runs_pb2.CreateRunRequest(
            parent=str(ProjectName(project)), run=_run(document, files), request_id=str(uuid.uuid4())
        )
    )
    warnings: list[str] = []
    for file, path in files.items():
        if path is not None:
            warnings += _attach(connection, stub, run.name, file, path, project)
    time = document.submitted_date or datetime.datetime.now(datetime.UTC)
    stub.LogMetrics(_metrics(run.name, document, time))
    run = stub.FinishRun(runs_pb2.FinishRunRequest(name=run.name, state=artifact_pb2.Run.STATE_SUCCEEDED))
    missing = {metric.key for metric in document.metrics} - set(run.latest_metrics) - set(run.latest_objects)
    warnings += [f"the registry does not keep the metric {key}: it is no number" for key in sorted(missing)]
    return Recorded(run, tuple(warnings))


def _found(file: File, folder: Path) -> Path | None:
    """The file, if it is there."""
    if "://" in file.path or not (folder / file.path).is_file():
        return None
    return local.path(folder, file.path, f"{file.key}.path")


def _run(document: ExperimentRecord, files: dict[File, Path | None]) -> artifact_pb2.Run:
    ids = {
        "mlspec.id": document.id,
        "mlspec.project_id": document.project_id,
        "mlspec.experiment_id": document.experiment_id,
        "mlspec.submitter_id": document.submitter_id,
        "mlspec.submitted_date": document.submitted_date.isoformat() if document.submitted_date else "",
        **{f"mlspec.file.{file.key}": file.path for file, path in files.items() if path is None},
        **{pair.key: pair.value for pair in document.properties},
    }
    given = {key: value for key, value in document.parameters.items() if value is not None}
    return artifact_pb2.Run(
        display_name=document.name,
        parameters={key: to_proto(value) for key, value in given.items()},
        tags={pair.key: pair.value for pair in document.tags},
        annotations={key: value for key, value in ids.items() if value},
    )


def _metrics(run: str, document: ExperimentRecord, time: datetime.datetime) -> runs_pb2.LogMetricsRequest:
    request = runs_pb2.LogMetricsRequest(name=run)
    for metric in document.metrics:
        if metric.value_type == "scalar":
            request.points.add(key=metric.key, value=metric.value).time.FromDatetime(time)
        else:
            request.objects.add(key=metric.key, value=to_proto(metric.value)).time.FromDatetime(time)
    return request


def _attach(
    connection: Connection, stub: runs_pb2_grpc.RunServiceStub, run: str, file: File, path: Path, project: str
) -> Iterator[str]:
    artifact = artifacts.upload(connection, path, project=project)
    kind = _KINDS.get(file.artifact_type, runs_pb2.RunArtifact.KIND_UNSPECIFIED)
    attached = runs_pb2.RunArtifact(path=file.path, kind=kind, artifact=artifact.name)
    try:
        stub.CreateRunArtifact(runs_pb2.CreateRunArtifactRequest(parent=run, run_artifact=attached))
    except Unimplemented:
        yield f"the registry stores {file.path} as {artifact.name}, and does not tie it to the run"
