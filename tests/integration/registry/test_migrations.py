"""The tables in the code are those that the migrations make."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

import services.registry
from chassis.db.engine import Database
from chassis.db.migrate import migrate
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
