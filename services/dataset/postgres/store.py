"""Transactions of the PostgreSQL store."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from chassis.db.requests import PostgresRequests
from services.dataset.checkpoints.postgres import PostgresCheckpoints
from services.dataset.compaction.postgres import PostgresCompactions
from services.dataset.datastores.postgres import PostgresDatastores
from services.dataset.history.postgres import PostgresHistory
from services.dataset.postgres.collector import PostgresCollector
from services.dataset.postgres.rows import PostgresRows
from services.dataset.postgres.uploads import PostgresUploads
from services.dataset.profiles.postgres import PostgresProfiles
from services.dataset.trees.postgres import KnownNodes, PostgresTrees
from services.dataset.views.postgres import PostgresViews

SCHEMA = "dataset"
MIGRATIONS = Path(__file__).parent.parent / "migrations"


class PostgresTransaction(
    PostgresViews,
    PostgresProfiles,
    PostgresCheckpoints,
    PostgresDatastores,
    PostgresHistory,
    PostgresUploads,
    PostgresRows,
    PostgresTrees,
    PostgresCompactions,
    PostgresCollector,
):
    """See ``services.dataset.store.Transaction``."""

    def __init__(self, connection: AsyncConnection, known_nodes: KnownNodes) -> None:
        self._tx = connection
        self._known_nodes = known_nodes
        self._requests = PostgresRequests()

    async def first_result(self, method: str, request_id: str, body_digest: str) -> str | None:
        """See Replays."""
        return await self._requests.first_result(self._tx, method, request_id, body_digest)

    async def remember(self, method: str, request_id: str, body_digest: str, result: str) -> None:
        """See Replays."""
        await self._requests.remember(self._tx, method, request_id, body_digest, result)

    async def forget_requests(self) -> None:
        """See Collector."""
        await self._requests.forget_expired(self._tx)


class PostgresStore:
    """See ``services.dataset.store.Store``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known_nodes = KnownNodes()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """See Store."""
        async with self._database.transaction() as connection:
            yield PostgresTransaction(connection, self._known_nodes)
