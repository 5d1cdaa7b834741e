"""The tables of this service, as its queries see them; migrations/ makes them."""

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, DateTime, Identity, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("sequence", BigInteger, Identity(), nullable=False),
    Column("project", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("spec", JSONB, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text),
    Column("fencing_token", BigInteger, nullable=False),
    Column("started_token", BigInteger, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("restart_count", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("run", Text, nullable=False),
    Column("progress", JSONB, nullable=False),
    Column("checkpoint", JSONB(none_as_null=True)),
    Column("result", JSONB(none_as_null=True)),
    Column("model_version", Text, nullable=False),
    Column("failure", JSONB(none_as_null=True)),
    Column("start_time", DateTime(timezone=True)),
    Column("end_time", DateTime(timezone=True)),
    Column("warnings", ARRAY(Text), nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("sequence", BigInteger, Identity(), primary_key=True),
    Column("job_id", Text, nullable=False),
    Column("fencing_token", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
)
