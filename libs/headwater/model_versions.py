"""Versions of models from Python: read them, list them, say more of them."""

from collections.abc import Iterator, Mapping, Sequence

from headwater.artifact.v1 import artifact_pb2
from headwater.client import Connection
from headwater.names import DEFAULT_PROJECT, ModelName, ModelVersionName, ProjectName
from headwater.pages import pages
from headwater.registry.v1 import model_versions_pb2, models_pb2, models_pb2_grpc

_PAGE = 200


def get(connection: Connection, version: ModelVersionName) -> artifact_pb2.ModelMetadata:
    """One version, with everything that its files hold."""
    return _stub(connection).GetModelVersion(models_pb2.GetModelVersionRequest(name=str(version)))


def versions(
    connection: Connection,
    model: ModelName | None = None,
    *,
    where: str = "",
    order_by: str = "",
    show_inactive: bool = False,
    project: str = DEFAULT_PROJECT,
) -> Iterator[artifact_pb2.ModelMetadata]:
    """The versions of a model, or of all models of a project, newest first unless another order is asked for; without
    what their files hold. ``where`` and ``order_by`` are in the language of docs/reference/search.md."""
    request = models_pb2.ListModelVersionsRequest(
        parent=str(model) if model else f"{ProjectName(project)}/models/-",
        page_size=_PAGE,
        filter=where,
        order_by=order_by,
        show_inactive=show_inactive,
        view=model_versions_pb2.MODEL_VERSION_VIEW_BASIC,
    )
    for page in pages(_stub(connection).ListModelVersions, request):
        yield from page.model_versions


def document(connection: Connection, version: ModelVersionName) -> str:
    """The metadata of a version as the JSON document that people exchange."""
    request = model_versions_pb2.GetModelVersionDocumentRequest(name=str(version))
    return _stub(connection).GetModelVersionDocument(request).json


def update(
    connection: Connection,
    version: ModelVersionName,
    *,
    description: str | None = None,
    annotations: Mapping[str, str] | None = None,
    tags: Sequence[str] | None = None,
    etag: str = "",
) -> artifact_pb2.ModelMetadata:
    """Change what is said of a version; what is None stays as it is.

    Raises:
        Aborted: ``etag`` is given, and the version has changed since.
    """
    given = {"description": description, "annotations": annotations, "tags": tags}
    request = model_versions_pb2.UpdateModelVersionRequest(
        model_version=artifact_pb2.ModelMetadata(
            name=str(version), etag=etag, description=description or "", annotations=annotations, tags=tags or ()
        )
    )
    request.update_mask.paths.extend(field for field, value in given.items() if value is not None)
    return _stub(connection).UpdateModelVersion(request)


def tensors(version: artifact_pb2.ModelMetadata) -> Iterator[tuple[str, artifact_pb2.TensorSpec]]:
    """Every tensor with the path of its file; of a file within an archive ``archive.tar/model.safetensors``."""
    for file in version.files:
        yield from _tensors(file, file.path)


def _tensors(file: artifact_pb2.ModelFile, path: str) -> Iterator[tuple[str, artifact_pb2.TensorSpec]]:
    for tensor in file.tensors:
        yield path, tensor
    for member in file.members:
        yield from _tensors(member, f"{path}/{member.path}")


def _stub(connection: Connection) -> models_pb2_grpc.ModelServiceStub:
    return models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
