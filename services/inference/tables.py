"""The tables, as the newest migration leaves them (a test compares the two)."""

from sqlalchemy import (
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

RECORD_TEXTS = {
    "result": "OK",
    "inputs": "[]",
    "outputs": "[]",
    "preprocessing_digest": "",
    "part_of": "",
    "variant": "",
    "body_reason": "",
    "redacted": "[]",
}
"""Columns of text that records did not have from the beginning, with what stands for not knowing."""

inference_records = Table(
    "inference_records",
    metadata,
    Column("request_id", Uuid(as_uuid=False), primary_key=True),
    # The database's own order of arrival: clocks of replicas differ, and pages must not lose rows.
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    _text("project"),
    _text("deployment"),
    _text("model_version"),
    _text("model_digest"),
    _text("request_digest"),
    _text("response_digest"),
    _text("caller"),
    _time("request_time"),
    Column("latency_ms", Double, nullable=False),
    Column("batch_rows", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    _text("client_request_id"),
    *(_text(name, default) for name, default in RECORD_TEXTS.items()),
    Column("request_bytes", BigInteger, nullable=False, server_default="0"),
    Column("response_bytes", BigInteger, nullable=False, server_default="0"),
    Column("is_final", Boolean, nullable=False, server_default="true"),
    Column("request_body", LargeBinary),
    Column("response_body", LargeBinary),
    Index("inference_records_project", "project", "sequence"),
    Index("inference_records_deployment", "project", "deployment", "sequence"),
    Index("inference_records_sequence", "sequence"),
)

# Parquet files of records that are in inference_records no more, and of their bodies.
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
