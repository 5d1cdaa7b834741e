"""Datastores: places outside Headwater that rows are read from, and versions that are such places.

    lake = datastores_pb2.S3Bucket(bucket="lake", prefix="exports", region="eu-central-1")
    datastores.create(connection, "lake", lake, credentials={"access_key_id": ..., "secret_access_key": ...})
    linked = datastores.link(connection, "orders", "lake", path="orders/2026/")

What may be read is a matter of the service's settings; docs/how-to/datastores.md says how all of it goes together.
"""

import uuid
from collections.abc import Iterator, Mapping

from headwater import references
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2, datastores_pb2, datastores_pb2_grpc, definitions_pb2
from headwater.datasets.catalog import stub
from headwater.errors import InvalidArgument
from headwater.names import DEFAULT_PROJECT, DatastoreName, ProjectName
from headwater.pages import pages

Place = (
    datastores_pb2.LocalFolder
    | datastores_pb2.S3Bucket
    | datastores_pb2.GcsBucket
    | datastores_pb2.AzureContainer
    | datastores_pb2.SqlDatabase
)
_FIELDS: Mapping[type[Place], str] = {
    datastores_pb2.LocalFolder: "local",
    datastores_pb2.S3Bucket: "s3",
    datastores_pb2.GcsBucket: "gcs",
    datastores_pb2.AzureContainer: "azure",
    datastores_pb2.SqlDatabase: "sql",
}
_PAGE = 1000


def create(
    connection: Connection,
    name: str,
    place: Place,
    *,
    credentials: Mapping[str, str] | None = None,
    display_name: str = "",
    project: str = DEFAULT_PROJECT,
) -> datastores_pb2.Datastore:
    """Create a datastore. This needs the role admin.

    Args:
        credentials: by name, as the place's message says; kept encrypted, and never returned.

    Raises:
        AlreadyExists: reason DATASTORE_ALREADY_EXISTS: a datastore has the name, in whatever case.
        FailedPrecondition: reason PLACE_NOT_ALLOWED: the service's settings do not list the place.
        InvalidArgument: reasons PLACE_IS_FILE, INVALID_PLACE, INVALID_CREDENTIALS.
    """
    datastore = datastores_pb2.Datastore(display_name=display_name)
    getattr(datastore, _FIELDS[type(place)]).CopyFrom(place)
    request = datastores_pb2.CreateDatastoreRequest(
        parent=str(references.project(project)),
        datastore_id=name,
        datastore=datastore,
        credentials=credentials,
        request_id=str(uuid.uuid4()),
    )
    return _stub(connection).CreateDatastore(request)


def get(connection: Connection, name: str, *, project: str = DEFAULT_PROJECT) -> datastores_pb2.Datastore:
    """One datastore, by its name or its uid; an archived one by its uid only."""
    return _stub(connection).GetDatastore(datastores_pb2.GetDatastoreRequest(name=_name(name, project)))


def list_datastores(
    connection: Connection, *, project: str = DEFAULT_PROJECT, show_archived: bool = False
) -> Iterator[datastores_pb2.Datastore]:
    """The datastores of a project, by name."""
    parent = str(ProjectName(project))
    request = datastores_pb2.ListDatastoresRequest(parent=parent, page_size=_PAGE, show_archived=show_archived)
    for page in pages(_stub(connection).ListDatastores, request):
        yield from page.datastores


def rename(connection: Connection, name: str, new: str, *, project: str = DEFAULT_PROJECT) -> datastores_pb2.Datastore:
    """Give a datastore another name. Versions that refer to it go on to do so. This needs the role admin."""
    request = datastores_pb2.RenameDatastoreRequest(name=_name(name, project), datastore_id=new)
    return _stub(connection).RenameDatastore(request)


def set_credentials(
    connection: Connection, name: str, credentials: Mapping[str, str], *, project: str = DEFAULT_PROJECT
) -> datastores_pb2.Datastore:
    """Replace the credentials; none removes them. This needs the role admin."""
    request = datastores_pb2.SetDatastoreCredentialsRequest(name=_name(name, project), credentials=credentials)
    return _stub(connection).SetDatastoreCredentials(request)


def archive(connection: Connection, name: str, *, project: str = DEFAULT_PROJECT) -> datastores_pb2.Datastore:
    """Take a datastore out of use: its name is free, its credentials are gone, and what refers to it cannot be read any
    more, but from checkpoints. This needs the role admin."""
    return _stub(connection).ArchiveDatastore(datastores_pb2.ArchiveDatastoreRequest(name=_name(name, project)))


def check(connection: Connection, name: str, *, project: str = DEFAULT_PROJECT) -> int:
    """Try to reach the place; returns the milliseconds that it took.

    Raises:
        Unavailable: reason PLACE_UNREACHABLE.
        FailedPrecondition: reasons PLACE_REFUSES, PLACE_NOT_ALLOWED, DATASTORE_ARCHIVED, CREDENTIALS_UNREADABLE.
    """
    request = datastores_pb2.CheckDatastoreRequest(name=_name(name, project))
    return int(_stub(connection).CheckDatastore(request).latency_ms)


def link(
    connection: Connection,
    dataset: str,
    datastore: str,
    *,
    path: str | None = None,
    table: str | None = None,
    query: str | None = None,
    split_by: str = "",
    branch: str = "",
    version: str = "",
    message: str = "",
    base_commit: str = "",
    project: str = DEFAULT_PROJECT,
) -> datasets_pb2.CommitUploadResponse:
    """Commit a place that rows are in; the dataset is created when it is new.

    Args:
        path: a file, or a folder ending in ``/``, relative to the datastore; empty: all of it.
        table: ``orders`` or ``sales.orders``, of a database.
        query: one that only reads, of a database.
        split_by: which split a row belongs to, as ``headwater.files.split_by`` reads it.
        base_commit: the head that you have seen; another one is Aborted with reason BRANCH_MOVED.

    Raises:
        FailedPrecondition: reason DATASTORE_ARCHIVED.
        InvalidArgument: reason INVALID_DATA_PATH.
    """
    given = {"relative_path": path, "sql_table": table, "sql_query": query}
    chosen = {kind: value for kind, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise InvalidArgument("Give one of path, table and query.", field="data_path")
    request = datasets_pb2.CommitDataPathRequest(
        parent=str(references.dataset(dataset, project)),
        branch=branch,
        data_path=definitions_pb2.DataPath(datastore=_name(datastore, project), split_by=split_by, **chosen),
        version=version,
        message=message,
        base_commit=base_commit,
        request_id=str(uuid.uuid4()),
    )
    return stub(connection).CommitDataPath(request)


def _name(name: str, project: str) -> str:
    return str(DatastoreName.parse(name) if "/" in name else DatastoreName(project, name))


def _stub(connection: Connection) -> datastores_pb2_grpc.DatastoreServiceStub:
    return datastores_pb2_grpc.DatastoreServiceStub(connection.channel("dataset"))
