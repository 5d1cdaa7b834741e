"""Jobs and leases, in memory and in PostgreSQL."""

import dataclasses
import datetime
import math

import pytest

from headwater.errors import HeadwaterError
from services.training_scheduler.errors import StaleAttempt, TrainingJobNotFound
from services.training_scheduler.jobs.model import (
    Checkpoint,
    Failure,
    LauncherKind,
    Progress,
    Resources,
    ResultFile,
    State,
    TrainingJob,
    TrainingResult,
)
from services.training_scheduler.store import Store
from tests.contract.training.conftest import Case
from tests.unit.training.jobs import NOW, job, spec

SHORT_S = 0.15


async def add(store: Store, *jobs: TrainingJob) -> list[TrainingJob]:
    async with store.transaction() as tx:
        return [await tx.jobs.add(job) for job in jobs]


async def get(store: Store, job_id: str) -> TrainingJob:
    async with store.transaction() as tx:
        return await tx.jobs.get(job_id)


async def test_a_new_job_comes_back_as_it_was_with_its_place_in_the_queue(store: Store) -> None:
    first, second = await add(store, job(1), job(2))
    assert await get(store, first.id) == first
    assert second.sequence > first.sequence


async def test_every_field_comes_back(store: Store) -> None:
    full = dataclasses.replace(
        job(
            spec=spec(
                parameters={"a": [1.0, None, {"b": "ä"}]}, resources=Resources(0.5, 7, 1), launcher=LauncherKind.RAY
            )
        ),
        display_name="digits",
        state=State.FINISHING,
        outcome=State.FAILED,
        fencing_token=3,
        started_token=2,
        attempt_count=2,
        restart_count=1,
        cancel_requested=True,
        run="projects/default/runs/1",
        progress=Progress(1, 2, 3, 4, {"train/loss": 0.1, "best": math.inf}),
        checkpoint=Checkpoint(1, 30, f"sha256:{'0' * 64}", 123, NOW + datetime.timedelta(microseconds=1)),
        result=TrainingResult((ResultFile("model.onnx", "projects/default/artifacts/0"),), "pytorch", "2", "cnn"),
        model_version="projects/default/models/digits/versions/1",
        failure=Failure("WORKER_FAILED", "no\nmore"),
        start_time=NOW,
        end_time=NOW,
    )
    (added,) = await add(store, full)
    assert await get(store, added.id) == dataclasses.replace(full, sequence=added.sequence)


async def test_a_loss_that_is_no_number_is_kept_as_such(store: Store) -> None:
    (added,) = await add(store, job(progress=Progress(metrics={"train/loss": math.nan})))
    assert math.isnan((await get(store, added.id)).progress.metrics["train/loss"])


async def test_a_job_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(TrainingJobNotFound, match="nowhere"):
        await get(store, "nowhere")


async def test_a_change_raises_the_revision(store: Store) -> None:
    (added,) = await add(store, job())
    async with store.transaction() as tx:
        saved = await tx.jobs.save((await tx.jobs.get(added.id, lock=True)).started(NOW))
    assert saved.revision == added.revision + 1
    assert await get(store, added.id) == saved


async def test_what_raises_changes_nothing(store: Store) -> None:
    (added,) = await add(store, job())

    async def change_and_fail() -> None:
        async with store.transaction() as tx:
            await tx.jobs.save(added.started(NOW))
            await tx.jobs.add(job(2))
            raise HeadwaterError

    with pytest.raises(HeadwaterError):
        await change_and_fail()
    assert await get(store, added.id) == added
    async with store.transaction() as tx:
        assert await tx.jobs.unfinished(10) == [added]


async def test_a_page_is_newest_first_and_of_one_project(store: Store) -> None:
    jobs = await add(store, *(job(number) for number in range(1, 5)), dataclasses.replace(job(5), project="other"))
    async with store.transaction() as tx:
        first = await tx.jobs.page("default", before=None, limit=3)
        rest = await tx.jobs.page("default", before=first[-1].sequence, limit=3)
    assert [*first, *rest] == jobs[3::-1]


async def test_unfinished_are_the_oldest_that_have_not_ended(store: Store) -> None:
    states = (
        State.SUCCEEDED,
        State.PENDING,
        State.RUNNING,
        State.FAILED,
        State.FINISHING,
        State.CANCELLED,
        State.PENDING,
    )
    jobs = await add(store, *(job(number, state=state) for number, state in enumerate(states)))
    async with store.transaction() as tx:
        assert await tx.jobs.unfinished(3) == [jobs[1], jobs[2], jobs[4]]


async def test_one_scheduler_has_a_job_at_a_time_and_tokens_grow(case: Case) -> None:
    """Promise 6."""
    await add(case.store, job())
    async with case.store.transaction() as tx:
        first = await tx.leases.claim("job-1", "a", SHORT_S)
        assert await tx.leases.claim("job-1", "b", 60) is None
        assert await tx.leases.held(["job-1", "job-2"]) == {"job-1"}
    await case.let_pass(SHORT_S + 0.05)
    async with case.store.transaction() as tx:
        assert await tx.leases.held(["job-1"]) == set()
        second = await tx.leases.claim("job-1", "b", 60)
    assert first is not None
    assert second is not None
    assert second > first


async def test_a_lease_that_ran_out_cannot_be_renewed(case: Case) -> None:
    async with case.store.transaction() as tx:
        token = await tx.leases.claim("job-1", "a", SHORT_S)
    assert token is not None
    await case.let_pass(SHORT_S + 0.05)
    with pytest.raises(StaleAttempt):
        async with case.store.transaction() as tx:
            await tx.leases.renew("job-1", token, 60)


async def test_an_answer_is_remembered_with_the_change(store: Store) -> None:
    """Promise 4."""
    async with store.transaction() as tx:
        assert await tx.requests.first_result("CreateTrainingJob", "request", "digest") is None
        await tx.requests.remember("CreateTrainingJob", "request", "digest", "job-1")
    async with store.transaction() as tx:
        assert await tx.requests.first_result("CreateTrainingJob", "request", "digest") == "job-1"
