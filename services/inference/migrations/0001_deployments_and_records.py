"""Deployments, inference records and the replay table."""

import sqlalchemy as sa
from alembic import op

from chassis.db.requests import create_requests_table

revision = "0001"
down_revision = None


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "deployments",
        sa.Column("uid", sa.Uuid(), primary_key=True),
        _text("project"),
        _text("deployment"),
        _text("model"),
        _text("selector_kind"),
        _text("selector_value"),
        sa.Column("max_batch_rows", sa.Integer, nullable=False),
        sa.Column("max_queue_requests", sa.Integer, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        _time("create_time"),
        _time("update_time"),
        _time("archive_time", nullable=True),
        _text("created_by"),
    )
    op.create_index(
        "deployments_served_name",
        "deployments",
        [sa.text("lower(deployment)")],
        unique=True,
        postgresql_where=sa.text("archive_time IS NULL"),
    )
    op.create_index("deployments_name", "deployments", ["project", "deployment"])
    op.create_table(
        "inference_records",
        sa.Column("request_id", sa.Uuid(), primary_key=True),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        _text("project"),
        _text("deployment"),
        _text("model_version"),
        _text("model_digest"),
        _text("request_digest"),
        _text("response_digest"),
        _text("caller"),
        _time("request_time"),
        sa.Column("latency_ms", sa.Double, nullable=False),
        sa.Column("batch_rows", sa.Integer, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        _text("client_request_id"),
    )
    op.create_index("inference_records_project", "inference_records", ["project", "sequence"])
    op.create_index("inference_records_deployment", "inference_records", ["project", "deployment", "sequence"])
    create_requests_table()
