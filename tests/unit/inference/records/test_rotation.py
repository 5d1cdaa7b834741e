"""Records move into files exactly once, wherever the process dies."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import pyarrow.parquet as pq
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.blobs import MemoryBlobs
from chassis.testing.clock import ManualClock
from headwater.names import InferenceRecordName
from services.inference.records import rotation
from services.inference.records.archive import Archive, RecordsMissing
from services.inference.records.columns import SCHEMA, to_records
from services.inference.records.feedback.memory import MemoryFeedback
from services.inference.records.feedback.model import Feedback, Said
from services.inference.records.memory import MemoryRecords
from services.inference.records.model import Record, RecordNotFound, RecordQuery
from services.inference.records.rotation import Rotation, RotationOptions
from services.inference.records.store import FileKind, RecordFile
from services.inference.records.writing import RecordFileWriter
from tests.unit.inference.records.dying import Dying, Killed, Life
from tests.unit.inference.records.records import NOW, record

DAY_S = 86_400.0
OPTIONS = RotationOptions(after_s=3600, rows=7, retention_s=0, body_retention_s=0, interval_s=1)


class Platform:
    """Stores that outlive processes."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.hot = MemoryRecords(self.clock.now)
        self.blobs = MemoryBlobs()
        self.feedback = MemoryFeedback(self.clock.now)
        self.archive = Archive(self.hot, self.blobs)
        self.appended: list[Record] = []

    def rotation(self, options: RotationOptions = OPTIONS, life: Life | None = None) -> Rotation:
        """A process that moves records, with its own life."""
        life = life or Life()
        hot: Any = Dying(self.hot, life)
        blobs: Any = Dying(self.blobs, life)
        return Rotation(hot, self.feedback, blobs, self.clock, options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.blobs.close()

    async def append(self, count: int, **facts: Any) -> None:
        facts = {"request_time": self.clock.now(), **facts}
        records = [record(**facts) for _ in range(count)]
        await self.archive.append(records)
        self.appended += records

    async def read(self, *, bodies: bool = True) -> Sequence[Record]:
        """All records, as a reader of the whole gets them."""
        last = await self.archive.last_sequence()
        batches = [batch async for batch in self.archive.scan(None, 0, last, bodies=bodies)]
        return [each._replace(sequence=0) for batch in batches for each in to_records(batch)]


async def stored(platform: Platform) -> set[str]:
    """The digests of what is in the object storage."""
    found = set()
    async for entries in platform.blobs._store.list():
        found |= {entry["path"] for entry in entries}
    return found


@pytest_asyncio.fixture
async def platform() -> AsyncIterator[Platform]:
    """Empty stores."""
    async with Platform() as platform:
        yield platform


async def test_records_move_when_the_oldest_is_old(platform: Platform) -> None:
    await platform.append(3)
    platform.clock.advance(3599)
    assert await platform.rotation().rotate() == 0
    platform.clock.advance(1)
    assert await platform.rotation().rotate() == 3

    assert await platform.hot.extent() is None
    assert await platform.read() == platform.appended
    assert await platform.rotation().rotate() == 0


async def test_records_move_when_there_are_many_and_no_file_has_more(platform: Platform) -> None:
    await platform.append(17)
    moved = [await platform.rotation().rotate() for _ in range(3)]

    assert moved == [7, 7, 0]
    assert await platform.read() == platform.appended


async def test_what_moves_is_found_with_its_bodies_as_before(platform: Platform) -> None:
    await platform.append(2, request_body=b"asked\0", response_body=None, body_reason="sample", redacted='["x.0"]')
    await platform.append(3, project="q")
    platform.clock.advance(DAY_S)
    await platform.rotation().rotate()
    await platform.append(1)

    mine = [each for each in platform.appended if each.project == "p"]
    for each in mine:
        assert (await platform.archive.get(each.name))._replace(sequence=0) == each
        with pytest.raises(RecordNotFound):
            await platform.archive.get(InferenceRecordName("q", each.request_id))
    assert await platform.read() == platform.appended
    page = await platform.archive.page(RecordQuery("p"), None, 2)
    rest = await platform.archive.page(RecordQuery("p"), page[-1].sequence, 9)
    assert [each.request_id for each in (*page, *rest)] == [each.request_id for each in mine[::-1]]
    assert set(await platform.archive.known("p", [each.request_id for each in platform.appended])) == {
        each.request_id for each in mine
    }
    assert not await platform.archive.page(RecordQuery("p", start=platform.clock.now()), mine[-1].sequence or None, 0)


async def test_large_bodies_are_moved_and_read_a_few_at_a_time(platform: Platform) -> None:
    options = dataclasses.replace(OPTIONS, rows=100)
    big = {"request_body": b"x" * 2**22, "request_bytes": 2**22, "response_bytes": 0, "body_reason": "sample"}
    for facts in ({}, big, big, big, big, big, {}):
        await platform.append(1, **facts)
    platform.clock.advance(DAY_S)
    assert await platform.rotation(options).rotate() == 7

    last = await platform.archive.last_sequence()
    sizes = [batch.num_rows async for batch in platform.archive.scan(None, 0, last, bodies=True)]
    assert max(sizes) < 7
    assert sum(sizes) == 7
    assert await platform.read() == platform.appended
    for each in platform.appended:
        assert (await platform.archive.get(each.name))._replace(sequence=0) == each


async def test_a_reader_sees_each_record_once_while_they_move(platform: Platform) -> None:
    await platform.append(20)
    seen: list[Record] = []
    last = await platform.archive.last_sequence()
    async for batch in platform.archive.scan(None, 0, last):
        seen += to_records(batch)
        await platform.rotation().rotate()
    after: list[Record] = []
    position = 5
    while position < last:
        async for batch in platform.archive.scan(None, position, last):
            after += to_records(batch)
            position = after[-1].sequence
            await platform.rotation().rotate()
            break
    assert [each.request_id for each in seen] == [each.request_id for each in platform.appended]
    assert [each.request_id for each in after] == [each.request_id for each in platform.appended[5:]]


async def test_who_reads_on_reads_nothing_of_a_file_before_that(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else catching up from a file of a million records would read it two hundred times from its beginning."""
    monkeypatch.setattr(rotation, "BATCH_ROWS", 3)  # of which there is a row group each
    await platform.append(7)
    await platform.rotation().rotate()
    file = await platform.hot.following(0, 1)
    assert isinstance(file, RecordFile)
    path = await platform.blobs.local_path(file.digest)
    with pq.ParquetFile(path) as parquet:
        second = parquet.metadata.row_group(1).column(0)
        end = second.dictionary_page_offset or second.data_page_offset
    path.chmod(0o600)
    with path.open("r+b") as content:
        content.seek(4)  # behind the magic number
        content.write(bytes(end - 4))

    last = await platform.archive.last_sequence()
    after = last - 4
    scanned = [each async for batch in platform.archive.scan(None, after, last) for each in to_records(batch)]
    followed = [*await platform.archive.following(after), *await platform.archive.following(after + 3)]
    expected = [each.request_id for each in platform.appended[3:]]
    assert [each.request_id for each in scanned] == [each.request_id for each in followed] == expected
    with pytest.raises(OSError, match=r"Couldn't deserialize|page header|thrift|corrupt"):
        await platform.archive.following(0)


async def test_a_file_without_the_records_that_it_is_listed_with_says_so(platform: Platform) -> None:
    await platform.append(7)
    records = await platform.hot.following(0, 7)
    assert not isinstance(records, RecordFile)
    writer = RecordFileWriter(FileKind.RECORDS, SCHEMA, platform.blobs)
    writer.add(records[:5])
    listed = dataclasses.replace(writer.seal(), last_sequence=records[-1].sequence, row_count=7)
    await platform.hot.announce([listed])
    await writer.publish()
    await platform.hot.replace([listed])

    assert [each.sequence for each in await platform.archive.following(0)] == [each.sequence for each in records[:5]]
    with pytest.raises(RecordsMissing, match=f"does not hold .*{listed.digest}"):
        await platform.archive.following(records[4].sequence)


async def test_killed_at_any_step_nothing_is_lost_and_nothing_doubled() -> None:
    """And when another process has done it, nothing is left behind in the object storage."""
    life = Life()
    async with Platform() as whole:
        await whole.append(9, request_body=b"b", body_reason="sample")
        await whole.rotation(life=life).rotate()
    assert life.taken > 10

    for steps in range(life.taken):
        async with Platform() as platform:
            await platform.append(9, request_body=b"b", body_reason="sample")
            with pytest.raises(Killed):
                await platform.rotation(life=Life(steps)).rotate()
            assert await platform.read() == platform.appended

            await platform.rotation().rotate()
            assert await platform.read() == platform.appended
            platform.clock.advance(DAY_S)
            await platform.rotation().let_go()
            assert await platform.read() == platform.appended
            assert len(await stored(platform)) == 2, "the records and their bodies"


Step = st.tuples(st.sampled_from(["append", "rotate", "die", "wait", "let go"]), st.integers(0, 40))


@settings(max_examples=25, deadline=None)
@given(st.lists(Step, max_size=14))
def test_whatever_happens_all_records_are_there_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        async with Platform() as platform:
            for step, number in steps:
                match step:
                    case "append":
                        await platform.append(number % 12, request_body=b"x" * number or None, body_reason="sample")
                    case "rotate":
                        await platform.rotation().rotate()
                    case "die":
                        with contextlib.suppress(Killed):
                            await platform.rotation(life=Life(number)).rotate()
                    case "wait":
                        platform.clock.advance(number * 600)
                    case "let go":
                        await platform.rotation().let_go()
            assert await platform.read() == platform.appended

    asyncio.run(run())


async def test_a_batch_whose_answer_was_lost_is_not_kept_twice(platform: Platform) -> None:
    """Not even when it was moved into a file before it came again."""
    batch = [record() for _ in range(8)]
    hot: Any = Dying(platform.hot, Life(1))
    platform.archive._hot = hot  # the answer to its first call is lost
    with pytest.raises(Killed):
        await platform.archive.append(batch)
    platform.archive._hot = platform.hot
    await platform.rotation().rotate()

    await platform.archive.append([*batch, extra := record()])

    assert await platform.read() == [*batch, extra]


async def test_old_files_go_bodies_first_and_feedback_with_the_records(platform: Platform) -> None:
    options = dataclasses.replace(OPTIONS, retention_s=10 * DAY_S, body_retention_s=DAY_S)
    await platform.append(2, request_body=b"asked", body_reason="sample")
    first = platform.appended[0]
    await platform.feedback.add([Feedback(first.request_id, "f", "p", Said(score=1.0), "ada")])
    platform.clock.advance(3600)
    await platform.rotation(options).rotate()

    platform.clock.advance(2 * DAY_S)
    await platform.rotation(options).let_go()
    assert (await platform.archive.get(first.name)).request_body is None
    assert await platform.feedback.of("p", [first.request_id])

    platform.clock.advance(9 * DAY_S)
    await platform.rotation(options).let_go()
    assert await platform.read() == []
    assert await platform.feedback.of("p", [first.request_id]) == {}
    with pytest.raises(RecordNotFound):
        await platform.archive.get(first.name)
