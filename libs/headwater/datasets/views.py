"""Views: filters on a version that have a name. Rows are read through one as they are through a filter.

views.create(connection, "digits@v1.0.0", "threes", "label = 3", "the threes")
for batch in datasets.reader(connection, "digits@v1.0.0", "train", view="threes"): ...
"""

import uuid
from collections.abc import Iterator

from headwater.client import Connection
from headwater.dataset.v1 import views_pb2, views_pb2_grpc
from headwater.datasets.catalog import resolve_version
from headwater.names import DEFAULT_PROJECT
from headwater.pages import pages

_PAGE = 1000


def create(
    connection: Connection,
    version: str,
    view: str,
    filter: str,  # noqa: A002 (as every reader's argument is named)
    description: str = "",
    *,
    project: str = DEFAULT_PROJECT,
) -> views_pb2.DatasetView:
    """Give a filter on a version a name.

    Raises:
        AlreadyExists: reason VIEW_ALREADY_EXISTS: a view of the version has the name, in whatever case.
        InvalidArgument: reason INVALID_FILTER: it does not fit the version's columns.
        FailedPrecondition: reason DATASET_VERSION_ARCHIVED.
    """
    request = views_pb2.CreateViewRequest(
        parent=resolve_version(connection, version, project=project),
        view_id=view,
        view=views_pb2.DatasetView(filter=filter, description=description),
        request_id=str(uuid.uuid4()),
    )
    return stub(connection).CreateView(request)


def get(connection: Connection, version: str, view: str, *, project: str = DEFAULT_PROJECT) -> views_pb2.DatasetView:
    """One view.

    Raises:
        NotFound: reason VIEW_NOT_FOUND.
    """
    name = view_name(connection, version, view, project=project)
    return stub(connection).GetView(views_pb2.GetViewRequest(name=name))


def list_views(
    connection: Connection, version: str, *, project: str = DEFAULT_PROJECT
) -> Iterator[views_pb2.DatasetView]:
    """The views of a version, by name."""
    parent = resolve_version(connection, version, project=project)
    request = views_pb2.ListViewsRequest(parent=parent, page_size=_PAGE)
    for page in pages(stub(connection).ListViews, request):
        yield from page.views


def delete(connection: Connection, version: str, view: str, *, project: str = DEFAULT_PROJECT) -> None:
    """Delete a view, not a row."""
    name = view_name(connection, version, view, project=project)
    stub(connection).DeleteView(views_pb2.DeleteViewRequest(name=name))


def view_name(connection: Connection, version: str, view: str, *, project: str = DEFAULT_PROJECT) -> str:
    """The resource name of a view of a version."""
    return f"{resolve_version(connection, version, project=project)}/views/{view}"


def stub(connection: Connection) -> views_pb2_grpc.DatasetViewServiceStub:
    """The service of views, profiles and checkpoints over ``connection``."""
    return views_pb2_grpc.DatasetViewServiceStub(connection.channel("dataset"))
