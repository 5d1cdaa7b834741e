"""Artifacts."""

from sqlalchemy import BigInteger, Column, ForeignKey, Table, Uuid

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
