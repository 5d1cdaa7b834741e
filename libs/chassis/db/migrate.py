"""Brings one service's schema to its newest form.

A script is an Alembic revision in the service's ``migrations/`` folder. It names tables without a schema, and what it
makes belongs to the service's role. Promise 17: expand, then contract; the last release must run on the new schema.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from chassis.db.errors import guarded
from chassis.db.settings import driver_url, role_of
from headwater.errors import FailedPrecondition

_LOCK_KEY = int.from_bytes(b"headwate", "big")


class CannotMigrate(FailedPrecondition):
    """The database user lacks a right that setting up a schema needs."""

    reason = "CANNOT_MIGRATE"
    text = "The database user may not set up the schema."


async def migrate(url: str, schema: str, scripts: Path) -> None:
    """Create the role and the schema if they are missing, then apply every script in ``scripts`` not yet applied.

    ``scripts`` holds Alembic revisions (``0001_….py``) and nothing else: no env.py, no ini file. Safe to call from any
    number of processes at once: they queue on one advisory lock. Each script is one transaction.

    Raises:
        CannotMigrate: the database user may not; the text names the remedy.
        DatabaseUnavailable: the database is away.
    """
    engine = create_async_engine(driver_url(url), poolclass=sqlalchemy.NullPool)
    try:
        async with guarded(), engine.connect() as connection:
            await connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_lock(_LOCK_KEY)))
            await connection.commit()  # the lock stays until the connection closes
            await _ensure_schema(connection, schema)
            await connection.execute(sqlalchemy.text(f"SET ROLE {role_of(schema)}"))
            await connection.execute(sqlalchemy.text(f"SET search_path TO {schema}"))
            await connection.commit()
            await connection.run_sync(_upgrade, schema, scripts)
            await connection.commit()
    finally:
        await engine.dispose()


async def _ensure_schema(connection: AsyncConnection, schema: str) -> None:
    role = role_of(schema)
    owner = await connection.scalar(
        sqlalchemy.text("SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = :schema"), {"schema": schema}
    )
    try:
        if owner is None:
            for statement in (_CREATE_ROLE, _BECOME_ROLE):
                await connection.exec_driver_sql(statement.format(role=role))
            await connection.execute(sqlalchemy.text(f"CREATE SCHEMA {schema} AUTHORIZATION {role}"))
            await connection.commit()
    except sqlalchemy.exc.ProgrammingError as error:
        if getattr(error.orig, "sqlstate", "") != asyncpg.InsufficientPrivilegeError.sqlstate:
            raise
        raise CannotMigrate(
            f"The user of HEADWATER_DATABASE_URL may not create the role and the schema of {schema}. Let an "
            f"administrator run: ALTER ROLE <user> CREATEROLE; GRANT CREATE ON DATABASE <database> TO <user>;",
            schema=schema,
        ) from error


# Roles belong to the whole server and locks to one database, so two databases may make the same role at once. Since
# PostgreSQL 16 who makes a role may not yet become it. Where an administrator has prepared the role, neither is needed.
_CREATE_ROLE = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$;
"""
_BECOME_ROLE = """
DO $$
BEGIN
    GRANT {role} TO CURRENT_USER;
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $$;
"""


def _upgrade(connection: Connection, schema: str, scripts: Path) -> None:
    directory = ScriptDirectory(str(scripts), version_locations=[str(scripts)])

    def to_head(revision: Any, _context: Any) -> Iterable[Any]:
        return directory._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), directory, fn=to_head) as environment:
        environment.configure(
            connection=connection,
            version_table="schema_version",
            version_table_schema=schema,
            transaction_per_migration=True,
        )
        environment.run_migrations()
