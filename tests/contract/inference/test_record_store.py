"""What both stores of records promise."""

import dataclasses
import datetime
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chassis.db.engine import Database
from chassis.ids import new_id
from headwater.names import InferenceRecordName
from services.inference.records.memory import MemoryRecords
from services.inference.records.model import Record, RecordNotFound, RecordQuery
from services.inference.records.postgres import PostgresRecords
from services.inference.records.store import RecordStore

NOW = datetime.datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=datetime.UTC)


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[RecordStore]:
    if request.param == "memory":
        yield MemoryRecords()
        return
    database = Database(request.getfixturevalue("postgres_url"), "inference", 4)
    yield PostgresRecords(database)
    await database.close()


def record(project: str = "p", deployment: str = "digits") -> Record:
    return Record(
        request_id=new_id(),
        project=project,
        deployment=deployment,
        model_version=f"projects/{project}/models/digits/versions/3",
        model_digest="sha256:" + "a" * 64,
        request_digest="sha256:" + "b" * 64,
        response_digest="sha256:" + "c" * 64,
        caller="tester",
        request_time=NOW,
        latency_ms=1.25,
        batch_rows=16,
        rows=2,
        client_request_id="zwölf",
    )


def as_put_in(found: Record) -> Record:
    return dataclasses.replace(found, sequence=0)


async def test_a_record_comes_back_as_it_was_put_in(store: RecordStore) -> None:
    new = record()
    await store.append([new])
    assert as_put_in(await store.get(new.name)) == new


async def test_appending_again_changes_nothing(store: RecordStore) -> None:
    """A flush whose answer was lost is sent again."""
    one, two = record(), record()
    await store.append([one])
    await store.append([dataclasses.replace(one, rows=99), two])

    assert [as_put_in(each) for each in await store.page(RecordQuery("p"), None, 10)] == [two, one]


async def test_thousands_are_appended_at_once(store: RecordStore) -> None:
    many = [record() for _ in range(5_000)]
    await store.append(many)
    assert [each.request_id for each in await store.page(RecordQuery("p"), None, 6_000)] == [
        each.request_id for each in reversed(many)
    ]


async def test_pages_are_newest_first_by_project_and_deployment(store: RecordStore) -> None:
    mine = [record() for _ in range(5)]
    other = record(deployment="other")
    await store.append([*mine, other, record("q")])

    first = await store.page(RecordQuery("p", "digits"), None, 2)
    rest = await store.page(RecordQuery("p", "digits"), first[-1].sequence, 10)

    assert [as_put_in(each) for each in (*first, *rest)] == mine[::-1]
    assert as_put_in((await store.page(RecordQuery("p"), None, 1))[0]) == other


@pytest.mark.parametrize(
    "name", ["01890000-0000-7000-8000-000000000000", "not-a-uuid", "01890000-0000-7000-8000-00000000000G"]
)
async def test_what_never_was_is_not_found(store: RecordStore, name: str) -> None:
    with pytest.raises(RecordNotFound):
        await store.get(InferenceRecordName("p", name))


async def test_a_record_belongs_to_its_project(store: RecordStore) -> None:
    new = record()
    await store.append([new])
    with pytest.raises(RecordNotFound):
        await store.get(InferenceRecordName("q", new.request_id))
