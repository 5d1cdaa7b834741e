"""A database for each test, copied from a template in which the migrations have run already."""

import asyncio
import concurrent.futures
import itertools
import logging
import urllib.parse
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from chassis.db.migrate import migrate
from chassis.embedded import EmbeddedPostgres

_TEMPLATE = "migrated"

Result = TypeVar("Result")


class Databases:
    """Makes and drops databases on one server."""

    def __init__(self, server: EmbeddedPostgres, services: Path) -> None:
        self._server = server
        self._services = services
        self._numbers = itertools.count()
        self._has_template = False
        # Plain fixtures have no event loop, and the tests' own must not be theirs: this thread has one for them.
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "test-databases")
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection[asyncpg.Record] = self._run(asyncpg.connect(server.url))

    def create(self, template: str = "template1") -> str:
        """Make a database and return its URL."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self._url(name)

    def create_migrated(self) -> str:
        """Make a database that has every service's tables and return its URL."""
        if not self._has_template:
            self._execute(f"CREATE DATABASE {_TEMPLATE}")
            self._run(self._migrate_all())
            self._has_template = True
        return self.create(_TEMPLATE)

    def drop(self, url: str) -> None:
        """Drop a database, whoever is connected."""
        self._execute(f"DROP DATABASE {urllib.parse.urlsplit(url).path[1:]} WITH (FORCE)")

    def close(self) -> None:
        """Disconnect."""
        self._run(self._connection.close())
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    async def _migrate_all(self) -> None:
        for scripts in sorted(self._services.glob("*/migrations")):
            schema = scripts.parent.name
            try:
                await migrate(self._url(_TEMPLATE), schema, scripts)
            except Exception:
                # The template only saves time: the service migrates again at its start, and fails there for all to see.
                logging.getLogger(__name__).exception("the migrations of %s do not apply", schema)

    def _url(self, name: str) -> str:
        return urllib.parse.urlsplit(self._server.url)._replace(path=f"/{name}").geturl()

    def _execute(self, statement: str) -> None:
        self._run(self._connection.execute(statement))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._thread.submit(self._runner.run, work).result()


@pytest.fixture(scope="session")
def databases(postgres_server: EmbeddedPostgres, pytestconfig: pytest.Config) -> Iterator[Databases]:
    """Makes databases on this test process's server."""
    databases = Databases(postgres_server, pytestconfig.rootpath / "services")
    yield databases
    databases.close()


class OwnDatabase:
    """The test's own database, made when somebody first wants its URL."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._request = request
        self._url = ""

    @property
    def url(self) -> str:
        """Where it is; every service's migrations have been applied in it."""
        if not self._url:
            self._url = self._databases.create_migrated()
        return self._url

    def drop(self) -> None:
        """Drop it if it was made."""
        if self._url:
            self._databases.drop(self._url)

    @property
    def _databases(self) -> Databases:
        databases: Databases = self._request.getfixturevalue("databases")
        return databases


@pytest.fixture
def own_database(request: pytest.FixtureRequest) -> Iterator[OwnDatabase]:
    """For fixtures that may or may not need a database, and need it to the end: it starts nothing by itself."""
    database = OwnDatabase(request)
    yield database
    database.drop()


@pytest.fixture
def postgres_url(own_database: OwnDatabase) -> str:
    """The URL of a database of the test's own, in which every service's migrations have been applied."""
    return own_database.url


@pytest.fixture
def empty_postgres_url(databases: Databases) -> Iterator[str]:
    """The URL of a database of the test's own with nothing in it."""
    url = databases.create()
    yield url
    databases.drop(url)
