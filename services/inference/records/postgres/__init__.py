"""Records in PostgreSQL."""

from services.inference.records.postgres.records import PostgresRecords

__all__ = ["PostgresRecords"]
