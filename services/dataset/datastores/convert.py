"""Between the protos of datastores and values; pure."""

from collections.abc import Mapping

from chassis.etags import etag_of
from headwater.dataset.v1 import datastores_pb2, definitions_pb2
from headwater.errors import InvalidArgument
from services.dataset.convert import timestamp
from services.dataset.datastores.errors import InvalidDataPath, InvalidPlace
from services.dataset.datastores.model import (
    AzureContainer,
    Datastore,
    DatastoreState,
    Dialect,
    GcsBucket,
    LocalFolder,
    Place,
    S3Bucket,
    SqlDatabase,
)
from services.dataset.history.definition import PathKind

_STATES = {
    DatastoreState.ACTIVE: datastores_pb2.Datastore.STATE_ACTIVE,
    DatastoreState.ARCHIVED: datastores_pb2.Datastore.STATE_ARCHIVED,
}
_DIALECTS: Mapping[Dialect, "datastores_pb2.SqlDatabase.Dialect.ValueType"] = {
    Dialect.POSTGRESQL: datastores_pb2.SqlDatabase.DIALECT_POSTGRESQL,
    Dialect.SQLITE: datastores_pb2.SqlDatabase.DIALECT_SQLITE,
}
_SETTABLE = {"display_name", "local", "s3", "gcs", "azure", "sql"}


def datastore_to_proto(datastore: Datastore) -> datastores_pb2.Datastore:
    """A datastore, with the names of its credentials."""
    message = datastores_pb2.Datastore(
        name=str(datastore.name),
        uid=datastore.uid,
        display_name=datastore.display_name,
        state=_STATES[datastore.state],
        credential_names=datastore.credential_names,
        create_time=timestamp(datastore.create_time),
        created_by=datastore.created_by,
        etag=etag_of(datastore.revision),
    )
    place = datastore.place
    if isinstance(place, LocalFolder):
        message.local.path = place.path
    elif isinstance(place, S3Bucket):
        message.s3.MergeFrom(
            datastores_pb2.S3Bucket(
                bucket=place.bucket, prefix=place.prefix, region=place.region, endpoint=place.endpoint
            )
        )
    elif isinstance(place, GcsBucket):
        message.gcs.MergeFrom(datastores_pb2.GcsBucket(bucket=place.bucket, prefix=place.prefix))
    elif isinstance(place, AzureContainer):
        message.azure.MergeFrom(
            datastores_pb2.AzureContainer(
                account=place.account, container=place.container, prefix=place.prefix, endpoint=place.endpoint
            )
        )
    else:
        message.sql.MergeFrom(
            datastores_pb2.SqlDatabase(
                dialect=_DIALECTS[place.dialect], host=place.host, port=place.port, database=place.database
            )
        )
    return message


def place_from_proto(message: datastores_pb2.Datastore) -> Place:
    """The place of a datastore that is to be made, of which nothing else but a display name may be set.

    Raises:
        InvalidPlace, InvalidArgument
    """
    if not {field.name for field, _ in message.ListFields()} <= _SETTABLE:
        raise InvalidArgument("Of a new datastore, only the place and display_name can be set.", field="datastore")
    kind = message.WhichOneof("place")
    if kind == "local":
        return LocalFolder(message.local.path)
    if kind == "s3":
        s3 = message.s3
        return S3Bucket(s3.bucket, s3.prefix, s3.region, s3.endpoint)
    if kind == "gcs":
        return GcsBucket(message.gcs.bucket, message.gcs.prefix)
    if kind == "azure":
        azure = message.azure
        return AzureContainer(azure.account, azure.container, azure.prefix, azure.endpoint)
    if kind == "sql":
        return SqlDatabase(_dialect(message.sql), message.sql.database, message.sql.host, message.sql.port)
    raise InvalidPlace("A datastore needs a place.", field="datastore.place")


def path_from_proto(message: definitions_pb2.DataPath) -> tuple[PathKind, str]:
    """What the path is, or InvalidDataPath."""
    kind = message.WhichOneof("path")
    if kind is None:
        raise InvalidDataPath("A path, a table or a query must be given.", field="data_path")
    return PathKind(kind), getattr(message, kind)


def _dialect(message: datastores_pb2.SqlDatabase) -> Dialect:
    for dialect, number in _DIALECTS.items():
        if number == message.dialect:
            return dialect
    raise InvalidPlace("A SQL database needs a dialect.", field="sql.dialect")
