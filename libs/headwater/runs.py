"""Runs, from Python: log what a program measures, find runs and change what is said of them.

with runs.start(connection, experiment="digits", parameters={"lr": 0.1}) as run:
    for step, loss in enumerate(train()):
        run.log({"loss": loss}, step)
"""

import contextlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import struct_pb2

from headwater import experiments
from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.metric_log import MetricLog
from headwater.names import DEFAULT_PROJECT, DatasetVersionName, ProjectName, RunName
from headwater.pages import pages
from headwater.patience import patiently
from headwater.registry.v1 import runs_pb2, runs_pb2_grpc

_PAGE = 200
_FAILURE_CHARACTERS = 1000


def named(text: str, project: str = DEFAULT_PROJECT) -> RunName:
    """The id of a run, or a full name."""
    return RunName.parse(text) if "/" in text else RunName(project, text)


class ActiveRun:
    """A run that this program logs to. Metrics go out in the background, every second; nothing is lost that was logged
    before :meth:`flush` or the end of the ``with`` block."""

    def __init__(self, connection: Connection, run: artifact_pb2.Run) -> None:
        self.name = RunName.parse(run.name)
        self._stub = _stub(connection)
        self._metrics = MetricLog(connection, run.name)

    def log(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log one point for each metric, measured now."""
        self._metrics.add(metrics, step)

    def log_objects(self, objects: Mapping[str, Any], step: int = 0) -> None:
        """Log arrays and objects, as in JSON or of NumPy: a confusion matrix, for example. Numbers must be finite."""
        points = [runs_pb2.ObjectPoint(key=key, value=value_of(value), step=step) for key, value in objects.items()]
        self._call(runs_pb2.LogMetricsRequest(name=str(self.name), objects=points))

    def log_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Set parameters; one that is set already keeps its value, and another value is refused."""
        told = {key: value_of(value) for key, value in parameters.items()}
        self._call(runs_pb2.LogMetricsRequest(name=str(self.name), parameters=told))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; the others stay."""
        self._call(runs_pb2.LogMetricsRequest(name=str(self.name), tags=tags))

    def log_data(
        self,
        name: str,
        digest: str = "",
        *,
        context: str = "",
        source: str = "",
        source_type: str = "",
        dataset_version: DatasetVersionName | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Say what data the run reads; the same again changes nothing, another description is refused.

        Args:
            digest: in the notation of whoever computed it; name and digest tell one input from another.
            context: what it is read for: ``training``, for example.
            source: where it comes from, in the notation of ``source_type``: a path, an address, a query.
            dataset_version: the version of a dataset that it is: lineage joins it to the run.
        """
        data = artifact_pb2.RunDataInput(
            name=name,
            digest=digest,
            source=source,
            source_type=source_type,
            dataset_version=str(dataset_version or ""),
            tags={**(tags or {}), **({"context": context} if context else {})},
        )
        request = runs_pb2.LogRunInputsRequest(name=str(self.name), data_inputs=[data])
        patiently(lambda: self._stub.LogRunInputs(request))

    def flush(self) -> None:
        """Wait until everything that was logged is recorded."""
        self._metrics.flush()

    def close(self) -> None:
        """Send the rest; the run itself goes on."""
        self._metrics.close()

    def _call(self, request: runs_pb2.LogMetricsRequest) -> None:
        patiently(lambda: self._stub.LogMetrics(request))  # which may be made twice: what is there already stays


@contextlib.contextmanager
def start(
    connection: Connection,
    *,
    project: str = DEFAULT_PROJECT,
    experiment: str = "",
    display_name: str = "",
    description: str = "",
    parameters: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    parent: RunName | None = None,
) -> Iterator[ActiveRun]:
    """A new run, which ends with the block: well, or FAILED when the block raises, or CANCELLED when it is interrupted.

    Args:
        experiment: the name of one that exists, or a full name; the parent's or the default one when empty.
        parameters: what the program was given; values as in JSON.
        parent: the run that starts this one; tags of it that begin with ``inherit.`` are taken over.
    """
    run = artifact_pb2.Run(
        display_name=display_name,
        description=description,
        parameters={key: value_of(value) for key, value in (parameters or {}).items()},
        tags=tags,
        experiment=str(experiments.named(experiment, project)) if experiment else "",
        parent_run=str(parent or ""),
    )
    request = runs_pb2.CreateRunRequest(parent=str(ProjectName(project)), run=run, request_id=str(uuid.uuid4()))
    with _until_the_end(connection, patiently(lambda: _stub(connection).CreateRun(request))) as active:
        yield active


@contextlib.contextmanager
def resume(connection: Connection, run: RunName) -> Iterator[ActiveRun]:
    """A run that has ended, or is scheduled, to log on in; it ends as in :func:`start`."""
    resumed = patiently(lambda: _stub(connection).ResumeRun(runs_pb2.ResumeRunRequest(name=str(run))))
    with _until_the_end(connection, resumed) as active:
        yield active


def finish(
    connection: Connection, run: RunName, state: artifact_pb2.Run.State.ValueType, *, failure: str = ""
) -> artifact_pb2.Run:
    """End a run: in SUCCEEDED, FAILED or CANCELLED."""
    request = runs_pb2.FinishRunRequest(name=str(run), state=state, failure=failure)
    return patiently(lambda: _stub(connection).FinishRun(request))


def get(connection: Connection, run: RunName) -> artifact_pb2.Run:
    """One run with all that is known of it but the history of its metrics."""
    return _stub(connection).GetRun(runs_pb2.GetRunRequest(name=str(run)))


def search(
    connection: Connection,
    project: ProjectName,
    *,
    where: str = "",
    order_by: str = "",
    within: Sequence[str] = (),
    parent: RunName | None = None,
    archived: bool = False,
) -> Iterator[artifact_pb2.Run]:
    """The runs of a project, newest first; asked for page by page as they are read.

    Args:
        where: which ones, for example ``metrics.loss < 0.1 AND params.optimizer = "adam"`` (docs/reference/search.md).
        order_by: for example ``metrics.loss asc``.
        within: only those of these experiments, by name.
        parent: only the children of this run.
        archived: those archived, in place of those in use.
    """
    request = runs_pb2.ListRunsRequest(
        parent=str(project),
        page_size=_PAGE,
        filter=where,
        order_by=order_by,
        experiments=[str(experiments.named(name, project.project)) for name in within],
        parent_run=str(parent or ""),
        lifecycle=runs_pb2.RUN_LIFECYCLE_FILTER_ARCHIVED if archived else runs_pb2.RUN_LIFECYCLE_FILTER_ACTIVE,
    )
    for page in pages(_stub(connection).ListRuns, request):
        yield from page.runs


def points(connection: Connection, run: RunName, key: str) -> Iterator[runs_pb2.MetricPoint | runs_pb2.ObjectPoint]:
    """The history of one metric by step, then time: numbers or, where it has none, arrays and objects."""
    request = runs_pb2.ListMetricPointsRequest(name=str(run), key=key, page_size=1000)
    for page in pages(_stub(connection).ListMetricPoints, request):
        yield from page.points
        yield from page.objects


def sample(
    connection: Connection, runs: Iterable[RunName], keys: Sequence[str], max_points: int = 0
) -> Sequence[runs_pb2.SampleMetricPointsResponse.Series]:
    """What plots need of the history of metrics of several runs of one project: some points of each, evenly."""
    names = list(runs)
    request = runs_pb2.SampleMetricPointsRequest(
        parent=str(ProjectName(names[0].project)), runs=map(str, names), keys=keys, max_points=max_points
    )
    return _stub(connection).SampleMetricPoints(request).series


def tag(
    connection: Connection, run: RunName, tags: Mapping[str, str], removed: Iterable[str] = ()
) -> Mapping[str, str]:
    """Set some tags and remove others; the rest stay. Returns all that there are then."""
    request = runs_pb2.SetRunTagsRequest(name=str(run), tags=tags, removed_keys=removed)
    return _stub(connection).SetRunTags(request).tags


def describe(
    connection: Connection,
    run: RunName,
    *,
    display_name: str | None = None,
    description: str | None = None,
    experiment: str | None = None,
    references: Sequence[str] | None = None,
) -> artifact_pb2.Run:
    """Change what is said of a run; what is None stays."""
    name = None if experiment is None else str(experiments.named(experiment, run.project))
    said = {"display_name": display_name, "description": description, "experiment": name, "references": references}
    given = {field: value for field, value in said.items() if value is not None}
    request = runs_pb2.UpdateRunRequest(
        run=artifact_pb2.Run(name=str(run), **given),  # type: ignore[arg-type]
        update_mask={"paths": list(given)},  # type: ignore[arg-type]
    )
    return _stub(connection).UpdateRun(request)


def archive(connection: Connection, run: RunName) -> artifact_pb2.Run:
    """Take a run out of default lists. It can be read, and takes no more metrics."""
    return _stub(connection).ArchiveRun(runs_pb2.ArchiveRunRequest(name=str(run)))


def reactivate(connection: Connection, run: RunName) -> artifact_pb2.Run:
    """Put an archived run back into default lists."""
    return _stub(connection).ReactivateRun(runs_pb2.ReactivateRunRequest(name=str(run)))


def value_of(value: Any) -> struct_pb2.Value:
    """A plain value, as in JSON, or a number or array of NumPy or PyTorch, as a message.

    Raises:
        TypeError: it is no such value.
    """
    match value:
        case None:
            return struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            return struct_pb2.Value(bool_value=value)
        case int() | float():
            return struct_pb2.Value(number_value=value)
        case str():
            return struct_pb2.Value(string_value=value)
        case Mapping():
            fields = {str(key): value_of(item) for key, item in value.items()}
            return struct_pb2.Value(struct_value=struct_pb2.Struct(fields=fields))
        case list() | tuple():
            return struct_pb2.Value(list_value=struct_pb2.ListValue(values=map(value_of, value)))
        case _ if hasattr(value, "tolist"):
            return value_of(value.tolist())
    raise TypeError(f"{value!r} is no value as in JSON")


@contextlib.contextmanager
def _until_the_end(connection: Connection, run: artifact_pb2.Run) -> Iterator[ActiveRun]:
    active = ActiveRun(connection, run)
    try:
        yield active
        active.close()
    except BaseException as error:
        state = artifact_pb2.Run.STATE_FAILED if isinstance(error, Exception) else artifact_pb2.Run.STATE_CANCELLED
        with contextlib.suppress(Exception):  # the error of the block is what the caller has to see
            active.close()
        with contextlib.suppress(Exception):
            finish(connection, active.name, state, failure=f"{type(error).__name__}: {error}"[:_FAILURE_CHARACTERS])
        raise
    finish(connection, active.name, artifact_pb2.Run.STATE_SUCCEEDED)


def _stub(connection: Connection) -> runs_pb2_grpc.RunServiceStub:
    return runs_pb2_grpc.RunServiceStub(connection.channel("registry"))
