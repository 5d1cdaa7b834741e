"""The registry's store in PostgreSQL."""

import contextlib
import datetime
from collections.abc import AsyncIterator

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.db.engine import Database
from chassis.db.requests import PostgresRequests
from services.registry.artifacts.postgres import PostgresArtifacts
from services.registry.events import Event, EventStore
from services.registry.experiments.postgres import PostgresExperiments
from services.registry.lineage.postgres import PostgresLineage
from services.registry.logged_models.postgres import PostgresLoggedModels
from services.registry.metrics.postgres.recording import PostgresMetrics
from services.registry.models.postgres import PostgresModels
from services.registry.moves.postgres.histories import PostgresMoves
from services.registry.moves.postgres.pointers import PostgresPointers
from services.registry.origin import Origin
from services.registry.projects.postgres import PostgresProjects
from services.registry.run_artifacts.postgres import PostgresRunArtifacts
from services.registry.run_links.postgres import PostgresRunLinks
from services.registry.runs.postgres import PostgresRuns
from services.registry.store import Store, Transaction
from services.registry.tables import events
from services.registry.uploads.postgres import PostgresUploads
from services.registry.versions.postgres import PostgresVersions


class PostgresStore(Store):
    """See Store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._metrics = PostgresMetrics(database)
        self._pointers = PostgresPointers(database)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """See Store."""
        async with self._database.transaction() as connection:
            yield PostgresTransaction(connection)

    @property
    def metrics(self) -> PostgresMetrics:
        """See Store."""
        return self._metrics

    @property
    def pointers(self) -> PostgresPointers:
        """See Store."""
        return self._pointers


class PostgresTransaction(Transaction):
    """See Transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._requests = PostgresRequests()

    @property
    def projects(self) -> PostgresProjects:
        """See Transaction."""
        return PostgresProjects(self._connection)

    @property
    def experiments(self) -> PostgresExperiments:
        """See Transaction."""
        return PostgresExperiments(self._connection)

    @property
    def runs(self) -> PostgresRuns:
        """See Transaction."""
        return PostgresRuns(self._connection)

    @property
    def artifacts(self) -> PostgresArtifacts:
        """See Transaction."""
        return PostgresArtifacts(self._connection)

    @property
    def uploads(self) -> PostgresUploads:
        """See Transaction."""
        return PostgresUploads(self._connection)

    @property
    def run_artifacts(self) -> PostgresRunArtifacts:
        """See Transaction."""
        return PostgresRunArtifacts(self._connection)

    @property
    def run_links(self) -> PostgresRunLinks:
        """See Transaction."""
        return PostgresRunLinks(self._connection)

    @property
    def logged_models(self) -> PostgresLoggedModels:
        """See Transaction."""
        return PostgresLoggedModels(self._connection)

    @property
    def models(self) -> PostgresModels:
        """See Transaction."""
        return PostgresModels(self._connection)

    @property
    def versions(self) -> PostgresVersions:
        """See Transaction."""
        return PostgresVersions(self._connection)

    @property
    def moves(self) -> PostgresMoves:
        """See Transaction."""
        return PostgresMoves(self._connection)

    @property
    def lineage(self) -> PostgresLineage:
        """See Transaction."""
        return PostgresLineage(self._connection)

    @property
    def events(self) -> "PostgresEvents":
        """See Transaction."""
        return PostgresEvents(self._connection)

    async def now(self) -> datetime.datetime:
        """See Transaction. Not when it began: who waited for a lock has a later time than who held it."""
        now: datetime.datetime = (await self._connection.execute(select(func.clock_timestamp()))).scalar_one()
        return now

    async def first_answer(self, origin: Origin) -> str | None:
        """See Answers."""
        return await self._requests.first_result(self._connection, origin.method, origin.request_id, origin.body_digest)

    async def remember(self, origin: Origin, answer: str) -> None:
        """See Answers."""
        await self._requests.remember(self._connection, origin.method, origin.request_id, origin.body_digest, answer)

    async def forget_old_answers(self) -> None:
        """See Answers."""
        await self._requests.forget_expired(self._connection)


class PostgresEvents(EventStore):
    """See EventStore."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def append(self, event: Event) -> None:
        """See EventStore."""
        row = {
            "time": event.time,
            "actor": event.actor,
            "kind": event.kind,
            "object": event.object,
            "before_digest": event.before_digest,
            "after_digest": event.after_digest,
        }
        await self._connection.execute(insert(events).values(row))
