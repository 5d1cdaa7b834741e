"""Logged models between proto and domain."""

import datetime
from collections.abc import Iterable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from headwater.names import ArtifactName, ExperimentName, LoggedModelName, RunName
from headwater.registry.v1 import logged_models_pb2
from services.registry import convert
from services.registry.artifacts.model import digest_in
from services.registry.logged_models.errors import InvalidLoggedModel
from services.registry.logged_models.model import Additions, DataMetric, LoggedModel, NewLoggedModel
from services.registry.logged_models.searching import Data, Wanted
from services.registry.run_artifacts.run_artifacts import check_path

_GIVEN = ("display_name", "experiment", "run", "model_type", "parameters", "tags")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_MAX_TEXT = 6000
_MAX_IDENTITY_BYTES = 2000  # key, name and digest of data of a metric, which an index holds


def new_logged_model(message: logged_models_pb2.LoggedModel, project: str) -> NewLoggedModel:
    """What the request says of a logged model to be, checked.

    Raises:
        InvalidField: a field that cannot be set, or a name in another project.
    """
    convert.refuse_other_fields(message, _GIVEN, "logged_model")
    if message.experiment:
        _check_project(
            ExperimentName.parse(message.experiment, "logged_model.experiment").project, project, "experiment"
        )
    if message.run:
        _check_project(RunName.parse(message.run, "logged_model.run").project, project, "run")
    return NewLoggedModel(
        display_name=message.display_name,
        experiment=message.experiment,
        run=message.run,
        model_type=message.model_type,
        parameters=_texts(message.parameters, "logged_model.parameters"),
        tags=_texts(message.tags, "logged_model.tags"),
    )


def wanted(request: logged_models_pb2.ListLoggedModelsRequest) -> Wanted:
    """What the request looks for, checked.

    Raises:
        InvalidField, InvalidName
    """
    for data in request.data:
        convert.refuse_other_fields(data, ("name", "digest"), "data")
        if not data.name:
            raise convert.InvalidField("Data is named.", field="data.name")
    return Wanted(
        filter=request.filter,
        order_by=request.order_by,
        experiments=tuple(str(ExperimentName.parse(name, "experiments")) for name in request.experiments),
        data=tuple(Data(data.name, data.digest) for data in request.data),
        show_archived=request.show_archived,
    )


def additions(request: logged_models_pb2.LogToLoggedModelRequest, now: datetime.datetime) -> Additions:
    """What is to be added, checked.

    Raises:
        InvalidField, InvalidName, InvalidRunArtifactPath
    """
    project = LoggedModelName.parse(request.name).project
    files = {path: ArtifactName.parse(name, f"files[{path}]") for path, name in request.files.items()}
    for path, artifact in files.items():
        check_path(path)
        digest_in(artifact)
        _check_project(artifact.project, project, f"files[{path}]")
    return Additions(
        parameters=_texts(request.parameters, "parameters"),
        tags=_texts(request.tags, "tags"),
        removed_tags=list(request.removed_tags),
        files=files,
        metrics=_metrics(request.metrics, project, now),
    )


def to_proto(logged: LoggedModel) -> logged_models_pb2.LoggedModel:
    """The logged model as a message."""
    return logged_models_pb2.LoggedModel(
        name=str(logged.name),
        uid=logged.id,
        display_name=logged.display_name,
        experiment=logged.experiment,
        run=logged.run,
        model_type=logged.model_type,
        state=logged_models_pb2.LoggedModel.State.ValueType(logged.state),
        state_message=logged.state_message,
        parameters=logged.parameters,
        tags=logged.tags,
        metrics=map(_metric_to_proto, logged.metrics),
        files={
            path: str(ArtifactName(logged.project, digest.removeprefix("sha256:")))
            for path, digest in logged.files.items()
        },
        model_versions=logged.model_versions,
        archived=logged.archived,
        create_time=convert.timestamp(logged.create_time),
        created_by=logged.created_by,
        update_time=convert.timestamp(logged.update_time),
    )


def _metrics(
    messages: Iterable[logged_models_pb2.LoggedModelMetric], project: str, now: datetime.datetime
) -> list[DataMetric]:
    metrics = []
    for message in messages:
        if message.run:
            _check_project(RunName.parse(message.run, "metrics.run").project, project, "metrics.run")
        if message.data_digest and not message.data_name:
            raise InvalidLoggedModel("Data that has a digest has a name.", field="metrics.data_name")
        if len(f"{message.key}{message.data_name}{message.data_digest}".encode()) > _MAX_IDENTITY_BYTES:
            raise InvalidLoggedModel(
                f"Key, data_name and data_digest of a metric may have {_MAX_IDENTITY_BYTES:,} bytes together.",
                field="metrics.key",
            )
        time = convert.time(message.time, "metrics.time") if message.HasField("time") else now
        metrics.append(
            DataMetric(
                message.key,
                message.value,
                message.step,
                (time - _EPOCH) // _MICROSECOND,
                message.run,
                message.data_name,
                message.data_digest,
            )
        )
    return metrics


def _metric_to_proto(metric: DataMetric) -> logged_models_pb2.LoggedModelMetric:
    seconds, microseconds = divmod(metric.time_us, 1_000_000)
    return logged_models_pb2.LoggedModelMetric(
        key=metric.key,
        value=metric.value,
        step=metric.step,
        time=Timestamp(seconds=seconds, nanos=microseconds * 1000),
        run=metric.run,
        data_name=metric.data_name,
        data_digest=metric.data_digest,
    )


def _texts(values: Mapping[str, str], field: str) -> dict[str, str]:
    """Keys of 1 to 255 characters, values of at most 6,000, as MLflow has them."""
    for key, value in values.items():
        if not 0 < len(key) <= 255:
            raise convert.InvalidField(f"A key of {field} must have 1 to 255 characters.", field=field)
        convert.text(value, f"{field}[{key}]", _MAX_TEXT)
    return dict(values)


def _check_project(one: str, other: str, field: str) -> None:
    if one != other:
        raise convert.InvalidField(f"{field} must be in the project of the logged model.", field=field)
