"""The tables of this service, as its queries see them; migrations/ makes them."""

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, DateTime, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

pipelines = Table(
    "pipelines",
    metadata,
    Column("project", Text, primary_key=True),
    Column("pipeline", Text, primary_key=True),
    Column("latest_version", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

pipeline_versions = Table(
    "pipeline_versions",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=True),
    Column("project", Text, nullable=False),
    Column("pipeline", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_by", Text, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("project", Text, primary_key=True),
    Column("job", Text, primary_key=True),
    Column("pipeline_version", Text, nullable=False),
    Column("dataset_version", Text, nullable=False),
    Column("output_dataset", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("output_version", Text, nullable=False),
    Column("output_created", Boolean, nullable=False),
    Column("chunk_count", BigInteger, nullable=False),
    Column("done_chunk_count", BigInteger, nullable=False),
    Column("cached_chunk_count", BigInteger, nullable=False),
    Column("done_row_count", BigInteger, nullable=False),
    Column("failure_reason", Text, nullable=False),
    Column("failure", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("created_by", Text, nullable=False),
    Column("warnings", ARRAY(Text), nullable=False),
)
