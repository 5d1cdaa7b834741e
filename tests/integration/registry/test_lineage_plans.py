"""How PostgreSQL looks for parts of the graph: what it reads grows with the answer, whatever plan it has kept."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio

from chassis.db.engine import Database
from chassis.db.settings import server_settings
from chassis.ids import new_id
from services.registry.lineage import statements
from services.registry.lineage.model import Direction, Edge, NodeKind, Role
from services.registry.postgres import PostgresStore

HUB = "projects/default/datasets/hub/versions/v1.0.0"
READERS = 3000
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest_asyncio.fixture
async def connection(postgres_url: str) -> AsyncIterator[Connection]:
    """Of the registry's, with data that thousands of others were made of."""
    database = Database(postgres_url, "registry")
    async with PostgresStore(database).transaction() as tx:
        project = (await tx.projects.get("default")).id
        readers = [f"projects/default/externalDatasets/reader-{number}" for number in range(READERS)]
        await tx.lineage.add_edges([Edge(new_id(), project, HUB, reader, "", Role.INPUT) for reader in readers])
    await database.close()
    connection = await asyncpg.connect(postgres_url, server_settings=server_settings("registry"))
    await connection.execute("ANALYZE lineage_names, lineage_links, lineage_arcs")
    yield connection
    await connection.close()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_edges_are_found_by_reading_each_node_a_few_times(connection: Connection, mode: str) -> None:
    """Of a plan that is kept for any nodes the planner does not know how many there are."""
    numbers = [row["number"] for row in await connection.fetch("SELECT number FROM lineage_names")]
    given = f"ARRAY[{','.join(map(str, numbers))}]::bigint[], 100000"
    plan = await _plan(connection, mode, f"(bigint[], bigint) AS {statements.EDGES_AMONG}", given)
    assert plan["Actual Rows"] == READERS
    assert sum(each["Actual Rows"] * each["Actual Loops"] for each in _parts(plan)) < 10 * READERS


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_of_what_thousands_read_as_many_are_looked_at_as_are_told(connection: Connection, mode: str) -> None:
    """Promise 8."""
    kinds = ",".join(str(int(kind)) for kind in NodeKind)
    given = f"ARRAY['{HUB}'], 99, 20, 5000, ARRAY[{kinds}]::bigint[]"
    head = "(text[], integer, integer, bigint, bigint[]) AS "
    plan = await _plan(connection, mode, head + statements.REACH[Direction.DOWNSTREAM], given)
    assert plan["Actual Rows"] == 101, "the start, what was made of it, and that there is more"
    assert sum(each["Actual Rows"] * each["Actual Loops"] for each in _parts(plan)) < 30 * 100


async def _plan(connection: Connection, mode: str, statement: str, given: str) -> dict[str, Any]:
    await connection.execute(f"SET plan_cache_mode = {mode}")
    await connection.execute(f"PREPARE asked {statement}")
    told = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({given})")
    plan: dict[str, Any] = json.loads(told)[0]["Plan"]
    return plan


def _parts(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _parts(part)
