"""A record of an experiment → its experiment and a run in the registry (M-34)."""

import contextlib
import dataclasses
import hashlib
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from headwater import artifacts, experiments, run_artifacts, runs
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.errors import AlreadyExists, HeadwaterError, InvalidArgument, NotFound
from headwater.names import DEFAULT_PROJECT, ExperimentName, ProjectName, RunName
from headwater.packaging import local
from headwater.packaging.documents import write
from headwater.packaging.experiment import ExperimentRecord, File
from headwater.packaging.values import slug
from headwater.patience import patiently
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc

RECORD: Final = "mlspec.record"
"""The tag of a run that was recorded from a document: the document's id, or else its digest."""
_DIGEST: Final = "mlspec.digest"
_UID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_MOST_OBJECTS: Final = 100
_GIVEN_UP: Final = (artifact_pb2.Run.STATE_FAILED, artifact_pb2.Run.STATE_CANCELLED)
_FAILURE_CHARACTERS: Final = 1000


class RecordChanged(AlreadyExists):
    """A run was made of another record with the same id."""

    reason = "RECORD_CHANGED"
    text = "A run was recorded under this id, from a record that says something else; archive it, or give another id."


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """The run that a record became."""

    run: artifact_pb2.Run
    is_new: bool
    """Whether it was made now, and not found as it was recorded before."""


def record(
    connection: Connection, document: ExperimentRecord, folder: Path, *, project: str = DEFAULT_PROJECT
) -> Recorded:
    """Make the record's experiment, unless it is there, and an ended run with its parameters, metrics, times and files.

    The same record again is the same run; what was interrupted is gone on with. Files that lie within ``folder`` are
    uploaded; of others it is kept where they are.

    Raises:
        RecordChanged: the run of this id was made of another record.
        LocalFileRefused: a file is outside of ``folder``.
    """
    files = _Files.of(document, folder)
    active, archived = (_recorded(connection, document, project, archived=archived) for archived in (False, True))
    run = next((each for each in active if each.state not in _GIVEN_UP), None)
    if run is None:
        run = _begun(connection, document, files, project, attempt=len(active) + len(archived))
    elif run.annotations[_DIGEST] != _digest(document):
        raise RecordChanged(id=document.id, run=run.name)
    elif run.state == artifact_pb2.Run.STATE_SUCCEEDED:
        return Recorded(runs.get(connection, RunName.parse(run.name)), is_new=False)
    name = RunName.parse(run.name)
    try:
        files.attach(connection, name)
        _measure(connection, run, document)
        _end(connection, name, document)
    except Exception as error:
        with contextlib.suppress(HeadwaterError):
            if (ended := runs.get(connection, name)).state == artifact_pb2.Run.STATE_SUCCEEDED:
                return Recorded(ended, is_new=False)  # somebody else, who recorded the same at once, was quicker
        said = f"{type(error).__name__}: {error}"[:_FAILURE_CHARACTERS]
        with contextlib.suppress(Exception):  # what the caller has to see is why
            runs.finish(connection, name, artifact_pb2.Run.STATE_FAILED, failure=said)
        raise
    return Recorded(runs.get(connection, name), is_new=True)


def _key(document: ExperimentRecord) -> str:
    return document.id or _digest(document)


def _digest(document: ExperimentRecord) -> str:
    return f"sha256:{hashlib.sha256(write(document).encode()).hexdigest()}"


def _recorded(
    connection: Connection, document: ExperimentRecord, project: str, *, archived: bool
) -> Sequence[artifact_pb2.Run]:
    """The runs that were made of the record."""
    quoted = _key(document).replace("'", "''")
    where = f"tags.\"{RECORD}\" = '{quoted}'"
    return list(runs.search(connection, ProjectName(project), where=where, archived=archived))


def _begun(
    connection: Connection, document: ExperimentRecord, files: "_Files", project: str, *, attempt: int
) -> artifact_pb2.Run:
    ids = {
        _DIGEST: _digest(document),
        "mlspec.id": document.id,
        "mlspec.project_id": document.project_id,
        "mlspec.experiment_id": document.experiment_id,
        "mlspec.submitter_id": document.submitter_id,
        **{f"mlspec.file.{file.key}": file.path for file in files.made_elsewhere},
    }
    given = {key: value for key, value in document.parameters.items() if value is not None}
    run = artifact_pb2.Run(
        display_name=document.name,
        experiment=_experiment(connection, document, project),
        parameters={key: runs.value_of(value) for key, value in given.items()},
        tags={**{pair.key: pair.value for pair in document.tags}, RECORD: _key(document)},
        annotations={**{pair.key: pair.value for pair in document.properties}, **{k: v for k, v in ids.items() if v}},
    )
    if document.submitted_date:
        run.start_time.FromDatetime(document.submitted_date)
    request = runs_pb2.CreateRunRequest(parent=str(ProjectName(project)), run=run)
    # The same for all who record this at once, so that one run comes of it.
    said = f"{attempt} {request.SerializeToString(deterministic=True).hex()}"
    request.request_id = str(uuid.uuid5(uuid.NAMESPACE_OID, said))
    return patiently(lambda: _stub(connection).CreateRun(request))


def _experiment(connection: Connection, document: ExperimentRecord, project: str) -> str:
    """The experiment that the record names, made where there is none; the default one where it names none."""
    if not document.experiment_id:
        return ""
    called = slug(document.experiment_id)
    if not called:
        raise InvalidArgument("experiment_id has no letter and no digit to be called by.", field="experiment_id")
    try:
        return experiments.get(connection, ExperimentName(project, called)).name
    except NotFound:
        # The registry gives no experiment a name that looks like a uid.
        name = ExperimentName(project, f"experiment-{called}" if _UID.fullmatch(called) else called)
    with contextlib.suppress(AlreadyExists):
        experiments.create(connection, name, display_name=document.experiment_id)
    return str(name)


def _measure(connection: Connection, run: artifact_pb2.Run, document: ExperimentRecord) -> None:
    """All metrics are of one time, so that the same again is recorded once."""
    scalars = [metric for metric in document.metrics if metric.value_type == "scalar"]
    objects = [metric for metric in document.metrics if metric.value_type != "scalar"]
    points = [runs_pb2.MetricPoint(key=each.key, value=each.value, time=run.start_time) for each in scalars]
    requests = [runs_pb2.LogMetricsRequest(name=run.name, points=points)] if points else []
    for begin in range(0, len(objects), _MOST_OBJECTS):
        some = [
            runs_pb2.ObjectPoint(key=each.key, value=runs.value_of(each.value), time=run.start_time)
            for each in objects[begin : begin + _MOST_OBJECTS]
        ]
        requests.append(runs_pb2.LogMetricsRequest(name=run.name, objects=some))
    for request in requests:
        patiently(lambda request=request: _stub(connection).LogMetrics(request))  # type: ignore[misc]


def _end(connection: Connection, run: RunName, document: ExperimentRecord) -> None:
    request = runs_pb2.FinishRunRequest(name=str(run), state=artifact_pb2.Run.STATE_SUCCEEDED)
    if document.submitted_date:  # the one time that the record tells
        request.end_time.FromDatetime(document.submitted_date)
    patiently(lambda: _stub(connection).FinishRun(request))


@dataclasses.dataclass(frozen=True, slots=True)
class _Files:
    """What the record names, and where it lies on this machine; None for what is not here."""

    folder: Path
    made: Sequence[tuple[File, Path | None]]
    read: Sequence[tuple[File, Path | None]]

    @classmethod
    def of(cls, document: ExperimentRecord, folder: Path) -> "_Files":
        """Looked for before anything is stored."""
        made = [(file, _found(file, folder, f"artifacts[{at}].path")) for at, file in enumerate(document.artifacts)]
        read = [(file, _found(file, folder, f"datasets[{at}].path")) for at, file in enumerate(document.datasets)]
        return cls(folder.resolve(), made, read)

    @property
    def made_elsewhere(self) -> Sequence[File]:
        """What the run made and is not here."""
        return [file for file, path in self.made if path is None]

    def attach(self, connection: Connection, run: RunName) -> None:
        """What was made becomes the run's artifacts, what was read its inputs."""
        for file, path in self.made:
            if path is not None:
                inside = path.relative_to(self.folder).as_posix()
                run_artifacts.attach(connection, run, path, path=inside, kind=file.artifact_type.lower())
        inputs = [self._input(connection, run, file, path) for file, path in self.read]
        if inputs:
            request = runs_pb2.LogRunInputsRequest(name=str(run), data_inputs=inputs)
            patiently(lambda: _stub(connection).LogRunInputs(request))

    def _input(self, connection: Connection, run: RunName, file: File, path: Path | None) -> artifact_pb2.RunDataInput:
        if path is None:
            scheme, is_address, _ = file.path.partition("://")
            return artifact_pb2.RunDataInput(
                name=file.key, source_type=scheme if is_address else "local", source=file.path
            )
        stored = artifacts.upload(connection, path, project=run.project)
        return artifact_pb2.RunDataInput(
            name=file.key, digest=stored.digest, source_type="headwater", source=stored.name
        )


def _found(file: File, folder: Path, field: str) -> Path | None:
    """The file, if it is there.

    Raises:
        LocalFileRefused: it is there, and outside of ``folder``.
    """
    try:
        is_here = "://" not in file.path and (folder / file.path).is_file()
    except (OSError, ValueError):  # no file can be called so
        is_here = False
    return local.path(folder, file.path, field) if is_here else None


def _stub(connection: Connection) -> runs_pb2_grpc.RunServiceStub:
    return runs_pb2_grpc.RunServiceStub(connection.channel("registry"))
