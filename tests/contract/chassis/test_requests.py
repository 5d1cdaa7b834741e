"""What answers a retry, in memory and in PostgreSQL (promise 4)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from chassis.db.engine import Database
from chassis.db.requests import MemoryRequests, PostgresRequests, RequestIdReused, Requests

Transaction = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> tuple[Requests, Transaction]:
    """An implementation, and how its transactions are made."""
    if request.param == "memory":
        return MemoryRequests(), contextlib.nullcontext
    return PostgresRequests(), request.getfixturevalue("database").transaction


async def test_a_first_request_has_no_result(store: tuple[Requests, Transaction]) -> None:
    requests, transaction = store
    async with transaction() as tx:
        assert await requests.first_result(tx, "CreateModel", "id-1", "digest") is None


async def test_a_retry_gets_the_first_result(store: tuple[Requests, Transaction]) -> None:
    requests, transaction = store
    await _answer(requests, transaction, "CreateModel", "id-1", "digest", "projects/p/models/m")
    async with transaction() as tx:
        assert await requests.first_result(tx, "CreateModel", "id-1", "digest") == "projects/p/models/m"


async def test_the_same_id_with_another_body_is_refused(store: tuple[Requests, Transaction]) -> None:
    requests, transaction = store
    await _answer(requests, transaction, "CreateModel", "id-1", "digest", "first")
    with pytest.raises(RequestIdReused):
        async with transaction() as tx:
            await requests.first_result(tx, "CreateModel", "id-1", "another digest")


async def test_the_same_id_on_another_method_is_another_request(store: tuple[Requests, Transaction]) -> None:
    requests, transaction = store
    await _answer(requests, transaction, "CreateModel", "id-1", "digest", "first")
    async with transaction() as tx:
        assert await requests.first_result(tx, "CreateRun", "id-1", "digest") is None


async def test_requests_without_an_id_are_never_remembered(store: tuple[Requests, Transaction]) -> None:
    requests, transaction = store
    await _answer(requests, transaction, "CreateModel", "", "digest", "first")
    async with transaction() as tx:
        assert await requests.first_result(tx, "CreateModel", "", "digest") is None


async def test_an_empty_result_is_a_result(store: tuple[Requests, Transaction]) -> None:
    requests, transaction = store
    await _answer(requests, transaction, "DeleteModel", "id-1", "digest", "")
    async with transaction() as tx:
        assert await requests.first_result(tx, "DeleteModel", "id-1", "digest") == ""


async def test_what_is_rolled_back_is_not_remembered(database: Database) -> None:
    requests = PostgresRequests()
    with pytest.raises(ZeroDivisionError):
        async with _answering(database, "id-1"):
            raise ZeroDivisionError
    async with database.transaction() as tx:
        assert await requests.first_result(tx, "CreateModel", "id-1", "digest") is None


async def test_a_retry_that_overtakes_the_first_call_waits_for_its_result(database: Database) -> None:
    requests = PostgresRequests()

    async def retry() -> str | None:
        async with database.transaction() as tx:
            return await requests.first_result(tx, "CreateModel", "id-1", "digest")

    async with _answering(database, "id-1"):
        retrying = asyncio.create_task(retry())
        done, _ = await asyncio.wait([retrying], timeout=0.2)
        assert not done
    assert await retrying == "result"


async def test_of_many_equal_requests_at_once_exactly_one_does_the_work(database: Database) -> None:
    requests = PostgresRequests()
    work: list[int] = []

    async def call(number: int) -> str:
        async with database.transaction() as tx:
            first = await requests.first_result(tx, "CreateModel", "id-1", "digest")
            if first is not None:
                return first
            work.append(number)
            await requests.remember(tx, "CreateModel", "id-1", "digest", f"made by {number}")
            return f"made by {number}"

    results = await asyncio.gather(*(call(number) for number in range(20)))
    assert len(work) == 1
    assert set(results) == {f"made by {work[0]}"}


async def test_a_result_past_its_retention_is_forgotten(database: Database) -> None:
    requests = PostgresRequests(retention_s=-1)
    await _answer(requests, database.transaction, "CreateModel", "id-1", "digest", "first")
    async with database.transaction() as tx:
        assert await requests.first_result(tx, "CreateModel", "id-1", "another digest") is None
        assert await requests.forget_expired(tx) == 1


async def _answer(requests: Requests, transaction: Transaction, method: str, request_id: str, *rest: str) -> None:
    digest, result = rest
    async with transaction() as tx:
        assert await requests.first_result(tx, method, request_id, digest) is None
        await requests.remember(tx, method, request_id, digest, result)


@contextlib.asynccontextmanager
async def _answering(database: Database, request_id: str) -> AsyncIterator[None]:
    """A call that has done its work when the block begins and commits when it ends."""
    requests = PostgresRequests()
    async with database.transaction() as tx:
        assert await requests.first_result(tx, "CreateModel", request_id, "digest") is None
        await requests.remember(tx, "CreateModel", request_id, "digest", "result")
        yield
