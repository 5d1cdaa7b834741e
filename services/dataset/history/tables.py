"""The tables of the history, as migrations/ makes them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    FetchedValue,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

_metadata = MetaData()

COMMITS = Table(
    "commits",
    _metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("number", BigInteger, server_default=FetchedValue()),
    Column("dataset_uid", Text),
    Column("digest", LargeBinary),
    Column("definition", JSONB(none_as_null=True)),
    Column("message", Text),
    Column("author", Text),
    Column("derived_from", ARRAY(Text)),
    Column("source_file_count", BigInteger),
    Column("source_digest", LargeBinary),
    Column("upload_uid", Text),
    Column("create_time", DateTime(timezone=True)),
)

COMMIT_PARENTS = Table(
    "commit_parents",
    _metadata,
    Column("commit_id", LargeBinary, primary_key=True),
    Column("position", SmallInteger, primary_key=True),
    Column("parent_id", LargeBinary),
)

COMMIT_SPLITS = Table(
    "commit_splits",
    _metadata,
    Column("commit_id", LargeBinary, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("root_id", BigInteger),
    Column("arrow_schema", LargeBinary),
)

LOOSE_COMMITS = Table(
    "loose_commits",
    _metadata,
    Column("commit_id", LargeBinary, primary_key=True),
    Column("since", DateTime(timezone=True), server_default=FetchedValue()),
)

BRANCHES = Table(
    "branches",
    _metadata,
    Column("dataset_uid", Text, primary_key=True),
    Column("branch", Text, primary_key=True),
    Column("folded", Text),
    Column("head", LargeBinary),
    Column("revision", BigInteger, server_default=FetchedValue()),
    Column("created_by", Text),
    Column("create_time", DateTime(timezone=True), server_default=FetchedValue()),
    Column("update_time", DateTime(timezone=True), server_default=FetchedValue()),
)

TAGS = Table(
    "tags",
    _metadata,
    Column("dataset_uid", Text, primary_key=True),
    Column("tag", Text, primary_key=True),
    Column("folded", Text),
    Column("target", LargeBinary),
    Column("message", Text),
    Column("created_by", Text),
    Column("create_time", DateTime(timezone=True), server_default=FetchedValue()),
)

VERSIONS = Table(
    "versions",
    _metadata,
    Column("uid", Text, primary_key=True),
    Column("dataset_uid", Text),
    Column("major", Integer),
    Column("minor", Integer),
    Column("patch", Integer),
    Column("commit_id", LargeBinary),
    Column("parent", Text),
    Column("state", Text, server_default=FetchedValue()),
    Column("state_message", Text, server_default=FetchedValue()),
    Column("description", Text),
    Column("source", Text),
    Column("citation", Text),
    Column("license", Text),
    Column("image_size", ARRAY(Integer)),
    Column("num_classes", BigInteger),
    Column("revision", BigInteger, server_default=FetchedValue()),
)
