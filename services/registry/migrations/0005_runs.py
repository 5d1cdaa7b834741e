"""Experiments; runs that belong to them and can be searched; more of each metric.

The release before goes on writing while this one starts: what it leaves out is filled in by defaults and triggers.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from chassis.ids import new_id

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """See the module."""
    _experiments()
    _runs()
    _searchable_parameters()
    _searchable_tags()
    _summaries()
    _objects()


def _experiments() -> None:
    """Every project gets its default experiment."""
    op.create_table(
        "experiments",
        _id("id"),
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), nullable=False),
        _id("project_id"),
        *(_text(name) for name in ("name", "name_key", "archived_name", "display_name", "description")),
        sa.Column("tags", JSONB, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        _text("replacement"),
        sa.Column("revision", sa.BigInteger, nullable=False),
        _time("create_time"),
        _text("created_by"),
        _time("update_time"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("project_id", "sequence"),
        sa.UniqueConstraint("project_id", "name_key"),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"]),
    )
    op.create_index(
        "experiments_display_name",
        "experiments",
        ["project_id", "display_name"],
        unique=True,
        postgresql_where=sa.text("display_name <> '' AND state <> 3"),
    )
    op.create_index(
        "experiments_replacement", "experiments", ["replacement"], postgresql_where=sa.text("replacement <> ''")
    )
    connection = op.get_bind()
    for project_id in connection.execute(sa.text("SELECT id FROM projects ORDER BY sequence")).scalars().all():
        connection.execute(sa.text(_DEFAULT_EXPERIMENT), {"id": new_id(), "project_id": project_id})


_DEFAULT_EXPERIMENT = """
INSERT INTO experiments
    (id, project_id, name, name_key, archived_name, display_name, description, tags, state, replacement, revision,
     create_time, created_by, update_time)
VALUES (CAST(:id AS uuid), :project_id, 'default', 'default', '', 'Default', '', '{}', 1, '', 1, now(), '', now())
"""


def _runs() -> None:
    op.add_column("runs", sa.Column("experiment_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("runs", sa.Column("references", JSONB, nullable=False, server_default="[]"))
    op.add_column("runs", sa.Column("lifecycle", sa.SmallInteger, nullable=False, server_default="1"))
    op.add_column("runs", sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"))
    op.add_column("runs", sa.Column("update_time", sa.DateTime(timezone=True), server_default=sa.func.now()))
    op.execute(
        """
        UPDATE runs SET experiment_id = experiments.id, update_time = coalesce(runs.end_time, runs.start_time)
        FROM experiments WHERE experiments.project_id = runs.project_id
        """
    )
    op.alter_column("runs", "experiment_id", nullable=False)
    op.alter_column("runs", "update_time", nullable=False)
    op.create_foreign_key(None, "runs", "experiments", ["experiment_id"], ["id"])
    op.create_index("runs_experiment", "runs", ["experiment_id", "sequence"])
    op.create_index("runs_parent", "runs", ["parent_run", "sequence"], postgresql_where=sa.text("parent_run <> ''"))
    op.create_index("runs_start_time", "runs", ["project_id", "start_time", "id"])
    # The release before names no experiment, and makes none for a project that it creates.
    op.execute(
        """
        CREATE FUNCTION name_experiment_of_run() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO experiments
                (id, project_id, name, name_key, archived_name, display_name, description, tags, state, replacement,
                 revision, create_time, created_by, update_time)
            VALUES (gen_random_uuid(), NEW.project_id, 'default', 'default', '', 'Default', '', '{}', 1, '',
                    1, now(), '', now())
            ON CONFLICT DO NOTHING;
            SELECT id INTO STRICT NEW.experiment_id FROM experiments
            WHERE project_id = NEW.project_id AND name_key = 'default';
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER runs_name_experiment BEFORE INSERT ON runs FOR EACH ROW
        WHEN (NEW.experiment_id IS NULL) EXECUTE FUNCTION name_experiment_of_run()
        """
    )


def _searchable_parameters() -> None:
    """A parameter's text is itself, or JSON; where it is a number, or writes one, it is found by that too."""
    op.create_table(
        "run_parameters",
        _id("run_id"),
        _text("key"),
        _id("project_id"),
        _text("text"),
        sa.Column("number", sa.Double, nullable=True),
        sa.PrimaryKeyConstraint("run_id", "key"),
    )
    op.execute(
        r"""
        CREATE FUNCTION parameters_of_run(parameters jsonb)
        RETURNS TABLE (key text, text text, number double precision) LANGUAGE sql IMMUTABLE AS $$
            SELECT one.key, written.text,
                CASE WHEN jsonb_typeof(one.value) IN ('number', 'string') AND length(written.text) <= 400
                    AND written.text ~ '^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,2})?$'
                    AND (jsonb_typeof(one.value) = 'number' OR length(written.text) <= 100)
                THEN written.text::double precision END
            FROM jsonb_each(parameters) AS one, LATERAL (
                SELECT CASE jsonb_typeof(one.value)
                    WHEN 'number' THEN trim_scale(one.value::numeric)::text ELSE parameters ->> one.key
                END AS text
            ) AS found, LATERAL (SELECT coalesce(found.text, 'null') AS text) AS written
        $$
        """
    )
    op.execute("INSERT INTO run_parameters SELECT id, found.key, project_id, found.text, found.number" + _PARAMETERS)
    op.execute(
        """
        CREATE FUNCTION keep_parameters_of_run() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO run_parameters (run_id, key, project_id, text, number)
            SELECT NEW.id, found.key, NEW.project_id, found.text, found.number
            FROM parameters_of_run(NEW.parameters) AS found
            ON CONFLICT DO NOTHING; -- a parameter keeps its value
            RETURN NULL;
        END $$
        """
    )
    _trigger("parameters")
    op.create_index(
        "run_parameters_text",
        "run_parameters",
        ["project_id", "key", sa.text('"left"(text, 100)'), "run_id"],
    )
    op.create_index(
        "run_parameters_number",
        "run_parameters",
        ["project_id", "key", "number", "run_id"],
        postgresql_where=sa.text("number IS NOT NULL"),
    )


_PARAMETERS = " FROM runs, LATERAL parameters_of_run(parameters) AS found"


def _searchable_tags() -> None:
    op.create_table(
        "run_tags",
        _id("run_id"),
        _text("key"),
        _id("project_id"),
        _text("text"),
        sa.PrimaryKeyConstraint("run_id", "key"),
    )
    op.execute("INSERT INTO run_tags SELECT id, tag.key, project_id, tag.value FROM runs, jsonb_each_text(tags) AS tag")
    op.execute(
        """
        CREATE FUNCTION keep_tags_of_run() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            DELETE FROM run_tags WHERE run_id = NEW.id AND NOT NEW.tags ? key;
            INSERT INTO run_tags AS known (run_id, key, project_id, text)
            SELECT NEW.id, tag.key, NEW.project_id, tag.value FROM jsonb_each_text(NEW.tags) AS tag
            ON CONFLICT (run_id, key) DO UPDATE SET text = excluded.text WHERE known.text <> excluded.text;
            RETURN NULL;
        END $$
        """
    )
    _trigger("tags")
    op.create_index("run_tags_text", "run_tags", ["project_id", "key", sa.text('"left"(text, 100)'), "run_id"])


def _trigger(column: str) -> None:
    """Keep the copies of a column of runs, whoever writes it."""
    op.execute(
        f"""
        CREATE TRIGGER runs_keep_{column} AFTER INSERT ON runs FOR EACH ROW
        WHEN (NEW.{column} <> '{{}}') EXECUTE FUNCTION keep_{column}_of_run()
        """
    )
    op.execute(
        f"""
        CREATE TRIGGER runs_keep_changed_{column} AFTER UPDATE OF {column} ON runs FOR EACH ROW
        WHEN (NEW.{column} <> OLD.{column}) EXECUTE FUNCTION keep_{column}_of_run()
        """
    )


def _summaries() -> None:
    """Of each metric also its least and greatest value, and an order to search by."""
    for name in ("minimum", "maximum"):
        op.add_column("latest_metrics", sa.Column(name, sa.Double, nullable=True))
    op.add_column("latest_metrics", sa.Column("point_count", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("latest_metrics", sa.Column("project_id", sa.Uuid(as_uuid=False), nullable=True))
    op.execute(
        """
        UPDATE latest_metrics AS known
        SET project_id = runs.project_id, minimum = found.minimum, maximum = found.maximum, point_count = found.count
        FROM runs, (
            SELECT run_id, key, count(*), min(value) FILTER (WHERE value <> 'NaN') AS minimum,
                max(value) FILTER (WHERE value <> 'NaN') AS maximum
            FROM metric_points GROUP BY run_id, key
        ) AS found
        WHERE runs.id = known.run_id AND found.run_id = known.run_id AND found.key = known.key
        """
    )
    op.alter_column("latest_metrics", "project_id", nullable=False)
    op.create_index("latest_metrics_value", "latest_metrics", ["project_id", "key", "value", "run_id"])
    # The release before does not say the project, and keeps only the latest value: what it adds is not counted.
    op.execute(
        """
        CREATE FUNCTION name_project_of_metric() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            SELECT project_id INTO STRICT NEW.project_id FROM runs WHERE id = NEW.run_id;
            RETURN NEW;
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER latest_metrics_name_project BEFORE INSERT ON latest_metrics FOR EACH ROW
        WHEN (NEW.project_id IS NULL) EXECUTE FUNCTION name_project_of_metric()
        """
    )


def _objects() -> None:
    op.create_table(
        "metric_objects",
        _id("run_id"),
        _text("key"),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("step", "time_us")),
        sa.Column("value", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "key", "step", "time_us"),
    )


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Uuid(as_uuid=False), nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(collation="C"), nullable=False)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)
