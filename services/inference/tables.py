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
    MetaData,
    Sequence,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()


def _text(name: str) -> Column[str]:
    # Collation C: names are ASCII, and their order must not depend on where the database was made.
    return Column(name, Text(collation="C"), nullable=False)


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
    Index("inference_records_project", "project", "sequence"),
    Index("inference_records_deployment", "project", "deployment", "sequence"),
)
