"""Records: readable at once, written by the batch, never dropped silently."""

import asyncio
import contextlib
import dataclasses
import datetime
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from chassis.deadline import remaining_s, set_remaining_s
from chassis.ids import new_id
from headwater.errors import DeadlineExceeded, Unavailable
from headwater.names import InferenceRecordName
from services.inference.errors import RecordsBehind
from services.inference.records.memory import MemoryRecords
from services.inference.records.model import Answered, Record, RecordNotFound, RecordQuery, Served
from services.inference.records.recorder import NotRecording, Recorder
from services.inference.records.recording import Recording
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


@pytest.mark.parametrize("max_bytes", [2 * INPUT.array.nbytes + OUTPUT.array.nbytes, 2**30])
async def test_much_memory_is_hashed_before_the_interval_ends(max_bytes: int) -> None:
    buffer = recorder(MemoryRecords(), flush_interval_s=60, max_bytes=max_bytes)
    task = asyncio.create_task(buffer.run())
    await asyncio.sleep(0)
    large = Tensor("x", "FP32", np.zeros((2**20, 2), np.float32))
    new = answered() if max_bytes < 2**20 else answered()._replace(inputs=[large])
    buffer.add(new)
    assert buffer.buffered_bytes == new.size_bytes
    await eventually(lambda: buffer.buffered_bytes == 0)
    assert buffer.holds(new.request_id)
    assert buffer.written == 0
    task.cancel()


async def test_records_are_written_however_fast_large_tensors_come() -> None:
    buffer = recorder(MemoryRecords(), flush_interval_s=0.05, max_records=10**9, max_bytes=2**50)
    large = Tensor("x", "FP32", np.zeros((2**20, 2), np.float32))
    writing = asyncio.create_task(buffer.run())

    async def answer_without_end() -> None:
        while True:
            buffer.add(answered()._replace(inputs=[large]))
            await asyncio.sleep(0.001)

    answering = asyncio.create_task(answer_without_end())
    await eventually(lambda: buffer.written > 0)
    answering.cancel()
    writing.cancel()


async def test_a_full_buffer_does_not_wait_for_the_interval() -> None:
    buffer = recorder(MemoryRecords(), flush_interval_s=60, max_records=1)
    buffer.add(answered())
    task = asyncio.create_task(buffer.run())
    await eventually(lambda: buffer.written == 1)
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


def failed(reason: str = "ENGINE_FAILED") -> Answered:
    return answered()._replace(outputs=[], result=reason)


async def test_a_failure_is_recorded_with_its_reason_and_what_was_asked() -> None:
    """M-84: resultCode; there is no answer."""
    buffer = recorder(MemoryRecords())
    new = failed()
    buffer.add_failure(new)
    await buffer.flush()

    found = await buffer.find(name_of(new))
    assert (found.result, found.request_digest, found.response_digest) == ("ENGINE_FAILED", digest([INPUT]), "")
    assert (found.request_bytes, found.response_bytes, found.outputs) == (32, 0, "[]")


async def test_a_refusal_for_want_of_time_costs_no_digest() -> None:
    buffer = recorder(MemoryRecords())
    new = failed("QUEUE_FULL")
    buffer.add_failure(new)
    assert buffer.buffered_bytes == 0
    assert (await buffer.find(name_of(new))).request_digest == ""


async def test_failures_leave_half_of_the_buffer_to_answers() -> None:
    """A flood of refusals does not make RECORDS_BEHIND of it."""
    store = MemoryRecords()
    buffer = recorder(store, max_records=10)
    store.away = True
    for _ in range(20):
        buffer.add_failure(failed())
    assert (buffer.buffered, buffer.failures_left_out) == (5, 15)
    buffer.admit()
    buffer.add(answered())

    store.away = False
    await buffer.flush()
    assert len(await store.page(RecordQuery("p"), None, 99)) == 6


async def test_observers_and_listeners_are_told_off_the_path_and_cannot_break_it() -> None:
    seen: list[object] = []
    threads: set[str] = set()

    def observe(batch: Sequence[Answered]) -> None:
        threads.add(threading.current_thread().name)
        seen.extend(batch)

    def listen(records: Sequence[Record]) -> None:
        threads.add(threading.current_thread().name)
        seen.extend(record.request_id for record in records)
        raise RuntimeError("on purpose")

    store = MemoryRecords()
    buffer = Recorder(
        store, flush_interval_s=0.01, max_records=9, max_bytes=2**20, observers=[observe], listeners=[listen]
    )
    news = [answered(), failed()]
    for new in news:
        buffer.add(new)
    await buffer.flush()
    await buffer.flush()

    assert seen == [*(new.request_id for new in news), *news], "once each"
    assert threading.main_thread().name not in threads
    assert buffer.written == 2


async def test_the_memory_of_bodies_is_bounded_until_they_are_written() -> None:
    store = MemoryRecords()
    buffer = recorder(store, max_bytes=200)
    served = dataclasses.replace(answered().served, recording=Recording(sample_rate=1.0))
    store.away = True
    buffer.add(answered()._replace(served=served))
    with pytest.raises(Unavailable):
        await buffer.flush()
    assert buffer.buffered_bytes > 100, "the tensors are hashed, their copies wait"

    store.away = False
    await buffer.flush()
    assert buffer.buffered_bytes == 0


async def test_nobody_is_told_of_an_answer_twice_because_somebody_goes_away_meanwhile() -> None:
    """Who lists records, and gives up while they are hashed, changes nothing for whoever listens to them."""
    begun, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    def listen(records: Sequence[Record]) -> None:
        begun.set()
        go_on.wait(5)
        told.extend(record.request_id for record in records)

    buffer = Recorder(MemoryRecords(), flush_interval_s=0.01, max_records=100, max_bytes=2**20, listeners=[listen])
    new = answered()
    buffer.add(new)
    listing = asyncio.create_task(buffer.page(RecordQuery("p"), None, 10))
    await asyncio.to_thread(begun.wait, 5)
    listing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await listing
    go_on.set()
    await buffer.flush()
    assert told == [new.request_id]
    assert (buffer.buffered, buffer.written) == (0, 1)


async def test_a_caller_in_a_hurry_does_not_make_the_process_look_as_if_it_could_not_write() -> None:
    class Punctual(MemoryRecords):
        async def append(self, records: Sequence[Record]) -> None:
            if (remaining_s() or 0) < 0:  # as transactions do
                raise DeadlineExceeded()
            await super().append(records)

    buffer = recorder(Punctual())
    buffer.add(answered())
    set_remaining_s(-1)
    await buffer.page(RecordQuery("p"), None, 10)
    await buffer.check()


async def test_what_no_record_can_be_made_of_holds_up_no_other() -> None:
    """It is recorded without its tensors: that it was asked, and how that ended, is known."""
    store = MemoryRecords()
    buffer = recorder(store)
    odd, ordinary = answered()._replace(inputs=[Tensor("x", "BYTES", np.array(["no bytes"], object))]), answered()
    with pytest.raises(TypeError):
        odd.to_record()
    buffer.add(odd)
    buffer.add(ordinary)
    await buffer.flush()
    assert (await store.get(name_of(ordinary))).request_digest
    found = await store.get(name_of(odd))
    assert (found.request_digest, found.rows, found.result) == ("", odd.rows, "OK")
    assert buffer.buffered_bytes == 0


async def test_ids_are_known_wherever_their_records_are() -> None:
    buffer = recorder(MemoryRecords())
    written, hashed, new = answered(), answered(), answered()
    buffer.add(written)
    await buffer.flush()
    buffer.add(hashed)
    await buffer._hash()
    buffer.add(new)

    ids = [each.request_id for each in (written, hashed, new)]
    assert set(await buffer.known("p", [*ids, new_id()])) == set(ids)
    assert not await buffer.known("q", ids)


async def test_what_postgresql_cannot_hold_does_not_stop_the_records_after_it() -> None:
    """A client's own id may be anything that JSON can say."""
    odd = answered()._replace(client_request_id="a\0b\ud800", inputs=[Tensor("\ud800", "FP32", INPUT.array)])
    record = odd.to_record()
    assert record.client_request_id == "a\ufffdb?"
    for text in (record.inputs, record.client_request_id):
        assert "\0" not in text.encode().decode()
