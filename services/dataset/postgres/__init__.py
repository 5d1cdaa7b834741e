"""The store in PostgreSQL (see ``services.dataset.store``)."""

from services.dataset.postgres.store import MIGRATIONS, SCHEMA, PostgresStore

__all__ = ["MIGRATIONS", "SCHEMA", "PostgresStore"]
