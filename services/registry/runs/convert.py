"""Runs and metrics between proto and domain."""

import datetime
from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.artifact.v1 import artifact_pb2
from headwater.names import InvalidName, PreprocessingJobName, RunName, TrainingJobName
from headwater.registry.v1 import runs_pb2
from services.registry import convert
from services.registry.metrics.model import MetricBatch, MetricPoint, MetricSummary, ObjectPoint
from services.registry.runs.model import NewRun, Run

_GIVEN = ("display_name", "description", "parameters", "tags", "annotations", "parent_run", "job")
_MAX_OBJECT_BYTES = 2**20
_MICROSECOND = datetime.timedelta(microseconds=1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# What google.protobuf.Timestamp can say: the years 1 to 9999.
_FIRST_US = (datetime.datetime.min.replace(tzinfo=datetime.UTC) - _EPOCH) // _MICROSECOND
_LAST_US = (datetime.datetime.max.replace(tzinfo=datetime.UTC) - _EPOCH) // _MICROSECOND


def new_run(run: artifact_pb2.Run) -> NewRun:
    """What the request says of the run to be, checked."""
    convert.refuse_other_fields(run, _GIVEN, "run")
    if run.parent_run:
        RunName.parse(run.parent_run, "run.parent_run")
    return NewRun(
        display_name=convert.text(run.display_name, "run.display_name", convert.MAX_DISPLAY_NAME),
        description=convert.text(run.description, "run.description", convert.MAX_DESCRIPTION),
        parameters=convert.values_from_proto(run.parameters, "run.parameters"),
        tags=convert.pairs(run.tags, "run.tags"),
        annotations=convert.pairs(run.annotations, "run.annotations"),
        parent_run=run.parent_run,
        job=_job(run.job),
    )


def to_proto(run: Run) -> artifact_pb2.Run:
    """The run as a message."""
    return artifact_pb2.Run(
        id=convert.uuid(run.id, artifact_pb2.UUID.TYPE_RUN),
        name=str(run.name),
        description=run.description,
        project=convert.uuid(run.project_id, artifact_pb2.UUID.TYPE_PROJECT),
        annotations=run.annotations,
        display_name=run.display_name,
        state=artifact_pb2.Run.State.ValueType(run.state),
        start_time=convert.timestamp(run.start_time),
        end_time=convert.timestamp(run.end_time),
        parameters=convert.values_to_proto(run.parameters),
        tags=run.tags,
        latest_metrics=run.latest_metrics,
        metric_summaries={key: _summary(summary) for key, summary in run.metrics.items()},
        latest_objects=convert.values_to_proto(run.latest_objects),
        parent_run=run.parent_run,
        created_by=run.created_by,
        failure=run.failure,
        job=run.job,
    )


def batch(request: runs_pb2.LogMetricsRequest, now: datetime.datetime) -> MetricBatch:
    """The points of the request by column; a point without a time has ``now``.

    Raises:
        InvalidField: a time lies outside the years 1 to 9999.
    """
    points = request.points
    return MetricBatch(
        keys=[point.key for point in points],
        steps=[point.step for point in points],
        times_us=_times_us(points, now, "points.time"),
        values=[point.value for point in points],
        objects=_objects(request.objects, now),
    )


def points_to_proto(points: Iterable[MetricPoint | ObjectPoint]) -> runs_pb2.ListMetricPointsResponse:
    """The points as a message without a page token."""
    response = runs_pb2.ListMetricPointsResponse()
    for point in points:
        told = {"key": point.key, "step": point.step, "time": _timestamp(point.time_us)}
        if isinstance(point, MetricPoint):
            response.points.add(value=point.value, **told)
        else:
            response.objects.add(value=convert.value_to_proto(point.value), **told)
    return response


def _summary(summary: MetricSummary) -> artifact_pb2.MetricSummary:
    return artifact_pb2.MetricSummary(
        last=summary.last,
        last_step=summary.last_step,
        last_time=_timestamp(summary.last_time_us),
        minimum=summary.minimum,
        maximum=summary.maximum,
        point_count=summary.point_count,
    )


def _objects(messages: Iterable[runs_pb2.ObjectPoint], now: datetime.datetime) -> list[ObjectPoint]:
    points = list(messages)
    for point in points:
        if point.value.WhichOneof("kind") not in ("list_value", "struct_value"):
            raise convert.InvalidField("An object point holds a list or a struct.", field="objects.value")
        if point.value.ByteSize() > _MAX_OBJECT_BYTES:
            raise convert.InvalidField(
                f"An object point may have at most {_MAX_OBJECT_BYTES} bytes.", field="objects.value"
            )
    times = _times_us(points, now, "objects.time")
    return [
        ObjectPoint(point.key, point.step, time_us, convert.value_from_proto(point.value, "objects.value"))
        for point, time_us in zip(points, times, strict=True)
    ]


def _times_us(
    points: Sequence[runs_pb2.MetricPoint] | Sequence[runs_pb2.ObjectPoint], now: datetime.datetime, field: str
) -> list[int]:
    now_us = (now - _EPOCH) // _MICROSECOND
    times = [
        point.time.seconds * 1_000_000 + point.time.nanos // 1000 if point.HasField("time") else now_us
        for point in points
    ]
    if times and not (min(times) >= _FIRST_US and max(times) <= _LAST_US):
        raise convert.InvalidField("A point's time must lie in the years 1 to 9999.", field=field)
    return times


def _timestamp(time_us: int) -> Timestamp:
    seconds, microseconds = divmod(time_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1000)


def _job(name: str) -> str:
    """The resource name of a training or preprocessing job, or empty."""
    if not name:
        return ""
    for kind in (TrainingJobName, PreprocessingJobName):
        try:
            return str(kind.parse(name, "run.job"))
        except InvalidName:
            continue
    raise InvalidName(
        f"run.job must look like {TrainingJobName.pattern} or {PreprocessingJobName.pattern}.", field="run.job"
    )
