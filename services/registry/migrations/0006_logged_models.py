"""Models that runs log, and the data that they read."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """See the module."""
    op.create_table(
        "logged_models",
        *map(_id, ("id", "project_id", "experiment_id")),
        _sequence(),
        *map(_text, ("display_name", "run_name", "model_type", "state_message", "created_by")),
        sa.Column("state", sa.SmallInteger, nullable=False),
        *map(_json, ("parameters", "tags", "files")),
        sa.Column("archived", sa.Boolean, nullable=False),
        *map(_time, ("create_time", "update_time")),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project_id", "sequence"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"]),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"]),
    )
    op.create_table(
        "logged_model_metrics",
        _id("logged_model_id"),
        *map(_text, ("key", "run_name", "data_name", "data_digest")),
        *map(_whole, ("step", "time_us")),
        sa.Column("value", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("logged_model_id", "key", "step", "time_us", "run_name", "data_name", "data_digest"),
        sa.ForeignKeyConstraint(["logged_model_id"], ["logged_models.id"]),
    )
    op.create_index(
        "model_versions_logged_model",
        "model_versions",
        ["logged_model"],
        postgresql_where=sa.text("logged_model <> ''"),
    )
    op.create_table(
        "run_data_inputs",
        _id("run_id"),
        _sequence(),
        *map(_text, ("name", "digest", "source_type", "source", "schema", "profile", "dataset_version")),
        _json("tags"),
        sa.PrimaryKeyConstraint("run_id", "name", "digest"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )
    op.create_table(
        "run_models",
        _id("run_id"),
        _sequence(),
        sa.Column("role", sa.SmallInteger, nullable=False),
        _text("model"),
        _whole("step"),
        sa.PrimaryKeyConstraint("run_id", "role", "model"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Uuid(as_uuid=False), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, JSONB, nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _sequence() -> sa.Column[int]:
    return sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
