"""The tables of checkpoints, as migrations/ makes them."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, FetchedValue, LargeBinary, MetaData, Table, Text

_metadata = MetaData()

CHECKPOINTS = Table(
    "checkpoints",
    _metadata,
    Column("number", BigInteger, primary_key=True, server_default=FetchedValue()),
    Column("uid", Text),
    Column("version_uid", Text),
    Column("checkpoint", Text),
    Column("folded", Text),
    Column("materialized", Boolean),
    Column("state", Text),
    Column("error", Text, server_default=FetchedValue()),
    Column("digest", LargeBinary, server_default=FetchedValue()),
    Column("profile", Text, server_default=FetchedValue()),
    Column("created_by", Text),
    Column("create_time", DateTime(timezone=True), server_default=FetchedValue()),
    Column("end_time", DateTime(timezone=True)),
)

CHECKPOINT_SPLITS = Table(
    "checkpoint_splits",
    _metadata,
    Column("checkpoint_uid", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("root_id", BigInteger),
    Column("arrow_schema", LargeBinary),
)
