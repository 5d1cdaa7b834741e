"""Records: readable at once, written by the batch, never dropped silently."""

import asyncio
import datetime

import numpy as np
import pytest

from chassis.ids import new_id
from headwater.errors import Unavailable
from headwater.names import InferenceRecordName
from services.inference.errors import RecordsBehind
from services.inference.records.memory import MemoryRecords
from services.inference.records.model import Answered, RecordNotFound, RecordQuery, Served
from services.inference.records.recorder import NotRecording, Recorder
from services.inference.tensors.digest import digest
from services.inference.tensors.model import Tensor
from tests.unit.inference.waiting import eventually

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
INPUT = Tensor("x", "FP32", np.ones((2, 4), np.float32))
OUTPUT = Tensor("y", "FP32", np.zeros((2, 4), np.float32))


def answered(project: str = "p") -> Answered:
    served = Served(project, "digits", f"projects/{project}/models/digits/versions/3", "sha256:" + "0" * 64)
    return Answered(new_id(), served, "tester", "mine", NOW, 0.0015, 4, 2, [INPUT], [OUTPUT])


def name_of(new: Answered) -> InferenceRecordName:
    return InferenceRecordName(new.served.project, new.request_id)


def recorder(store: MemoryRecords, **changes: float) -> Recorder:
    values = {"flush_interval_s": 0.01, "max_records": 100, "max_bytes": 2**20, **changes}
    return Recorder(
        store,
        flush_interval_s=values["flush_interval_s"],
        max_records=int(values["max_records"]),
        max_bytes=int(values["max_bytes"]),
    )


async def test_a_record_can_be_read_before_it_is_written() -> None:
    buffer = recorder(MemoryRecords())
    new = answered()
    buffer.add(new)

    found = await buffer.find(name_of(new))

    assert found.request_digest == digest([INPUT])
    assert found.response_digest == digest([OUTPUT])
    assert buffer.written == 0


async def test_a_record_is_written_within_the_interval() -> None:
    store = MemoryRecords()
    buffer = recorder(store)
    task = asyncio.create_task(buffer.run())
    new = answered()
    buffer.add(new)
    await eventually(lambda: buffer.buffered == 0)

    assert (await store.get(name_of(new))).response_digest == digest([OUTPUT])
    assert await buffer.find(name_of(new)) == await store.get(name_of(new))
    assert (buffer.written, buffer.buffered_bytes) == (1, 0)
    task.cancel()


async def test_a_record_of_another_project_is_not_found_in_the_buffer() -> None:
    buffer = recorder(MemoryRecords())
    new = answered("p")
    buffer.add(new)

    for _ in range(2):
        with pytest.raises(RecordNotFound):
            await buffer.find(InferenceRecordName("q", new.request_id))
        await buffer.flush()


async def test_what_was_answered_is_listed_at_once() -> None:
    """Promise 3."""
    buffer = recorder(MemoryRecords())
    news = [answered() for _ in range(3)]
    for new in news:
        buffer.add(new)

    page = await buffer.page(RecordQuery("p"), None, 10)

    assert [record.request_id for record in page] == [new.request_id for new in reversed(news)]


async def test_while_the_store_is_away_nothing_is_lost_and_readiness_says_so() -> None:
    store = MemoryRecords()
    buffer = recorder(store)
    await buffer.check()
    store.away = True
    new = answered()
    buffer.add(new)

    with pytest.raises(Unavailable):
        await buffer.flush()

    with pytest.raises(NotRecording):
        await buffer.check()
    buffer.admit()
    assert (await buffer.find(name_of(new))).request_id == new.request_id
    assert buffer.buffered_bytes == 0, "the tensors are hashed all the same"

    store.away = False
    await buffer.flush()
    await buffer.check()
    assert (await store.get(name_of(new))).rows == 2


async def test_a_full_buffer_refuses_further_answers_until_the_store_is_back() -> None:
    """Promise 8: none goes unrecorded."""
    store = MemoryRecords()
    buffer = recorder(store, max_records=3)
    store.away = True
    for _ in range(3):
        buffer.admit()
        buffer.add(answered())

    with pytest.raises(RecordsBehind) as refused:
        buffer.admit()
    assert refused.value.retry_after_ms
    with pytest.raises(NotRecording):
        await buffer.check()

    store.away = False
    await buffer.flush()
    buffer.admit()
    assert len(await store.page(RecordQuery("p"), None, 10)) == 3


async def test_the_memory_of_tensors_is_bounded() -> None:
    buffer = recorder(MemoryRecords(), max_bytes=INPUT.array.nbytes)
    buffer.add(answered())
    with pytest.raises(RecordsBehind):
        buffer.admit()
    await buffer.flush()
    buffer.admit()


async def test_much_memory_is_hashed_before_the_interval_ends() -> None:
    buffer = recorder(MemoryRecords(), flush_interval_s=60, max_bytes=64)
    task = asyncio.create_task(buffer.run())
    await asyncio.sleep(0)
    buffer.add(answered())
    await eventually(lambda: buffer.buffered == 0)
    task.cancel()


async def test_what_is_added_during_a_flush_is_kept_for_the_next() -> None:
    buffer = recorder(MemoryRecords())
    for _ in range(50):
        buffer.add(answered())
    flush = asyncio.create_task(buffer.flush())
    await asyncio.sleep(0)
    late = answered()
    buffer.add(late)
    await flush

    assert (await buffer.find(name_of(late))).request_id == late.request_id
    await buffer.flush()
    assert buffer.written == 51


async def test_closing_writes_what_is_left() -> None:
    store = MemoryRecords()
    buffer = recorder(store)
    store.away = True
    new = answered()
    buffer.add(new)
    closing = asyncio.create_task(buffer.close())
    await asyncio.sleep(0.05)
    store.away = False
    await closing

    assert (await store.get(name_of(new))).rows == 2
