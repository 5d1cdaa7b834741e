"""The table of views, as migrations/ makes it."""

from sqlalchemy import Column, DateTime, FetchedValue, MetaData, Table, Text

VIEWS = Table(
    "views",
    MetaData(),
    Column("version_uid", Text, primary_key=True),
    Column("view", Text, primary_key=True),
    Column("folded", Text),
    Column("filter", Text),
    Column("description", Text),
    Column("created_by", Text),
    Column("create_time", DateTime(timezone=True), server_default=FetchedValue()),
)
