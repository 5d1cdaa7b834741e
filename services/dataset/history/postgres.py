"""The history in PostgreSQL."""

from services.dataset.history.postgres_pointers import PostgresPointers
from services.dataset.history.postgres_versions import PostgresVersions


class PostgresHistory(PostgresVersions, PostgresPointers):
    """See ``services.dataset.history.store.History``."""
