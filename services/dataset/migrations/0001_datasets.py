"""Datasets, versions, uploads, and where the chunks of their rows lie."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from chassis.db.requests import create_requests_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NOW = sa.text("now()")


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=_NOW)


def upgrade() -> None:
    """Create everything."""
    _create_catalog()
    _create_rows()
    _create_uses()
    create_requests_table()


def _create_catalog() -> None:
    op.create_table(
        "datasets",
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("project", sa.Text(collation="C"), nullable=False),
        sa.Column("dataset", sa.Text(collation="C"), nullable=False),
        # Unique whatever the case: names that differ in case alone would be mistaken for each other.
        sa.Column("folded", sa.Text(collation="C"), nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("latest", sa.Text, nullable=False, server_default=""),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("created_by", sa.Text, nullable=False),
        _time("create_time"),
        sa.UniqueConstraint("project", "folded", name="datasets_name"),
    )
    op.create_index("datasets_by_name", "datasets", ["project", "dataset"])
    op.create_table(
        "uploads",
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("dataset_uid", sa.Text, sa.ForeignKey("datasets.uid"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("released", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_by", sa.Text, nullable=False),
        _time("create_time"),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
    )
    # What the collector looks for: open uploads by expiry, dead ones not yet released.
    op.create_index("uploads_open", "uploads", ["expire_time"], postgresql_where=sa.text("state = 'open'"))
    op.create_index("uploads_dead", "uploads", ["uid"], postgresql_where=sa.text("state <> 'open' AND NOT released"))
    op.create_table(
        "source_files",
        sa.Column("upload_uid", sa.Text, sa.ForeignKey("uploads.uid"), primary_key=True),
        sa.Column("path", sa.Text(collation="C"), primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("uid", sa.Text, primary_key=True),
        sa.Column("dataset_uid", sa.Text, sa.ForeignKey("datasets.uid"), nullable=False),
        sa.Column("major", sa.Integer, nullable=False),
        sa.Column("minor", sa.Integer, nullable=False),
        sa.Column("patch", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("parent", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("derived_from", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("source_file_count", sa.BigInteger, nullable=False),
        sa.Column("source_digest", sa.LargeBinary, nullable=False),
        sa.Column("upload_uid", sa.Text, sa.ForeignKey("uploads.uid"), nullable=False, unique=True),
        _time("create_time"),
        sa.UniqueConstraint("dataset_uid", "major", "minor", "patch", name="versions_number"),
    )


def _create_rows() -> None:
    op.create_table(
        "packs",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        _time("create_time"),
    )
    op.create_index("packs_condemned", "packs", ["id"], postgresql_where=sa.text("state = 'condemned'"))
    op.create_table(
        "chunks",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("layout", sa.LargeBinary, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("pack_id", sa.BigInteger, sa.ForeignKey("packs.id"), nullable=False, index=True),
        sa.Column("block", sa.Integer, nullable=False),
        sa.Column("block_row", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("digest", "layout", name="chunks_digest"),
    )
    op.create_table(
        "trees",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("layout", sa.LargeBinary, nullable=False),
        sa.Column("row_count", sa.BigInteger, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("chunk_count", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("root", "layout", name="trees_root"),
    )
    op.create_table(
        "tree_chunks",
        sa.Column("tree_id", sa.BigInteger, sa.ForeignKey("trees.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("first_row", sa.BigInteger, primary_key=True),
        sa.Column("chunk_id", sa.BigInteger, sa.ForeignKey("chunks.id"), nullable=False, index=True),
    )


def _create_uses() -> None:
    op.create_table(
        "pins",
        sa.Column("upload_uid", sa.Text, sa.ForeignKey("uploads.uid"), primary_key=True),
        sa.Column("pack_id", sa.BigInteger, sa.ForeignKey("packs.id"), primary_key=True, index=True),
    )
    op.create_table(
        "upload_splits",
        # Grows with every put, so that the last one of a name counts and the ones before it can be collected.
        sa.Column("number", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("upload_uid", sa.Text, sa.ForeignKey("uploads.uid"), nullable=False, index=True),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("tree_id", sa.BigInteger, sa.ForeignKey("trees.id"), nullable=False, index=True),
        sa.Column("arrow_schema", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "version_splits",
        sa.Column("version_uid", sa.Text, sa.ForeignKey("versions.uid"), primary_key=True),
        sa.Column("name", sa.Text(collation="C"), primary_key=True),
        sa.Column("tree_id", sa.BigInteger, sa.ForeignKey("trees.id"), nullable=False, index=True),
        sa.Column("arrow_schema", sa.LargeBinary, nullable=False),
    )
