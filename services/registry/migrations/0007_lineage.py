"""Lineage with deployments and receipts, and quick to walk: each name once, edges between numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """The release before knows the table ``lineage_edges``: it is a view from now on, which can be added to."""
    op.add_column("lineage_nodes", sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "lineage_names",
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "lineage_links",
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("second", "first", "run")),
        sa.Column("role", sa.SmallInteger, nullable=False),
        *(sa.Column(name, sa.Uuid(as_uuid=False), nullable=False) for name in ("id", "project_id")),
        sa.PrimaryKeyConstraint("second", "first", "run", "role", postgresql_include=["id", "project_id"]),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"]),
    )
    op.create_table(
        "lineage_arcs",
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("origin", "result")),
        sa.PrimaryKeyConstraint("origin", "result"),
    )
    op.create_index("lineage_arcs_result", "lineage_arcs", ["result", "origin"])
    for statement in (
        _NUMBERS,
        _NUMBER_OF,
        _COPY_NAMES,
        _COPY_LINKS,
        _COPY_ARCS,
        "DROP TABLE lineage_edges",
        _VIEW,
        _ADD,
        _TRIGGER,
    ):
        op.execute(statement)


_NUMBERS = "CREATE SEQUENCE lineage_numbers"
_NUMBER_OF = """
CREATE FUNCTION lineage_next_number(name text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    -- The release before knows no other kinds.
    SELECT nextval('lineage_numbers') * 16
        + CASE split_part(name, '/', 3) WHEN 'datasets' THEN 1 WHEN 'models' THEN 3 WHEN 'runs' THEN 4 ELSE 2 END
$$
"""
_COPY_NAMES = """
INSERT INTO lineage_names (number, name)
SELECT lineage_next_number(name), name FROM (
    SELECT first_name AS name FROM lineage_edges
    UNION SELECT second_name FROM lineage_edges
    UNION SELECT run_name FROM lineage_edges WHERE run_name <> ''
) AS names ORDER BY name
"""
_COPY_LINKS = """
INSERT INTO lineage_links (second, first, run, role, id, project_id)
SELECT second.number, first.number, coalesce(run.number, 0), edge.role, edge.id, edge.project_id
FROM lineage_edges AS edge
JOIN lineage_names AS first ON first.name = edge.first_name
JOIN lineage_names AS second ON second.name = edge.second_name
LEFT JOIN lineage_names AS run ON run.name = edge.run_name
"""
_COPY_ARCS = """
INSERT INTO lineage_arcs (origin, result)
SELECT first, second FROM lineage_links
UNION SELECT first, run FROM lineage_links WHERE run NOT IN (0, first)
UNION SELECT run, second FROM lineage_links WHERE run NOT IN (0, second)
"""
_VIEW = """
CREATE VIEW lineage_edges AS
SELECT second.name AS second_name, first.name AS first_name, coalesce(run.name, '') AS run_name,
    link.role, link.id, link.project_id
FROM lineage_links AS link
JOIN lineage_names AS first ON first.number = link.first
JOIN lineage_names AS second ON second.number = link.second
LEFT JOIN lineage_names AS run ON run.number = link.run
"""
_ADD = """
CREATE FUNCTION lineage_add_edge() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    link lineage_links;
BEGIN
    INSERT INTO lineage_names (number, name)
    SELECT lineage_next_number(name), name
    FROM (SELECT DISTINCT unnest(ARRAY[NEW.first_name, NEW.second_name, NEW.run_name]) AS name) AS given
    WHERE name <> '' ORDER BY name ON CONFLICT DO NOTHING;
    SELECT number INTO link.first FROM lineage_names WHERE name = NEW.first_name;
    SELECT number INTO link.second FROM lineage_names WHERE name = NEW.second_name;
    link.run := coalesce((SELECT number FROM lineage_names WHERE name = NEW.run_name), 0);
    INSERT INTO lineage_links (second, first, run, role, id, project_id)
    VALUES (link.second, link.first, link.run, NEW.role, NEW.id, NEW.project_id) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO lineage_arcs (origin, result)
    SELECT origin, result
    FROM (VALUES (link.first, link.second), (link.first, link.run), (link.run, link.second)) AS arc (origin, result)
    WHERE origin <> 0 AND result <> 0 AND origin <> result ON CONFLICT DO NOTHING;
    RETURN NEW;
END
$$
"""
_TRIGGER = """
CREATE TRIGGER lineage_add_edge INSTEAD OF INSERT ON lineage_edges
FOR EACH ROW EXECUTE FUNCTION lineage_add_edge()
"""
