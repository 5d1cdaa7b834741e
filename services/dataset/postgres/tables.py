"""The tables, as migrations/ makes them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    FetchedValue,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

_metadata = MetaData()

DATASETS = Table(
    "datasets",
    _metadata,
    Column("uid", Text, primary_key=True),
    Column("project", Text),
    Column("dataset", Text),
    Column("folded", Text),
    Column("display_name", Text),
    Column("description", Text),
    Column("latest", Text, server_default=FetchedValue()),
    Column("revision", BigInteger, server_default=FetchedValue()),
    Column("created_by", Text),
    Column("create_time", DateTime(timezone=True), server_default=FetchedValue()),
    Column("key_columns", ARRAY(Text)),
    Column("tags", JSONB),
    Column("hidden", Boolean),
)

UPLOADS = Table(
    "uploads",
    _metadata,
    Column("uid", Text, primary_key=True),
    Column("dataset_uid", Text),
    Column("state", Text),
    Column("released", Boolean, server_default=FetchedValue()),
    Column("created_by", Text),
    Column("create_time", DateTime(timezone=True), server_default=FetchedValue()),
    Column("expire_time", DateTime(timezone=True)),
    Column("branch", Text),
    Column("base_commit", LargeBinary),
    Column("inherit", Boolean),
)

UPLOAD_SPLITS = Table(
    "upload_splits",
    _metadata,
    Column("number", BigInteger, primary_key=True),
    Column("upload_uid", Text),
    Column("name", Text),
    Column("root_id", BigInteger),
    Column("arrow_schema", LargeBinary),
)

SOURCE_FILES = Table(
    "source_files",
    _metadata,
    Column("upload_uid", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("digest", LargeBinary),
    Column("size_bytes", BigInteger),
)

PACKS = Table(
    "packs",
    _metadata,
    Column("id", BigInteger, primary_key=True),
    Column("digest", LargeBinary),
    Column("size_bytes", BigInteger),
    Column("state", Text),
    Column("content_bytes", BigInteger),
    Column("remove_time", DateTime(timezone=True)),
)

PINS = Table(
    "pins",
    _metadata,
    Column("upload_uid", Text, primary_key=True),
    Column("pack_id", BigInteger, primary_key=True),
)
