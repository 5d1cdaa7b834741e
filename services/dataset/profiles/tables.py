"""The table of profiles, as migrations/ makes it."""

from sqlalchemy import ARRAY, BigInteger, Column, DateTime, FetchedValue, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

PROFILES = Table(
    "profiles",
    MetaData(),
    Column("number", BigInteger, primary_key=True, server_default=FetchedValue()),
    Column("uid", Text),
    Column("version_uid", Text),
    Column("view", Text),
    Column("filter", Text),
    Column("checkpoint", Text),
    Column("columns", ARRAY(Text)),
    Column("fingerprint", Text, server_default=FetchedValue()),
    Column("state", Text, server_default=FetchedValue()),
    Column("error", Text, server_default=FetchedValue()),
    Column("rows_done", BigInteger, server_default=FetchedValue()),
    Column("splits", JSONB, server_default=FetchedValue()),
    Column("content", LargeBinary, server_default=FetchedValue()),
    Column("created_by", Text),
    Column("create_time", DateTime(timezone=True), server_default=FetchedValue()),
    Column("end_time", DateTime(timezone=True)),
)
