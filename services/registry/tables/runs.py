"""Runs, and what they are searched by."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    Table,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from services.registry.tables.columns import id_column, metadata, text_column, time_column

runs = Table(
    "runs",
    metadata,
    id_column(primary_key=True),
    Column("sequence", BigInteger, Identity(always=True), nullable=False),
    Column("project_id", Uuid(as_uuid=False), ForeignKey("projects.id"), nullable=False),
    text_column("display_name"),
    text_column("description"),
    Column("state", SmallInteger, nullable=False),
    time_column("start_time"),
    time_column("end_time", nullable=True),
    Column("parameters", JSONB, nullable=False),
    Column("tags", JSONB, nullable=False),
    Column("annotations", JSONB, nullable=False),
    text_column("parent_run"),
    text_column("created_by"),
    text_column("failure"),
    text_column("job"),
    Column("experiment_id", Uuid(as_uuid=False), ForeignKey("experiments.id"), nullable=False),
    Column("references", JSONB, nullable=False),
    Column("lifecycle", SmallInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    time_column("update_time"),
    UniqueConstraint("project_id", "sequence"),
)
Index("runs_experiment", runs.c.experiment_id, runs.c.sequence)
Index("runs_parent", runs.c.parent_run, runs.c.sequence, postgresql_where=runs.c.parent_run != "")
Index("runs_references", runs.c.id, postgresql_where=text("\"references\" <> '[]'"))
Index("runs_start_time", runs.c.project_id, runs.c.start_time, runs.c.id)

# Copies of the parameters and tags in ``runs``, made by triggers whoever writes them: searches follow their indexes.
run_parameters = Table(
    "run_parameters",
    metadata,
    id_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    Column("project_id", Uuid(as_uuid=False), nullable=False),
    text_column("text"),
    Column("number", Double, nullable=True),
)
Index(
    "run_parameters_text",
    run_parameters.c.project_id,
    run_parameters.c.key,
    func.left(run_parameters.c.text, text("100")),
    run_parameters.c.run_id,
)
Index(
    "run_parameters_number",
    run_parameters.c.project_id,
    run_parameters.c.key,
    run_parameters.c.number,
    run_parameters.c.run_id,
    postgresql_where=run_parameters.c.number.is_not(None),
)

run_tags = Table(
    "run_tags",
    metadata,
    id_column("run_id", primary_key=True),
    text_column("key", primary_key=True),
    Column("project_id", Uuid(as_uuid=False), nullable=False),
    text_column("text"),
)
Index(
    "run_tags_text",
    run_tags.c.project_id,
    run_tags.c.key,
    func.left(run_tags.c.text, text("100")),
    run_tags.c.run_id,
)
