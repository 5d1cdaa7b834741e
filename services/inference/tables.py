"""The tables, as the newest migration leaves them (a test compares the two)."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()


def _text(name: str, default: str | None = None) -> Column[str]:
    # Collation C: names are ASCII, and their order must not depend on where the database was made.
    return Column(name, Text(collation="C"), nullable=False, server_default=default)


def _time(name: str, *, nullable: bool = False) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


deployment_changes = Sequence("deployment_changes", metadata=metadata)
"""Numbers for changes of deployments: of two deployments of one name, too, it tells which was told of first."""

deployments = Table(
    "deployments",
    metadata,
    Column("uid", Uuid(as_uuid=False), primary_key=True),
    _text("project"),
    _text("deployment"),
    _text("model"),
    _text("selector_kind"),
    _text("selector_value"),
    Column("revision", BigInteger, nullable=False),
    _time("create_time"),
    _time("update_time"),
    _time("archive_time", nullable=True),
    _text("created_by"),
    _text("model_uid"),
    Column("change", BigInteger, nullable=False, server_default=deployment_changes.next_value()),
    Column("announced_change", BigInteger, nullable=False, server_default="0"),
    Column("options", JSONB, nullable=False, server_default="{}"),
)
# KServe v2 knows no projects: one name is served once, whatever the code does.
Index(
    "deployments_served_name",
    func.lower(deployments.c.deployment),
    unique=True,
    postgresql_where=deployments.c.archive_time.is_(None),
)
Index("deployments_name", deployments.c.project, deployments.c.deployment)
Index(
    "deployments_unannounced",
    deployments.c.change,
    postgresql_where=deployments.c.announced_change < deployments.c.change,
)

# What each deployment has served: ``model`` is the model's uid, or its name where none is known.
deployment_uses = Table(
    "deployment_uses",
    metadata,
    Column("uid", Uuid(as_uuid=False), ForeignKey("deployments.uid"), primary_key=True),
    Column("model", Text(collation="C"), primary_key=True),
    Column("version", Text(collation="C"), primary_key=True),
    Column("announced", Boolean, nullable=False),
)
Index("deployment_uses_unannounced", deployment_uses.c.uid, postgresql_where=~deployment_uses.c.announced)

record_numbers = Sequence("record_numbers", metadata=metadata)
"""The database's own order of arrival of records: clocks of replicas differ, and pages must not lose rows."""

# The newest records, packed by the hundred (records/packing.py): one row a project each time that they are written.
record_chunks = Table(
    "record_chunks",
    metadata,
    Column("last_sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("first_sequence", BigInteger, nullable=False),
    _text("project"),
    Column("first_request_id", Uuid(as_uuid=False), nullable=False),
    Column("last_request_id", Uuid(as_uuid=False), nullable=False),
    _time("first_time"),
    _time("last_time"),
    Column("deployments", ARRAY(Text(collation="C")), nullable=False),
    Column("model_versions", ARRAY(Text(collation="C")), nullable=False),
    Column("results", ARRAY(Text(collation="C")), nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("body_bytes", BigInteger, nullable=False),
    Column("bodies", LargeBinary, nullable=False),
    Index("record_chunks_project", "project", "last_sequence"),
    Index("record_chunks_request_ids", "last_request_id", "first_request_id"),
)

# Parquet files of records that are in record_chunks no more, and of their bodies.
record_files = Table(
    "record_files",
    metadata,
    Column("digest", Text(collation="C"), primary_key=True),
    _text("kind"),
    _text("state"),
    Column("first_sequence", BigInteger, nullable=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("first_request_id", Uuid(as_uuid=False), nullable=False),
    Column("last_request_id", Uuid(as_uuid=False), nullable=False),
    _time("first_time"),
    _time("last_time"),
    Column("row_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("change_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("record_files_sequence", "state", "kind", "last_sequence"),
)

# How far records have been sent on, by where to.
record_cursors = Table(
    "record_cursors",
    metadata,
    Column("name", Text(collation="C"), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
)

inference_feedback = Table(
    "inference_feedback",
    metadata,
    Column("request_id", Uuid(as_uuid=False), primary_key=True),
    Column("feedback_id", Text(collation="C"), primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    _text("project"),
    Column("ground_truth", JSONB),
    Column("score", Double),
    Column("actions", JSONB, nullable=False),
    Column("explanation", JSONB, nullable=False),
    _text("content_digest"),
    _text("created_by"),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("inference_feedback_time", "create_time"),
)
