"""The tables in the code are those that the migrations make."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection

from chassis.db.engine import Database
from services.inference.conversions.tables import conversions
from services.inference.drift.tables import drift_references
from services.inference.guard.tables import deployment_standings
from services.inference.incidents.tables import incidents
from services.inference.tables import metadata


async def test_the_newest_migration_leaves_the_tables_of_the_code(postgres_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"include_object": is_ours})
        return [*compare_metadata(context, metadata)]

    assert {conversions.name, deployment_standings.name, drift_references.name, incidents.name} < set(metadata.tables)
    database = Database(postgres_url, "inference", 1)
    async with database.transaction() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


def is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    return kind != "table" or name in metadata.tables
