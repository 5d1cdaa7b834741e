"""The tables in the code are those that the migrations make."""

from pathlib import Path

import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import services.registry
from chassis.db.engine import Database
from chassis.db.migrate import migrate
from services.registry.lineage.model import Direction, NodeKind
from services.registry.lineage.postgres import PostgresLineage
from services.registry.tables import metadata

MIGRATIONS = Path(services.registry.__file__).parent / "migrations"
_OF_THE_CHASSIS = {"requests", "schema_version"}


async def test_the_migrated_schema_is_what_the_queries_expect(empty_postgres_url: str) -> None:
    await migrate(empty_postgres_url, "registry", MIGRATIONS)

    def differences(connection: Connection) -> list[object]:
        options = {"include_name": lambda name, kind, _: kind != "table" or name not in _OF_THE_CHASSIS}
        found: list[object] = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        return found

    database = Database(empty_postgres_url, "registry")
    try:
        async with database.transaction() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await database.close()


async def test_the_release_before_can_read_and_add_edges(postgres_url: str) -> None:
    """Promise 17: it knows a table of names where a graph of numbers is by now."""
    names = [f"projects/default/datasets/d/versions/v{number}.0.0" for number in range(3)]
    run = "projects/default/runs/01900000-0000-7000-8000-0000000000aa"
    add = sqlalchemy.text(
        "INSERT INTO lineage_edges (id, project_id, first_name, second_name, run_name, role)"
        " SELECT gen_random_uuid(), id, :first, :second, :run, 1 FROM projects ON CONFLICT DO NOTHING"
    )
    rows = [
        {"first": names[0], "second": names[1], "run": ""},
        {"first": names[1], "second": names[2], "run": run},
    ]
    database = Database(postgres_url, "registry")
    try:
        async with database.transaction() as connection:
            counts = [(await connection.execute(add, row)).rowcount for row in (*rows, *rows)]
            assert counts == [1, 1, 0, 0]
            found = await connection.execute(sqlalchemy.text("SELECT * FROM lineage_edges ORDER BY second_name"))
            assert [(row.first_name, row.second_name, row.run_name) for row in found] == [
                (names[0], names[1], ""),
                (names[1], names[2], run),
            ]
            reached = await PostgresLineage(connection).reach(
                names[:1], Direction.DOWNSTREAM, max_depth=5, max_nodes=10, max_arcs=10
            )
    finally:
        await database.close()
    assert [(node.name, node.kind) for node in reached.nodes[1:]] == [
        (names[1], NodeKind.DATA),
        (names[2], NodeKind.DATA),
        (run, NodeKind.RUN),
    ]
