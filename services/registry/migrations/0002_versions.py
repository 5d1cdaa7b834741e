"""Versions: semantic versions, what is said of them, what their files hold, whether they may be used."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Every new column has a default, so that the release before can go on adding versions."""
    op.add_column("models", _text("latest_semantic_version"))
    for name in ("semantic_version", "task", "replacement", "source", "logged_model"):
        op.add_column("model_versions", _text(name))
    for name, default in (("format", "0"), ("state", "1")):
        op.add_column("model_versions", sa.Column(name, sa.SmallInteger, nullable=False, server_default=default))
    for name in ("annotations", "user_metadata"):
        op.add_column("model_versions", sa.Column(name, JSONB, nullable=False, server_default="{}"))
    for name in ("tags", "dangling_links", "problems", "breaking_changes"):
        op.add_column("model_versions", sa.Column(name, JSONB, nullable=False, server_default="[]"))
    # How many tensors and the like: those of the versions that are there hold nothing but tensors.
    op.add_column("model_versions", sa.Column("weight", sa.Integer, nullable=False, server_default="0"))
    op.execute(
        "UPDATE model_versions SET weight = held.weight"
        " FROM (SELECT version_id, sum(jsonb_array_length(tensors)) AS weight FROM model_files GROUP BY 1) AS held"
        " WHERE held.version_id = model_versions.id"
    )
    op.add_column("model_versions", _time("update_time"))
    op.execute("UPDATE model_versions SET update_time = create_time")
    op.create_index(
        "model_versions_semantic_version",
        "model_versions",
        ["model_id", "semantic_version"],
        unique=True,
        postgresql_where=sa.text("semantic_version <> ''"),
    )
    op.add_column("model_files", sa.Column("facts", JSONB, nullable=False, server_default="{}"))


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False, server_default="")


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())
