"""What both stores of conversion jobs promise."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chassis.db.engine import Database
from chassis.db.requests import RequestIdReused
from chassis.ids import new_id
from headwater.names import ConversionJobName, ModelVersionName
from services.inference.conversions.errors import ConversionNotFound, ConversionOver
from services.inference.conversions.evidence import BatchTime, Candidate, Difference, Evidence
from services.inference.conversions.memory import MemoryConversions
from services.inference.conversions.model import MAX_ATTEMPTS, Conversion, Gate, Job, Made, Plan, State, Target, Tuning
from services.inference.conversions.postgres import PostgresConversions
from services.inference.conversions.store import ConversionStore, End
from services.inference.engines.options import EngineOptions
from services.inference.tensors.model import TensorSpec

X = (TensorSpec("x", "FP32", (-1, 4)),)
SOURCE = ModelVersionName("p", "digits", "1")
PLAN = Plan(SOURCE, Conversion(Target.ONNX), engine=EngineOptions(architecture="mlp", inputs=X), gate=Gate(0.5, 0.25))
EVIDENCE = Evidence(
    "safetensors",
    "sha256:" + "0" * 64,
    1234,
    from_parity_record=True,
    sample_count=2,
    candidates=(
        Candidate("onnx, 1 thread", "onnx", 1, 99, 0.5, "", (Difference("y", 8, 0, None, 0.5),), 1.0, 1, 2, 3, 4, 5),
    ),
    chosen="onnx, 1 thread",
    speedup=4.0,
    max_batch_size=8,
    batch_times=(BatchTime(1, 0.5), BatchTime(8, 1.0)),
    versions={"torch": "2"},
    cores=2,
    inputs=X,
    outputs=X,
)
LONG_S = 60.0


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ConversionStore]:
    if request.param == "memory":
        yield MemoryConversions()
        return
    database = Database(request.getfixturevalue("postgres_url"), "inference", 4)
    yield PostgresConversions(database)
    await database.close()


async def insert(store: ConversionStore, plan: Plan = PLAN) -> Job:
    return await store.insert(new_id(), plan, "tester", "", "")


async def test_a_job_comes_back_as_it_was_put_in(store: ConversionStore) -> None:
    """P-28, P-29: with everything that was asked for."""
    for plan in (PLAN, Plan(SOURCE, tuning=Tuning(2, 16, 1.5, 1.2, True), gate=Gate(min_top1_agreement=0.9))):
        job = await insert(store, plan)
        assert (job.plan, job.state, job.created_by, job.attempts) == (plan, State.PENDING, "tester", 0)
        assert await store.get(job.name) == job


async def test_a_request_that_comes_twice_makes_one_job(store: ConversionStore) -> None:
    """Promise 4."""
    first = await store.insert(new_id(), PLAN, "tester", "r1", "digest")
    assert await store.insert(new_id(), PLAN, "tester", "r1", "digest") == first
    with pytest.raises(RequestIdReused):
        await store.insert(new_id(), PLAN, "tester", "r1", "other")


async def test_jobs_are_claimed_oldest_first_and_each_by_one(store: ConversionStore) -> None:
    jobs = [await insert(store) for _ in range(3)]
    claimed = await asyncio.gather(*(store.claim(LONG_S) for _ in range(4)))
    found = [each.job for each in claimed if each is not None]
    assert sorted(job.uid for job in found) == [job.uid for job in jobs]
    assert {(job.state, job.attempts) for job in found} == {(State.RUNNING, 1)}
    assert all(job.start_time is not None for job in found)
    assert await store.claim(LONG_S) is None


async def test_what_was_found_is_kept_with_the_end(store: ConversionStore) -> None:
    await insert(store)
    claimed = await store.claim(LONG_S)
    assert claimed is not None
    made = Made({"model.onnx": "projects/p/artifacts/1"}, "model.onnx", "onnx", {"a": "b"}, EVIDENCE)
    assert await store.keep(claimed.job.uid, claimed.token, made)
    assert await store.finish(claimed.job.uid, claimed.token, End(State.SUCCEEDED, EVIDENCE, "result"))
    job = await store.get(claimed.job.name)
    assert (job.state, job.evidence, job.made, job.result) == (State.SUCCEEDED, EVIDENCE, made, "result")
    assert job.end_time is not None
    assert await store.claim(0.0) is None


async def test_a_job_ends_once(store: ConversionStore) -> None:
    """Promise 6: whoever comes first; what comes later changes nothing."""
    await insert(store)
    claimed = await store.claim(LONG_S)
    assert claimed is not None
    uid, token = claimed.job.uid, claimed.token
    cancelled = await store.cancel(claimed.job.name)
    assert cancelled.state is State.CANCELLED
    assert not await store.finish(uid, token, End(State.SUCCEEDED, EVIDENCE))
    assert not await store.renew(uid, token, LONG_S)
    assert not await store.keep(uid, token, Made({}, "", "", {}, EVIDENCE))
    await store.release(uid, token)
    with pytest.raises(ConversionOver):
        await store.cancel(claimed.job.name)
    assert await store.get(claimed.job.name) == cancelled


async def test_a_job_whose_lease_has_run_out_is_taken_over(store: ConversionStore) -> None:
    """Habit 9: the first one's result is dropped."""
    await insert(store)
    first = await store.claim(0.0)
    second = await store.claim(LONG_S)
    assert first is not None
    assert second is not None
    assert (second.job.uid, second.job.attempts) == (first.job.uid, 2)
    assert not await store.finish(first.job.uid, first.token, End(State.SUCCEEDED))
    assert not await store.renew(first.job.uid, first.token, LONG_S)
    assert await store.renew(second.job.uid, second.token, LONG_S)
    assert await store.finish(second.job.uid, second.token, End(State.FAILED, failure_reason="X", failure="x"))


async def test_a_job_that_takes_the_service_along_is_not_begun_for_ever(store: ConversionStore) -> None:
    job = await insert(store)
    for _ in range(MAX_ATTEMPTS):
        assert await store.claim(0.0) is not None
    assert await store.claim(0.0) is None
    lost = await store.get(job.name)
    assert (lost.state, lost.failure_reason) == (State.FAILED, "CONVERSION_LOST")


async def test_a_job_that_is_given_back_counts_as_not_begun(store: ConversionStore) -> None:
    job = await insert(store)
    for _ in range(MAX_ATTEMPTS + 1):
        claimed = await store.claim(LONG_S)
        assert claimed is not None
        await store.release(claimed.job.uid, claimed.token)
    assert await store.get(job.name) == job


async def test_jobs_are_listed_newest_first(store: ConversionStore) -> None:
    jobs = [await insert(store) for _ in range(3)]
    await insert(store, Plan(ModelVersionName("other", "digits", "1"), Conversion(Target.ONNX)))
    newest = await store.page("p", "", 2)
    older = await store.page("p", newest[-1].uid, 2)
    assert [each.uid for each in [*newest, *older]] == [each.uid for each in reversed(jobs)]


async def test_one_that_never_was_is_not_found(store: ConversionStore) -> None:
    job = await insert(store)
    for name in (ConversionJobName("p", "x"), ConversionJobName("other", job.uid), ConversionJobName("p", new_id())):
        with pytest.raises(ConversionNotFound):
            await store.get(name)
        with pytest.raises(ConversionNotFound):
            await store.cancel(name)
