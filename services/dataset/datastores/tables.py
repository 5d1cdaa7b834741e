"""The tables of datastores, as migrations/ makes them."""

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, FetchedValue, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

_metadata = MetaData()

DATASTORES = Table(
    "datastores",
    _metadata,
    Column("uid", Text, primary_key=True),
    Column("project", Text),
    Column("datastore", Text),
    Column("folded", Text),
    Column("display_name", Text),
    Column("place", JSONB),
    Column("state", Text, server_default=FetchedValue()),
    Column("revision", BigInteger, server_default=FetchedValue()),
    Column("created_by", Text),
    Column("create_time", DateTime(timezone=True), server_default=FetchedValue()),
)

DATASTORE_CREDENTIALS = Table(
    "datastore_credentials",
    _metadata,
    Column("datastore_uid", Text, primary_key=True),
    Column("names", ARRAY(Text)),
    Column("sealed", LargeBinary),
    Column("update_time", DateTime(timezone=True), server_default=FetchedValue()),
)
