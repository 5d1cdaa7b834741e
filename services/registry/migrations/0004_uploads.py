"""Uploads that can be resumed, and what runs made."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """See the module."""
    op.create_table(
        "artifact_uploads",
        *map(_id, ("id", "project_id")),
        *map(_text, ("filename", "digest", "artifact", "created_by")),
        *map(_whole, ("size_bytes", "stored_bytes")),
        sa.Column("state", sa.SmallInteger, nullable=False),
        *map(_time, ("create_time", "expire_time")),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"]),
    )
    op.create_index("artifact_uploads_open", "artifact_uploads", ["expire_time"], postgresql_where=sa.text("state = 1"))
    op.create_table(
        "artifact_upload_parts",
        _id("upload_id"),
        *map(_whole, ("begin", "size_bytes")),
        _text("name"),
        sa.PrimaryKeyConstraint("upload_id", "begin"),
        sa.ForeignKeyConstraint(["upload_id"], ["artifact_uploads.id"]),
    )
    op.create_table(
        "run_artifacts",
        *map(_id, ("id", "run_id")),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        *map(_text, ("path", "digest", "datastore", "datastore_path", "media_type", "created_by")),
        _whole("size_bytes"),
        _time("create_time"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "path"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
    )


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Uuid(as_uuid=False), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _whole(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
