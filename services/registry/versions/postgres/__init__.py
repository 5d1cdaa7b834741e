"""Versions of models in PostgreSQL."""

from services.registry.versions.postgres.rows import version_of
from services.registry.versions.postgres.versions import PostgresVersions, select_versions

__all__ = ["PostgresVersions", "select_versions", "version_of"]
