"""Projects, runs, metrics, artifacts, models, lineage and events; the project ``default``."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from chassis.db.requests import create_requests_table
from chassis.ids import new_id

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    create_requests_table()
    _projects_and_runs()
    _artifacts()
    _models()
    _versions()
    _lineage()
    _events()
    op.execute(
        sa.text(
            "INSERT INTO projects (id, name, name_key, display_name, description, annotations, create_time)"
            " VALUES (:id, 'default', 'default', 'Default', '', '{}', now())"
        ).bindparams(sa.bindparam("id", new_id(), sa.Uuid(as_uuid=False)))
    )


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Uuid(as_uuid=False), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, JSONB, nullable=False)


def _whole(name: str, size: type[sa.Integer] = sa.BigInteger) -> sa.Column[int]:
    return sa.Column(name, size, nullable=False)


def _sequence() -> sa.Column[int]:
    return sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False)


def _number(name: str) -> sa.Column[float]:
    return sa.Column(name, sa.Double, nullable=False)


def _time(name: str, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _to(column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target])


def _projects_and_runs() -> None:
    op.create_table(
        "projects",
        _id("id"),
        _sequence(),
        *(_text(name) for name in ("name", "name_key", "display_name", "description")),
        _json("annotations"),
        _time("create_time"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sequence"),
        sa.UniqueConstraint("name_key"),
    )
    op.create_table(
        "runs",
        _id("id"),
        _sequence(),
        _id("project_id"),
        _text("display_name"),
        _text("description"),
        _whole("state", sa.SmallInteger),
        _time("start_time"),
        _time("end_time", nullable=True),
        *(_json(name) for name in ("parameters", "tags", "annotations")),
        *(_text(name) for name in ("parent_run", "created_by", "failure", "job")),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project_id", "sequence"),
        _to("project_id", "projects.id"),
    )
    for table, key in (("metric_points", ("run_id", "key", "step", "time_us")), ("latest_metrics", ("run_id", "key"))):
        op.create_table(
            table,
            _id("run_id"),
            _text("key"),
            _whole("step"),
            _whole("time_us"),
            _number("value"),
            # No foreign key, whose check of every row costs as much as the row: adding points locks their run.
            sa.PrimaryKeyConstraint(*key),
        )


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        _id("project_id"),
        _text("digest"),
        _id("id"),
        _whole("size_bytes"),
        _text("filename"),
        _time("create_time"),
        _text("created_by"),
        sa.PrimaryKeyConstraint("project_id", "digest"),
        _to("project_id", "projects.id"),
    )


def _models() -> None:
    op.create_table(
        "models",
        _id("id"),
        _id("project_id"),
        *(_text(name) for name in ("name", "name_key", "display_name", "description")),
        _whole("latest_version", sa.Integer),
        _whole("revision"),
        _time("create_time"),
        _text("created_by"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project_id", "name_key"),
        _to("project_id", "projects.id"),
    )
    op.create_table(
        "model_aliases",
        _id("model_id"),
        _text("alias"),
        _whole("version", sa.Integer),
        sa.PrimaryKeyConstraint("model_id", "alias"),
        _to("model_id", "models.id"),
    )
    op.create_table(
        "objectives",
        _id("id"),
        _id("model_id"),
        _text("name"),
        _text("name_key"),
        _whole("stage", sa.SmallInteger),
        _text("metric"),
        _whole("comparison", sa.SmallInteger),
        _number("bound"),
        _time("create_time"),
        _text("created_by"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("model_id", "name_key"),
        _to("model_id", "models.id"),
    )


def _versions() -> None:
    op.create_table(
        "model_versions",
        _id("id"),
        _id("model_id"),
        _whole("version", sa.Integer),
        _whole("stage", sa.SmallInteger),
        _whole("revision"),
        *(_text(name) for name in ("description", "architecture", "framework_name", "framework_version")),
        _text("digest"),
        _text("primary_digest"),
        sa.Column("run_id", sa.Uuid(as_uuid=False), nullable=True),
        _text("run_name"),
        _json("inputs"),
        _json("outputs"),
        _whole("parameter_count"),
        *(_json(name) for name in ("hyperparameters", "dataset_versions", "pipeline_versions")),
        _time("create_time"),
        _text("created_by"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("model_id", "version"),
        _to("model_id", "models.id"),
        _to("run_id", "runs.id"),
    )
    # One holder at most of staging (2) and of production (3), whatever the code does.
    op.create_index(
        "model_versions_one_per_stage",
        "model_versions",
        ["model_id", "stage"],
        unique=True,
        postgresql_where=sa.text("stage IN (2, 3)"),
    )
    op.create_table(
        "model_files",
        _id("version_id"),
        _text("path"),
        _text("digest"),
        _whole("size_bytes"),
        _whole("format", sa.SmallInteger),
        _json("tensors"),
        _json("properties"),
        sa.PrimaryKeyConstraint("version_id", "path"),
        _to("version_id", "model_versions.id"),
    )
    op.create_table(
        "model_version_metrics",
        _id("version_id"),
        _text("key"),
        _number("value"),
        sa.PrimaryKeyConstraint("version_id", "key"),
        _to("version_id", "model_versions.id"),
    )
    op.create_table(
        "stage_transitions",
        _id("model_id"),
        _sequence(),
        _whole("version", sa.Integer),
        *(_whole(name, sa.SmallInteger) for name in ("from_stage", "to_stage")),
        _text("actor"),
        _time("time"),
        _text("comment"),
        sa.PrimaryKeyConstraint("model_id", "sequence"),
        _to("model_id", "models.id"),
    )


def _lineage() -> None:
    op.create_table(
        "lineage_nodes",
        _text("name"),
        _id("id"),
        _whole("kind", sa.SmallInteger),
        _text("digest"),
        _json("details"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "lineage_edges",
        *(_text(name) for name in ("second_name", "first_name", "run_name")),
        _whole("role", sa.SmallInteger),
        _id("id"),
        _id("project_id"),
        sa.PrimaryKeyConstraint("second_name", "first_name", "run_name", "role"),
        _to("project_id", "projects.id"),
    )
    op.create_index("lineage_edges_first_name", "lineage_edges", ["first_name"])
    op.create_index("lineage_edges_run_name", "lineage_edges", ["run_name"])


def _events() -> None:
    op.create_table(
        "events",
        _sequence(),
        _time("time"),
        *(_text(name) for name in ("actor", "kind", "object", "before_digest", "after_digest")),
        sa.PrimaryKeyConstraint("sequence"),
    )
