"""The history in PostgreSQL."""

from services.dataset.history.postgres.pointers import PostgresPointers
from services.dataset.history.postgres.versions import PostgresVersions


class PostgresHistory(PostgresVersions, PostgresPointers):
    """See ``services.dataset.history.store.History``."""
