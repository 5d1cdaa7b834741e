"""What both stores of records promise."""

import asyncio
import datetime
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio

from chassis.db.engine import Database
from chassis.ids import new_id
from headwater.names import InferenceRecordName
from services.inference.records.memory import MemoryRecords
from services.inference.records.model import Record, RecordNotFound, RecordQuery
from services.inference.records.postgres import PostgresRecords
from services.inference.records.store import FileKind, HotRecords, RecordFile, RotationLost

NOW = datetime.datetime(2026, 1, 1, 12, 30, 15, 123456, tzinfo=datetime.UTC)


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[HotRecords]:
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
    return found._replace(sequence=0)


async def test_a_record_comes_back_as_it_was_put_in(store: HotRecords) -> None:
    new = record()
    await store.append([new])
    assert as_put_in(await store.get(new.name)) == new


async def test_appending_again_changes_nothing(store: HotRecords) -> None:
    """A flush whose answer was lost is sent again."""
    one, two = record(), record()
    await store.append([one])
    await store.append([one._replace(rows=99), two])

    assert [as_put_in(each) for each in await store.page(RecordQuery("p"), None, 10)] == [two, one]


async def test_thousands_are_appended_at_once(store: HotRecords) -> None:
    many = [record() for _ in range(5_000)]
    await store.append(many)
    assert [each.request_id for each in await store.page(RecordQuery("p"), None, 6_000)] == [
        each.request_id for each in reversed(many)
    ]


async def test_pages_are_newest_first_by_project_and_deployment(store: HotRecords) -> None:
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
async def test_what_never_was_is_not_found(store: HotRecords, name: str) -> None:
    with pytest.raises(RecordNotFound):
        await store.get(InferenceRecordName("p", name))


async def test_a_record_belongs_to_its_project(store: HotRecords) -> None:
    new = record()
    await store.append([new])
    with pytest.raises(RecordNotFound):
        await store.get(InferenceRecordName("q", new.request_id))


def file_of(records: Sequence[Record], kind: FileKind = FileKind.RECORDS, row_count: int = 0) -> RecordFile:
    """What a file of these records would be listed as."""
    return RecordFile(
        digest=f"sha256:{new_id()}",
        kind=kind,
        first_sequence=records[0].sequence,
        last_sequence=records[-1].sequence,
        first_request_id=min(each.request_id for each in records),
        last_request_id=max(each.request_id for each in records),
        first_time=NOW,
        last_time=NOW,
        row_count=row_count or len(records),
        size_bytes=1,
    )


async def stored(store: HotRecords, count: int, **facts: Any) -> Sequence[Record]:
    await store.append([record(**facts) for _ in range(count)])
    return (await store.page(RecordQuery("p"), None, count))[::-1]


async def test_every_fact_comes_back_and_bodies_only_when_asked_for(store: HotRecords) -> None:
    """M-84…M-87."""
    new = record()._replace(
        result="ENGINE_FAILED",
        request_bytes=2**33,
        response_bytes=5,
        inputs='[["x","FP32",[2,4]]]',
        outputs='[["y","BYTES",[2]]]',
        preprocessing_digest="sha256:" + "d" * 64,
        part_of=new_id(),
        is_final=False,
        variant="canary",
        body_reason="error",
        redacted='["x.age"]',
        request_body=b"\0\xff",
        response_body=b"",
    )
    await store.append([new])

    assert as_put_in(await store.get(new.name)) == new
    listed = (await store.page(RecordQuery("p"), None, 1))[0]
    assert as_put_in(listed) == new._replace(request_body=None, response_body=None)
    following = await store.following(0, 5, bodies=True)
    assert not isinstance(following, RecordFile)
    assert [as_put_in(each) for each in following] == [new]


async def test_pages_are_of_a_version_a_result_and_a_time(store: HotRecords) -> None:
    hour = datetime.timedelta(hours=1)
    late, failed = record(), record()
    late = late._replace(request_time=NOW + hour, model_version="projects/p/models/digits/versions/4")
    failed = failed._replace(result="QUEUE_FULL")
    await store.append([record(), late, failed])

    async def found(**wanted: Any) -> list[Record]:
        return [as_put_in(each) for each in await store.page(RecordQuery("p", **wanted), None, 10)]

    assert await found(model_version="projects/p/models/digits/versions/4") == [late]
    assert await found(result="QUEUE_FULL") == [failed]
    assert await found(start=NOW + hour) == [late]
    assert len(await found(end=NOW + hour)) == 2
    assert await found(start=NOW + hour, end=NOW + hour) == []


async def test_records_are_read_on_from_a_number(store: HotRecords) -> None:
    records = await stored(store, 5)
    assert await store.following(records[1].sequence, 2) == records[2:4]
    assert await store.following(records[-1].sequence, 2) == []
    assert await store.last_sequence() == records[-1].sequence
    assert await store.following(0, 9, RecordQuery("q")) == []


async def test_of_large_bodies_only_a_few_are_read_at_once(store: HotRecords) -> None:
    big = b"x" * (7 * 2**20)
    await store.append([record()._replace(request_body=big, body_reason="sample") for _ in range(4)])
    first = await store.following(0, 9, bodies=True)
    assert not isinstance(first, RecordFile)
    assert [len(each.request_body or b"") for each in first] == [len(big)] * 2
    plain = await store.following(0, 9)
    assert not isinstance(plain, RecordFile)
    assert len(plain) == 4


async def test_ids_are_known_in_their_project_only(store: HotRecords) -> None:
    records = await stored(store, 2)
    ids = [each.request_id for each in records]
    assert set(await store.known("p", [*ids, new_id(), "not-an-id"])) == set(ids)
    assert not await store.known("q", ids)


async def test_records_move_into_a_file_all_at_once(store: HotRecords) -> None:
    records = await stored(store, 5)
    moved = file_of(records[:3])
    await store.announce([moved])
    assert await store.following(0, 9) == records

    await store.replace([moved])

    assert await store.following(0, 9) == moved
    assert await store.following(moved.last_sequence, 9) == records[3:]
    assert await store.preceding(RecordQuery("p"), None, 9) == (records[:2:-1], [moved])
    assert (await store.preceding(RecordQuery("p"), moved.first_sequence, 9))[1] == []
    assert await store.files(FileKind.RECORDS, [records[1].request_id]) == [moved]
    assert await store.files(FileKind.BODIES, [records[1].request_id]) == []
    with pytest.raises(RecordNotFound):
        await store.get(records[0].name)
    extent = await store.extent()
    assert extent is not None
    assert (extent.first_sequence, extent.last_sequence) == (records[3].sequence, records[4].sequence)


async def test_what_is_written_together_can_move_in_parts(store: HotRecords) -> None:
    records = await stored(store, 7, deployment="digits")
    middle = file_of(records[2:5])
    await store.announce([middle])
    await store.replace([middle])

    assert (await store.preceding(RecordQuery("p"), None, 9))[0] == [*records[:4:-1], *records[1::-1]]
    assert await store.following(middle.last_sequence, 9) == records[5:]
    assert await store.get(records[0].name) == records[0]
    assert set(await store.known("p", [each.request_id for each in records])) == {
        each.request_id for each in (*records[:2], *records[5:])
    }


async def test_of_a_batch_that_comes_again_with_others_the_others_are_new(store: HotRecords) -> None:
    """Requests overlap in time: what is written later came earlier."""
    first, second, third = record(), record(), record()
    await store.append([first, third])
    await store.append([second])
    await store.append([first, second, third, last := record()])

    assert [as_put_in(each) for each in await store.page(RecordQuery("p"), None, 9)] == [last, second, third, first]


async def test_who_comes_second_moves_nothing(store: HotRecords) -> None:
    records = await stored(store, 3)
    first, second = file_of(records[:2]), file_of(records)
    await store.announce([first])
    await store.announce([second])
    await store.replace([first])

    with pytest.raises(RotationLost):
        await store.replace([second])
    with pytest.raises(RotationLost):
        await store.replace([first])

    assert await store.following(first.last_sequence, 9) == records[2:]


async def test_a_file_that_was_given_up_is_not_used_any_more(store: HotRecords) -> None:
    records = await stored(store, 2)
    late = file_of(records)
    await store.announce([late])
    assert await store.unneeded(3600) == []
    assert await store.unneeded(0) == [late.digest]

    with pytest.raises(RotationLost):
        await store.replace([late])

    await store.forget_file(late.digest)
    assert await store.unneeded(0) == []
    assert await store.following(0, 9) == records


async def test_files_are_let_go_of_by_age_and_kind(store: HotRecords) -> None:
    records = await stored(store, 2)
    both = [file_of(records), file_of(records, FileKind.BODIES)]
    await store.announce(both)
    await store.replace(both)

    assert await store.retire(FileKind.BODIES, NOW) == 0
    assert await store.retire(FileKind.BODIES, NOW + datetime.timedelta(seconds=1)) == 1
    assert await store.unneeded(3600) == [both[1].digest]
    assert await store.following(0, 9) == both[0]


async def test_a_cursor_begins_at_the_newest_and_moves_only_from_where_it_is(store: HotRecords) -> None:
    records = await stored(store, 2)
    assert await store.cursor("events") == records[-1].sequence
    assert not await store.advance("events", 0, 99)
    assert await store.advance("events", records[-1].sequence, 99)
    assert await store.cursor("events") == 99


async def test_numbers_become_visible_in_their_order(postgres_url: str) -> None:
    """Whoever has read up to a number has missed nothing: two processes that append do so one after the other."""
    databases = [Database(postgres_url, "inference", 2) for _ in range(3)]
    stores = [PostgresRecords(database) for database in databases]
    seen: list[int] = []

    async def read() -> None:
        while len(seen) < 600:
            following = await stores[2].following(seen[-1] if seen else 0, 1000)
            assert not isinstance(following, RecordFile)
            seen.extend(each.sequence for each in following)

    async def write(store: HotRecords) -> None:
        for _ in range(30):
            await store.append([record() for _ in range(10)])

    async with asyncio.timeout(30):
        await asyncio.gather(read(), write(stores[0]), write(stores[1]))
    assert len(set(seen)) == 600
    for database in databases:
        await database.close()
