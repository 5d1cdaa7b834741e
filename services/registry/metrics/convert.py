"""What runs measure between proto and domain."""

import array
import datetime
import operator
from collections.abc import Iterable, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.rpc.validation import InvalidFields
from headwater.artifact.v1 import artifact_pb2
from headwater.names import RunName
from headwater.registry.v1 import runs_pb2
from services.registry import convert
from services.registry.metrics.model import MetricBatch, MetricPoint, MetricSummary, ObjectPoint, Span

_MAX_POINTS = 10_000
_MAX_KEY = 255
_DEFAULT_POINTS = 320
_MAX_SAMPLED = 500_000
_MAX_OBJECT_BYTES = 2**20
_MICROSECOND = datetime.timedelta(microseconds=1)
# A call has up to 10,000 points.
_KEY, _STEP, _VALUE = (operator.attrgetter(name) for name in ("key", "step", "value"))
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
# What google.protobuf.Timestamp can say: the years 1 to 9999.
_FIRST_US = (datetime.datetime.min.replace(tzinfo=datetime.UTC) - _EPOCH) // _MICROSECOND
_LAST_US = (datetime.datetime.max.replace(tzinfo=datetime.UTC) - _EPOCH) // _MICROSECOND


def batch(request: runs_pb2.LogMetricsRequest, now: datetime.datetime) -> MetricBatch:
    """The points of the request by column; a point without a time has ``now``.

    Raises:
        InvalidField: there are too many, a key is none, a time lies outside the years 1 to 9999, or an object is too
            large or none.
        InvalidFields: a key has a NUL.
    """
    points = list(request.points)
    keys = list(map(_KEY, points))
    if len(points) > _MAX_POINTS:
        raise convert.InvalidField(f"A call may have at most {_MAX_POINTS:,} points.", field="points")
    _check_keys(set(keys))
    return MetricBatch(
        keys=keys,
        steps=array.array("q", list(map(_STEP, points))),
        times_us=_times_us(points, now, "points.time"),
        values=array.array("d", list(map(_VALUE, points))),
        objects=_objects(request.objects, now),
    )


def points_to_proto(points: Iterable[MetricPoint | ObjectPoint]) -> runs_pb2.ListMetricPointsResponse:
    """The points as a message without a page token."""
    response = runs_pb2.ListMetricPointsResponse()
    for point in points:
        if isinstance(point, MetricPoint):
            response.points.append(_point(point))
        else:
            value, time = convert.value_to_proto(point.value), _timestamp(point.time_us)
            response.objects.add(key=point.key, value=value, step=point.step, time=time)
    return response


def span(request: runs_pb2.SampleMetricPointsRequest) -> Span:
    """Which points a plot needs.

    Raises:
        InvalidField: one point shows nothing, or all together would be too many.
    """
    series = len(request.runs) * len(request.keys)
    most = _MAX_SAMPLED // series
    max_points = request.max_points or max(2, min(_DEFAULT_POINTS, most))
    if not 2 <= max_points <= most:
        raise convert.InvalidField(
            f"max_points must be 2 to {most:,} for {series:,} metrics of runs.", field="max_points"
        )
    return Span(
        max_points,
        request.first_step if request.HasField("first_step") else -(2**63),
        request.last_step if request.HasField("last_step") else 2**63 - 1,
    )


def series_to_proto(run: RunName, points: Iterable[MetricPoint]) -> runs_pb2.SampleMetricPointsResponse.Series:
    """The points of one metric of one run as a message."""
    return runs_pb2.SampleMetricPointsResponse.Series(run=str(run), points=map(_point, points))


def summary_to_proto(summary: MetricSummary) -> artifact_pb2.MetricSummary:
    """The summary as a message."""
    return artifact_pb2.MetricSummary(
        last=summary.last,
        last_step=summary.last_step,
        last_time=_timestamp(summary.last_time_us),
        minimum=summary.minimum,
        maximum=summary.maximum,
        point_count=summary.point_count,
    )


def _check_keys(keys: Iterable[str]) -> None:
    if not all(0 < len(key) <= _MAX_KEY for key in keys):
        raise convert.InvalidField(f"A metric's key must have 1 to {_MAX_KEY} characters.", field="points.key")
    if "\0" in "".join(keys):
        raise InvalidFields([("points.key", "must not contain NUL")])


def _point(point: MetricPoint) -> runs_pb2.MetricPoint:
    return runs_pb2.MetricPoint(key=point.key, value=point.value, step=point.step, time=_timestamp(point.time_us))


def _objects(messages: Sequence[runs_pb2.ObjectPoint], now: datetime.datetime) -> list[ObjectPoint]:
    for point in messages:
        if point.value.WhichOneof("kind") not in ("list_value", "struct_value"):
            raise convert.InvalidField("An object point holds a list or a struct.", field="objects.value")
        if point.value.ByteSize() > _MAX_OBJECT_BYTES:
            raise convert.InvalidField(
                f"An object point may have at most {_MAX_OBJECT_BYTES} bytes.", field="objects.value"
            )
    times = _times_us(messages, now, "objects.time")
    return [
        ObjectPoint(point.key, point.step, time_us, convert.value_from_proto(point.value, "objects.value"))
        for point, time_us in zip(messages, times, strict=True)
    ]


def _times_us(
    points: Sequence[runs_pb2.MetricPoint | runs_pb2.ObjectPoint], now: datetime.datetime, field: str
) -> "array.array[int]":
    now_us = (now - _EPOCH) // _MICROSECOND
    given = [point.HasField("time") for point in points]
    if not any(given):
        return array.array("q", [now_us]) * len(points)
    times = [
        point.time.seconds * 1_000_000 + point.time.nanos // 1000 if has_time else now_us
        for point, has_time in zip(points, given, strict=True)
    ]
    if not (min(times) >= _FIRST_US and max(times) <= _LAST_US):
        raise convert.InvalidField("A point's time must lie in the years 1 to 9999.", field=field)
    return array.array("q", times)


def _timestamp(time_us: int) -> Timestamp:
    seconds, microseconds = divmod(time_us, 1_000_000)
    return Timestamp(seconds=seconds, nanos=microseconds * 1000)
