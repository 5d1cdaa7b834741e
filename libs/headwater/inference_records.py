"""Records of inference requests from Python: find them, read them by the million, and say what turned out to be true.

for record in inference_records.find(connection, references.project(), deployment=digits):
    print(record.name, record.result_code, record.latency_ms)

table = inference_records.read(connection, query).read_all()        # a pyarrow.Table
inference_records.say(connection, name, ground_truth="7", score=1.0)
"""

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from google.protobuf import field_mask_pb2, json_format

from headwater.client import Connection
from headwater.errors import InvalidArgument
from headwater.flight import flight_errors
from headwater.inference.v1 import (
    deployments_pb2,
    deployments_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    flight_pb2,
    recording_pb2,
)
from headwater.names import DeploymentName, InferenceRecordName, ModelVersionName, ProjectName
from headwater.pages import pages

if TYPE_CHECKING:
    import pyarrow.flight

_BATCH = 1000
"""Feedback that goes in one request."""


def get(
    connection: Connection, name: InferenceRecordName, *, with_bodies: bool = False
) -> deployments_pb2.InferenceRecord:
    """One record, with the tensors that were recorded if they are wanted; raises NotFound."""
    request = deployments_pb2.GetInferenceRecordRequest(name=str(name), with_bodies=with_bodies)
    return _records(connection).GetInferenceRecord(request)


def find(
    connection: Connection,
    project: ProjectName,
    *,
    deployment: DeploymentName | None = None,
    model_version: ModelVersionName | None = None,
    result_code: str = "",
    start: datetime.datetime | None = None,
    end: datetime.datetime | None = None,
    failures: bool = False,
) -> Iterator[deployments_pb2.InferenceRecord]:
    """The records of a project, newest first, without tensors: those of one deployment or version, with one result, or
    from ``start`` on and before ``end``. With ``failures`` only what did not end as OK; the others are read and left
    out, so where failures are few, say since when.

    Raises:
        InvalidArgument: a time without a time zone.
        NotFound: there never was such a deployment.
    """
    request = deployments_pb2.ListInferenceRecordsRequest(
        parent=str(project),
        page_size=1000,
        deployment=str(deployment) if deployment else "",
        model_version=str(model_version) if model_version else "",
        result_code=result_code,
    )
    _between(request, start, end)
    for page in pages(_records(connection).ListInferenceRecords, request):
        yield from (each for each in page.inference_records if not failures or each.result_code != "OK")


def query(
    project: ProjectName,
    *,
    deployment: DeploymentName | None = None,
    model_version: ModelVersionName | None = None,
    result_code: str = "",
    start: datetime.datetime | None = None,
    end: datetime.datetime | None = None,
    with_bodies: bool = False,
    filter: str = "",  # noqa: A002 (what it is called everywhere)
) -> flight_pb2.RecordsQuery:
    """Which records are wanted; of times, ``start`` is the first and ``end`` is after the last.

    ``filter`` is a condition over the columns that are read, as in SQL's WHERE (docs/reference/filters.md):
    ``latency_ms > 100 AND ground_truth IS NOT NULL``.

    Raises:
        InvalidArgument: a time without a time zone.
    """
    wanted = flight_pb2.RecordsQuery(
        parent=str(project),
        deployment=str(deployment) if deployment else "",
        model_version=str(model_version) if model_version else "",
        result_code=result_code,
        with_bodies=with_bodies,
        filter=filter,
    )
    _between(wanted, start, end)
    return wanted


@contextlib.contextmanager
def read(connection: Connection, wanted: flight_pb2.RecordsQuery) -> "Iterator[pyarrow.flight.FlightStreamReader]":
    """The records over Arrow Flight, in the order in which they were written: everything that was answered by now."""
    from pyarrow import flight

    client, options = connection.inference_flight(), connection.flight_options()
    with flight_errors():
        descriptor = flight.FlightDescriptor.for_command(wanted.SerializeToString())
        info = client.get_flight_info(descriptor, options)
        reader = client.do_get(info.endpoints[0].ticket, options)
        try:
            yield reader
        finally:
            reader.cancel()  # whatever was not read does not come any more


def say(
    connection: Connection,
    name: InferenceRecordName,
    *,
    ground_truth: Any = None,
    score: float | None = None,
    actions: Sequence[str] = (),
    explanation: Mapping[str, float] | None = None,
    feedback_id: str = "",
) -> bool:
    """Say what turned out to be true of a prediction, or how useful it was; false if that was said before.

    Raises:
        NotFound: the request was never recorded.
        InvalidArgument: nothing is said, or a score that is not between 0 and 1.
    """
    said = feedback(
        name, ground_truth=ground_truth, score=score, actions=actions, explanation=explanation, feedback_id=feedback_id
    )
    return say_all(connection, ProjectName(name.project), [said]) == 1


def feedback(
    name: InferenceRecordName,
    *,
    ground_truth: Any = None,
    score: float | None = None,
    actions: Sequence[str] = (),
    explanation: Mapping[str, float] | None = None,
    feedback_id: str = "",
) -> feedback_pb2.InferenceFeedback:
    """Feedback to be sent with :func:`say_all`."""
    message = feedback_pb2.InferenceFeedback(
        record=str(name), feedback_id=feedback_id, score=score, actions=actions, explanation=explanation or {}
    )
    if ground_truth is not None:
        try:
            json_format.ParseDict(ground_truth, message.ground_truth)
        except json_format.ParseError as error:
            raise InvalidArgument("A ground truth must be what JSON can say.", field="ground_truth") from error
    return message


def say_all(connection: Connection, project: ProjectName, said: Sequence[feedback_pb2.InferenceFeedback]) -> int:
    """Send feedback on requests of one project, a thousand at a time; returns how much of it is new.

    It can be sent again after a failure: what came in before counts once.
    """
    new = 0
    stub = feedback_pb2_grpc.InferenceFeedbackServiceStub(connection.channel("inference"))
    for start in range(0, len(said), _BATCH):
        request = feedback_pb2.RecordFeedbackRequest(parent=str(project), feedback=said[start : start + _BATCH])
        new += stub.RecordFeedback(request).new_count
    return new


def history(connection: Connection, name: InferenceRecordName) -> Iterator[feedback_pb2.InferenceFeedback]:
    """Everything that was said of one request, newest first."""
    stub = feedback_pb2_grpc.InferenceFeedbackServiceStub(connection.channel("inference"))
    for page in pages(stub.ListFeedback, feedback_pb2.ListFeedbackRequest(parent=str(name), page_size=1000)):
        yield from page.feedback


def record_by(
    connection: Connection, deployment: DeploymentName, recording: recording_pb2.Recording
) -> deployments_pb2.Deployment:
    """From now on, record the tensors of the deployment's requests by these rules."""
    request = deployments_pb2.UpdateDeploymentRequest(
        deployment=deployments_pb2.Deployment(name=str(deployment), recording=recording),
        update_mask=field_mask_pb2.FieldMask(paths=["recording"]),
    )
    return deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference")).UpdateDeployment(request)


def columns_of(connection: Connection, deployment: DeploymentName) -> dict[str, list[str]]:
    """The names of the columns of its inputs, as far as its rules say them; raises NotFound."""
    request = deployments_pb2.GetDeploymentRequest(name=str(deployment))
    found = deployments_pb2_grpc.DeploymentServiceStub(connection.channel("inference")).GetDeployment(request)
    return {each.name: list(each.columns) for each in found.recording.inputs if each.columns}


def _between(
    wanted: flight_pb2.RecordsQuery | deployments_pb2.ListInferenceRecordsRequest,
    start: datetime.datetime | None,
    end: datetime.datetime | None,
) -> None:
    for field, time in (("start_time", start), ("end_time", end)):
        if time is not None:
            if time.tzinfo is None:
                raise InvalidArgument(f"{field} needs a time zone.", field=field)
            getattr(wanted, field).FromDatetime(time.astimezone(datetime.UTC))


def _records(connection: Connection) -> deployments_pb2_grpc.InferenceRecordServiceStub:
    return deployments_pb2_grpc.InferenceRecordServiceStub(connection.channel("inference"))
