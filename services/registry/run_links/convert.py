"""What runs read and made, between proto and domain."""

from collections.abc import Iterable

from headwater.artifact.v1 import artifact_pb2
from headwater.names import DatasetVersionName, InvalidName, LoggedModelName, ModelVersionName, RunName
from services.registry import convert
from services.registry.run_links.model import DataInput, ModelLink, RunLinks

_MAX_NAME = 500
_MAX_DIGEST_BYTES = 255  # with a name of 500 characters it fits into an index, whatever they are
_MAX_SOURCE = 65_536
_MAX_SCHEMA = 1_048_576
_MAX_PROFILE = 16_777_216


def data_inputs(messages: Iterable[artifact_pb2.RunDataInput], run: RunName) -> list[DataInput]:
    """Inputs, checked.

    Raises:
        InvalidField, InvalidName
    """
    return [_data_input(message, run) for message in messages]


def model_links(messages: Iterable[artifact_pb2.RunModel], run: RunName, field: str) -> list[ModelLink]:
    """Models, checked.

    Raises:
        InvalidField, InvalidName
    """
    links = []
    for message in messages:
        try:
            project = LoggedModelName.parse(message.model, field).project
        except InvalidName:
            project = ModelVersionName.parse(message.model, field).project
        _check_project(project, run, field)
        links.append(ModelLink(message.model, message.step))
    return links


def fill(message: artifact_pb2.Run, links: RunLinks) -> None:
    """Say in the message of a run what it read and made."""
    message.data_inputs.extend(
        artifact_pb2.RunDataInput(
            name=data.name,
            digest=data.digest,
            source_type=data.source_type,
            source=data.source,
            schema=data.schema,
            profile=data.profile,
            tags=data.tags,
            dataset_version=data.dataset_version,
        )
        for data in links.data_inputs
    )
    for told, models in ((message.model_inputs, links.model_inputs), (message.model_outputs, links.model_outputs)):
        told.extend(artifact_pb2.RunModel(model=link.model, step=link.step) for link in models)


def _data_input(message: artifact_pb2.RunDataInput, run: RunName) -> DataInput:
    if not message.name:
        raise convert.InvalidField("An input needs a name.", field="data_inputs.name")
    if len(message.digest.encode()) > _MAX_DIGEST_BYTES:
        raise convert.InvalidField(
            f"data_inputs.digest may have at most {_MAX_DIGEST_BYTES} bytes.", field="data_inputs.digest"
        )
    if message.dataset_version:
        version = DatasetVersionName.parse(message.dataset_version, "data_inputs.dataset_version")
        _check_project(version.project, run, "data_inputs.dataset_version")
    return DataInput(
        name=convert.text(message.name, "data_inputs.name", _MAX_NAME),
        digest=message.digest,
        source_type=convert.text(message.source_type, "data_inputs.source_type", _MAX_NAME),
        source=convert.text(message.source, "data_inputs.source", _MAX_SOURCE),
        schema=convert.text(message.schema, "data_inputs.schema", _MAX_SCHEMA),
        profile=convert.text(message.profile, "data_inputs.profile", _MAX_PROFILE),
        tags=convert.pairs(message.tags, "data_inputs.tags"),
        dataset_version=message.dataset_version,
    )


def _check_project(project: str, run: RunName, field: str) -> None:
    if project != run.project:
        raise convert.InvalidField(f"{field} must be in the project of the run.", field=field)
