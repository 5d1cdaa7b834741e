"""Models as a whole, from Python: create, list, describe and rename them (to take one out of use: headwater.models)."""

import uuid
from collections.abc import Iterator, Mapping

from headwater.client import Connection
from headwater.names import ModelName, ProjectName
from headwater.pages import pages
from headwater.registry.v1 import models_pb2, models_pb2_grpc

_PAGE = 200


def create(
    connection: Connection,
    model: ModelName,
    *,
    display_name: str = "",
    description: str = "",
    tags: Mapping[str, str] | None = None,
) -> models_pb2.Model:
    """Create a model before it has a version; registering one creates its model too."""
    said = models_pb2.Model(display_name=display_name, description=description, tags=tags)
    request = models_pb2.CreateModelRequest(
        parent=str(ProjectName(model.project)), model_id=model.model, model=said, request_id=str(uuid.uuid4())
    )
    return _stub(connection).CreateModel(request)


def get(connection: Connection, model: ModelName) -> models_pb2.Model:
    """The model of this name or, whatever its state, of this uid."""
    return _stub(connection).GetModel(models_pb2.GetModelRequest(name=str(model)))


def list_(
    connection: Connection,
    project: ProjectName,
    *,
    where: str = "",
    order_by: str = "",
    show_inactive: bool = False,
) -> Iterator[models_pb2.Model]:
    """The models of a project that are in use, or all, by name; asked for page by page as they are read.

    Args:
        where: which ones, for example ``tags.team = "vision"`` (docs/reference/search.md).
        order_by: for example ``update_time desc``.
        show_inactive: deprecated and archived ones too.
    """
    request = models_pb2.ListModelsRequest(
        parent=str(project), page_size=_PAGE, filter=where, order_by=order_by, show_inactive=show_inactive
    )
    for page in pages(_stub(connection).ListModels, request):
        yield from page.models


def describe(
    connection: Connection,
    model: ModelName,
    *,
    display_name: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> models_pb2.Model:
    """Change what is said of a model. What is None stays as it is; ``tags`` replace all that there are."""
    given = {"display_name": display_name, "description": description, "tags": tags}
    changed = [field for field, value in given.items() if value is not None]
    said = models_pb2.Model(
        name=str(model), display_name=display_name or "", description=description or "", tags=tags or {}
    )
    request = models_pb2.UpdateModelRequest(model=said)
    request.update_mask.paths.extend(changed)
    return _stub(connection).UpdateModel(request) if changed else get(connection, model)


def rename(connection: Connection, model: ModelName, name: str) -> models_pb2.Model:
    """Give a model another name. What refers to it follows; the old name is free again."""
    return _stub(connection).RenameModel(models_pb2.RenameModelRequest(name=str(model), model_id=name))


def _stub(connection: Connection) -> models_pb2_grpc.ModelServiceStub:
    return models_pb2_grpc.ModelServiceStub(connection.channel("registry"))
