"""What several contracts are tried against. A file about another store has a ``store`` of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chassis.db.engine import Database
from services.inference.deployments.memory import MemoryDeployments
from services.inference.deployments.postgres import PostgresDeployments
from services.inference.deployments.store import DeploymentStore


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[DeploymentStore]:
    """Deployments and their rollouts, in memory and in PostgreSQL."""
    if request.param == "memory":
        yield MemoryDeployments()
        return
    database = Database(request.getfixturevalue("postgres_url"), "inference", 4)
    yield PostgresDeployments(database)
    await database.close()
