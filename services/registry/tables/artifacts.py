"""Artifacts, the uploads that become them, and what runs made."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, SmallInteger, Table, UniqueConstraint, Uuid

from services.registry.tables.columns import id_column, metadata, text_column, time_column

artifacts = Table(
    "artifacts",
    metadata,
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), primary_key=True),
    text_column("digest", primary_key=True),
    id_column("id", nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    text_column("filename"),
    time_column("create_time"),
    text_column("created_by"),
)

artifact_uploads = Table(
    "artifact_uploads",
    metadata,
    id_column(primary_key=True),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    text_column("filename"),
    text_column("digest"),
    text_column("artifact"),
    text_column("created_by"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    time_column("create_time"),
    time_column("expire_time"),
)
Index("artifact_uploads_open", artifact_uploads.c.expire_time, postgresql_where=artifact_uploads.c.state == 1)

artifact_upload_parts = Table(
    "artifact_upload_parts",
    metadata,
    Column("upload_id", Uuid(as_uuid=False), ForeignKey("artifact_uploads.id"), primary_key=True),
    Column("begin", BigInteger, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    text_column("name"),
)

# Bytes (``digest``) or a place in a datastore (``datastore`` and ``datastore_path``): the other is empty.
run_artifacts = Table(
    "run_artifacts",
    metadata,
    id_column(primary_key=True),
    Column("run_id", Uuid(as_uuid=False), ForeignKey("runs.id"), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    text_column("path"),
    text_column("digest"),
    text_column("datastore"),
    text_column("datastore_path"),
    text_column("media_type"),
    text_column("created_by"),
    Column("size_bytes", BigInteger, nullable=False),
    time_column("create_time"),
    UniqueConstraint("run_id", "path"),
)
