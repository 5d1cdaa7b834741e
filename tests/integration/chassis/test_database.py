"""A service's connections to a real PostgreSQL."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
import sqlalchemy
from sqlalchemy import text

from chassis.db.engine import Database
from chassis.db.errors import DatabaseBusy, DatabaseUnavailable
from chassis.db.migrate import CannotMigrate, migrate
from chassis.db.reading import fetch
from chassis.db.settings import driver_url
from chassis.deadline import set_remaining_s
from chassis.embedded import EmbeddedPostgres
from headwater.errors import DeadlineExceeded, InvalidArgument

FIRST = '''
"""Fruit."""
from alembic import op
revision = "0001"
down_revision = None
def upgrade():
    op.execute("CREATE TABLE fruit (name text PRIMARY KEY, grams int)")
'''
SECOND = '''
"""Fruit has a colour."""
from alembic import op
revision = "0002"
down_revision = "0001"
def upgrade():
    op.execute("ALTER TABLE fruit ADD COLUMN colour text")
'''
BROKEN = SECOND.replace("fruit ADD", "no_such_table ADD")


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "0001_fruit.py").write_text(FIRST)
    return tmp_path / "migrations"


@pytest_asyncio.fixture
async def database(empty_postgres_url: str, scripts: Path) -> AsyncIterator[Database]:
    await migrate(empty_postgres_url, "orchard", scripts)
    database = Database(empty_postgres_url, "orchard", pool_size=2)
    yield database
    await database.close()


@pytest.fixture(autouse=True)
def no_deadline() -> Iterator[None]:
    yield
    set_remaining_s(None)


async def test_a_transaction_commits_when_its_block_ends(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO fruit VALUES ('apple', 150)"))
    assert await _fruit(database) == ["apple"]


async def test_a_transaction_rolls_back_when_its_block_raises(database: Database) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with database.transaction() as tx:
            await tx.execute(text("INSERT INTO fruit VALUES ('apple', 150)"))
            raise ZeroDivisionError
    assert await _fruit(database) == []


async def test_a_violated_constraint_is_left_for_the_code_beside_the_query(database: Database) -> None:
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        async with database.transaction() as tx:
            await tx.execute(text("INSERT INTO fruit VALUES ('apple', 1), ('apple', 2)"))


async def test_rows_are_copied_in_through_the_driver_in_one_transaction(database: Database) -> None:
    rows = [(f"fruit {number}", number, None) for number in range(10_000)]
    async with database.asyncpg() as driver:
        await driver.copy_records_to_table("fruit", records=rows)
    with contextlib.suppress(ZeroDivisionError):
        async with database.asyncpg() as driver:
            await driver.execute("DELETE FROM fruit")
            raise ZeroDivisionError
    assert len(await _fruit(database)) == 10_000


async def test_one_row_is_read_at_once_whatever_was_committed_before(database: Database) -> None:
    statement = "SELECT name, grams, $2::jsonb AS told FROM fruit WHERE name = $1"
    assert await database.fetch_row(statement, "pear", {}) is None
    for grams in range(20):  # nothing is remembered from one call to the next
        async with database.transaction() as connection:
            await connection.execute(
                text("INSERT INTO fruit VALUES ('pear', :grams) ON CONFLICT (name) DO UPDATE SET grams = :grams"),
                {"grams": grams},
            )
        row = await database.fetch_row(statement, "pear", {"ripe": [True]})
        assert row is not None
        assert dict(row) == {"name": "pear", "grams": grams, "told": {"ripe": [True]}}


async def test_who_reads_at_once_cannot_write(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):  # as a server that is read-only for the time being
        await database.fetch_row("INSERT INTO fruit VALUES ('fig', 1) RETURNING name")
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM fruit"))).scalar() == 0


async def test_one_statement_that_writes_is_done_when_it_returns_or_not_at_all(database: Database) -> None:
    row = await database.write_row("INSERT INTO fruit VALUES ('fig', 1), ('pear', 2) RETURNING name")
    assert row is not None
    assert row["name"] == "fig"
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.write_row("INSERT INTO fruit VALUES ('plum', 1), ('fig', 2)")
    assert sorted(await _fruit(database)) == ["fig", "pear"]


async def test_many_read_at_once_and_a_deadline_ends_a_read(database: Database) -> None:
    rows = await asyncio.gather(*(database.fetch_row("SELECT $1::int AS number", number) for number in range(50)))
    assert [row["number"] for row in rows if row is not None] == list(range(50))
    set_remaining_s(0.2)
    with pytest.raises(DeadlineExceeded):
        await database.fetch_row("SELECT pg_sleep(20)")


async def test_many_rows_are_read_as_their_transaction_sees_them(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO fruit SELECT 'fruit ' || n, n FROM generate_series(1, 5000) AS n"))
        rows = await fetch(connection, "SELECT name, grams FROM fruit WHERE grams > $1 ORDER BY grams", 10)
    assert [tuple(row) for row in rows] == [(f"fruit {n}", n) for n in range(11, 5001)]


async def test_a_deadline_ends_a_read_of_many_rows_in_the_database_too(database: Database) -> None:
    """Promise 9."""
    set_remaining_s(0.2)
    with pytest.raises(DeadlineExceeded):
        async with database.transaction() as connection:
            await fetch(connection, "SELECT pg_sleep(30)")
    set_remaining_s(None)
    for _ in range(3):
        async with database.transaction() as connection:
            running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)' AND state = 'active'"
            assert (await fetch(connection, running))[0][0] == 0


async def test_a_connection_that_broke_while_it_was_read_from_is_not_used_again(database: Database) -> None:
    async def break_it() -> None:
        async with database.transaction() as connection:
            await fetch(connection, "SET ROLE NONE")
            await fetch(connection, "SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(DatabaseUnavailable):
        await break_it()
    for _ in range(3):
        async with database.transaction() as connection:
            assert (await fetch(connection, "SELECT 1"))[0][0] == 1


async def test_a_service_cannot_read_another_services_tables(
    database: Database, empty_postgres_url: str, scripts: Path
) -> None:
    await migrate(empty_postgres_url, "kitchen", scripts)
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied for schema kitchen"):
        async with database.transaction() as tx:
            await tx.execute(text("SELECT * FROM kitchen.fruit"))


async def test_a_call_whose_deadline_passes_ends_in_the_database_too(database: Database) -> None:
    """Promise 9: an answer within 200 ms of the deadline, and no query left behind."""
    set_remaining_s(0.3)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        async with database.transaction() as tx:
            await tx.execute(text("SELECT pg_sleep(30)"))
    assert time.monotonic() - started < 0.5
    set_remaining_s(None)
    await _nobody_sleeps(database)


async def test_a_call_whose_deadline_is_past_does_not_reach_the_database(database: Database) -> None:
    set_remaining_s(0)
    with pytest.raises(DeadlineExceeded):
        async with database.transaction():
            pytest.fail("the block must not run")


async def test_a_call_that_is_cancelled_ends_in_the_database_too(database: Database) -> None:
    for _ in range(5):  # more often than the pool has connections
        async with asyncio.timeout(5):
            await _cancelled_query(database)
    await _nobody_sleeps(database)


async def test_who_finds_every_connection_in_use_is_told_to_come_back(
    database: Database, empty_postgres_url: str
) -> None:
    small = Database(empty_postgres_url, "orchard", pool_size=1, pool_timeout_s=0.1)
    try:
        async with small.transaction():
            with pytest.raises(DatabaseBusy) as refused:
                async with small.transaction():
                    pytest.fail("there is no second connection")
            assert refused.value.retry_after_ms
            await small.check()  # busy is not away
    finally:
        await small.close()


async def test_deadlocked_transactions_may_be_tried_again(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO fruit VALUES ('apple', 1), ('pear', 1)"))
    both_hold_one = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> None:
        async with database.transaction() as tx:
            await tx.execute(text("SELECT FROM fruit WHERE name = :name FOR UPDATE"), {"name": first})
            await both_hold_one.wait()
            await tx.execute(text("SELECT FROM fruit WHERE name = :name FOR UPDATE"), {"name": second})

    outcomes = await asyncio.gather(lock("apple", "pear"), lock("pear", "apple"), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DatabaseUnavailable", "NoneType"]


async def test_a_database_that_goes_away_is_unavailable_and_found_again_when_it_is_back(
    start_postgres: Callable[[], EmbeddedPostgres], scripts: Path
) -> None:
    server = start_postgres()
    port = server.port
    await migrate(server.url, "orchard", scripts)
    database = Database(server.url, "orchard")
    try:
        async with database.transaction() as tx:
            await tx.execute(text("INSERT INTO fruit VALUES ('apple', 150)"))
        with pytest.raises(DatabaseUnavailable):
            await _insert_into_stopped(server, database)
        with pytest.raises(DatabaseUnavailable) as away:
            await database.check()
        assert away.value.retry_after_ms
        server.start(port)
        await _eventually_checks(database)
        assert await _fruit(database) == ["apple"]
    finally:
        await database.close()


async def test_migrations_that_ran_are_not_run_again_and_new_ones_are(
    database: Database, empty_postgres_url: str, scripts: Path
) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("INSERT INTO fruit VALUES ('apple', 150)"))
    (scripts / "0002_colour.py").write_text(SECOND)
    await migrate(empty_postgres_url, "orchard", scripts)
    async with database.transaction() as tx:
        assert (await tx.execute(text("SELECT name, colour FROM fruit"))).one() == ("apple", None)


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    database: Database, empty_postgres_url: str, scripts: Path
) -> None:
    (scripts / "0002_colour.py").write_text(BROKEN)
    with pytest.raises(sqlalchemy.exc.ProgrammingError):
        await migrate(empty_postgres_url, "orchard", scripts)
    async with database.transaction() as tx:
        assert await tx.scalar(text("SELECT version_num FROM schema_version")) == "0001"


async def test_many_processes_migrate_at_once(empty_postgres_url: str, scripts: Path) -> None:
    await asyncio.gather(*(migrate(empty_postgres_url, "orchard", scripts) for _ in range(6)))
    async with _connection(empty_postgres_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM orchard.schema_version") == 1


async def test_a_user_who_may_create_roles_and_schemas_is_enough(
    start_postgres: Callable[[], EmbeddedPostgres], scripts: Path
) -> None:
    """A managed PostgreSQL gives nobody the superuser."""
    server = start_postgres()
    url = await _with_user(server, "CREATEROLE", "GRANT CREATE ON DATABASE headwater TO app")
    await migrate(url, "orchard", scripts)
    database = Database(url, "orchard")
    try:
        assert await _fruit(database) == []
    finally:
        await database.close()


async def test_a_user_with_a_role_and_schema_that_an_administrator_prepared_is_enough(
    start_postgres: Callable[[], EmbeddedPostgres], scripts: Path
) -> None:
    server = start_postgres()
    url = await _with_user(
        server,
        "NOCREATEROLE",
        "CREATE ROLE headwater_orchard NOLOGIN",
        "GRANT headwater_orchard TO app",
        "CREATE SCHEMA orchard AUTHORIZATION headwater_orchard",
    )
    await migrate(url, "orchard", scripts)
    database = Database(url, "orchard")
    try:
        assert await _fruit(database) == []
    finally:
        await database.close()


async def test_a_user_who_may_do_nothing_is_told_what_is_missing(
    start_postgres: Callable[[], EmbeddedPostgres], scripts: Path
) -> None:
    server = start_postgres()
    url = await _with_user(server, "NOCREATEROLE")
    with pytest.raises(CannotMigrate, match="ALTER ROLE <user> CREATEROLE"):
        await migrate(url, "orchard", scripts)


def test_ssl_modes_of_libpq_urls_are_understood() -> None:
    assert driver_url("postgresql://u:p@h/db?sslmode=require").query == {"ssl": "require"}


@pytest.mark.parametrize("url", ["", "mysql://u:secret@h/db", "not a url", "postgresql://u:secret@h:port/db"])
def test_a_url_that_is_no_postgresql_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        driver_url(url)
    assert "secret" not in str(refused.value)


async def _fruit(database: Database) -> list[str]:
    async with database.transaction() as tx:
        return list((await tx.execute(text("SELECT name FROM fruit ORDER BY name"))).scalars())


async def _insert_into_stopped(server: EmbeddedPostgres, database: Database) -> None:
    async with database.transaction() as tx:
        server.stop()
        await tx.execute(text("INSERT INTO fruit VALUES ('pear', 200)"))


async def _cancelled_query(database: Database) -> None:
    async def query() -> None:
        async with database.transaction() as tx:
            running.set()
            await tx.execute(text("SELECT pg_sleep(30)"))

    running = asyncio.Event()
    task = asyncio.create_task(query())
    await running.wait()
    await asyncio.sleep(0.02)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def _nobody_sleeps(database: Database) -> None:
    async with asyncio.timeout(2):
        while True:
            async with database.transaction() as tx:
                query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
                if await tx.scalar(text(query)) == 0:
                    return
            await asyncio.sleep(0.02)


async def _eventually_checks(database: Database) -> None:
    """Each pool learns of a restart by one failure."""
    for _ in range(2):
        with contextlib.suppress(DatabaseUnavailable):
            return await database.check()
    return await database.check()


@contextlib.asynccontextmanager
async def _connection(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _with_user(server: EmbeddedPostgres, rights: str, *statements: str) -> str:
    async with _connection(server.url) as connection:
        await connection.execute(f"CREATE ROLE app LOGIN PASSWORD 'app' {rights}")
        for statement in statements:
            await connection.execute(statement)
    return f"postgresql://app:app@127.0.0.1:{server.port}/headwater"
