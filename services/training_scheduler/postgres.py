"""What the scheduler remembers, in PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator

from chassis.db.engine import Database
from chassis.db.lease import PostgresLeases
from chassis.db.requests import PostgresRequests
from services.training_scheduler.bound import BoundLeases, BoundRequests
from services.training_scheduler.checkpoints.postgres import PostgresCheckpoints
from services.training_scheduler.jobs.postgres import PostgresJobs
from services.training_scheduler.store import Store, Transaction


class PostgresStore(Store):
    """See Store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases = PostgresLeases()
        self._requests = PostgresRequests()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See Store."""
        async with self._database.transaction() as connection:
            yield Transaction(
                jobs=PostgresJobs(connection),
                leases=BoundLeases(self._leases, connection),
                checkpoints=PostgresCheckpoints(connection),
                requests=BoundRequests(self._requests, connection),
            )

    async def forget_expired_requests(self) -> None:
        """Forget answers that are too old to be asked for again."""
        async with self._database.transaction() as connection:
            await self._requests.forget_expired(connection)
