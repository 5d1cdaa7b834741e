"""The stores of pipelines and jobs, in memory and in PostgreSQL."""

import dataclasses
import datetime
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from chassis.db.engine import Database
from chassis.ids import new_id
from headwater.names import (
    DatasetName,
    DatasetVersionName,
    PipelineName,
    PipelineVersionName,
    PreprocessingJobName,
    ProjectName,
)
from headwater.transforms.model import Definition, Step
from services.preprocessing.jobs.memory import MemoryJobStore
from services.preprocessing.jobs.model import Job, Progress, State
from services.preprocessing.jobs.postgres import PostgresJobStore
from services.preprocessing.jobs.store import JobStore
from services.preprocessing.pipelines.memory import MemoryPipelineStore
from services.preprocessing.pipelines.model import PipelineVersion
from services.preprocessing.pipelines.postgres import PostgresPipelineStore
from services.preprocessing.pipelines.store import PipelineStore

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
PROJECT = ProjectName("default")


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[tuple[PipelineStore, JobStore]]:
    if request.param == "memory":
        yield MemoryPipelineStore(), MemoryJobStore()
        return
    database = Database(request.getfixturevalue("postgres_url"), "preprocessing")
    yield PostgresPipelineStore(database), PostgresJobStore(database)
    await database.close()


@pytest.fixture
def pipelines(stores: tuple[PipelineStore, JobStore]) -> PipelineStore:
    return stores[0]


@pytest.fixture
def jobs(stores: tuple[PipelineStore, JobStore]) -> JobStore:
    return stores[1]


def version(pipeline: str = "prep", number: str = "1.0.0") -> PipelineVersion:
    steps = (Step("a", "image_resize", {"width": 8, "height": 8}, cache=True),)
    definition = Definition(pipeline, "Prep", number, "", steps, {"target_models": ["a", None, 1.5]})
    return PipelineVersion(PipelineVersionName("default", pipeline, number), definition, NOW, "ada")


def job() -> Job:
    return Job(
        PreprocessingJobName("default", new_id()),
        PipelineVersionName("default", "prep", "1.0.0"),
        DatasetVersionName("default", "digits", "v1.0.0"),
        DatasetName("default", "tensors"),
        NOW,
        "ada",
    )


async def test_a_version_reads_back_as_it_was_written(pipelines: PipelineStore) -> None:
    async with pipelines.transaction() as tx:
        assert await pipelines.add_version(tx, version())
        assert await pipelines.get_version(tx, version().name) == version()


async def test_a_version_is_added_once(pipelines: PipelineStore) -> None:
    async with pipelines.transaction() as tx:
        await pipelines.add_version(tx, version())
        other = dataclasses.replace(version(), created_by="bob")
        assert not await pipelines.add_version(tx, other)
        assert await pipelines.get_version(tx, version().name) == version()


async def test_versions_are_listed_newest_first_and_continue_after_a_key(pipelines: PipelineStore) -> None:
    async with pipelines.transaction() as tx:
        for number in ("1.0.0", "1.1.0", "2.0.0"):
            await pipelines.add_version(tx, version(number=number))
        await pipelines.add_version(tx, version("other"))
        first = await pipelines.list_versions(tx, PipelineName("default", "prep"), None, 2)
        rest = await pipelines.list_versions(tx, PipelineName("default", "prep"), (first[-1][0],), 2)
    assert [item.name.version for _, item in (*first, *rest)] == ["2.0.0", "1.1.0", "1.0.0"]


async def test_pipelines_are_listed_by_name_with_their_newest_version(pipelines: PipelineStore) -> None:
    async with pipelines.transaction() as tx:
        for name, number in (("b", "1.0.0"), ("B", "1.0.0"), ("a", "1.0.0"), ("b", "1.1.0")):
            await pipelines.add_version(tx, version(name, number))
        first = await pipelines.list_pipelines(tx, PROJECT, None, 2)
        rest = await pipelines.list_pipelines(tx, PROJECT, (first[-1].name.pipeline,), 2)
    assert [(item.name.pipeline, item.latest_version) for item in (*first, *rest)] == [
        ("B", "1.0.0"),
        ("a", "1.0.0"),
        ("b", "1.1.0"),
    ]


async def test_a_job_reads_back_as_it_was_saved(jobs: JobStore) -> None:
    started = job()
    async with jobs.transaction() as tx:
        await jobs.add(tx, started)
        changed = started.moved(State.RUNNING, started_at=NOW, run="projects/default/runs/1")
        saved = await jobs.save(tx, dataclasses.replace(changed, progress=Progress(4, 3, 2, 100)))
        assert saved.revision == started.revision + 1
        assert await jobs.get(tx, started.name, lock=True) == saved


async def test_a_job_that_is_not_there_is_none(jobs: JobStore) -> None:
    async with jobs.transaction() as tx:
        assert await jobs.get(tx, job().name) is None


async def test_jobs_are_listed_newest_first_and_continue_after_a_key(jobs: JobStore) -> None:
    made = [job() for _ in range(3)]
    async with jobs.transaction() as tx:
        for each in made:
            await jobs.add(tx, each)
        first = await jobs.list(tx, PROJECT, None, 2)
        rest = await jobs.list(tx, PROJECT, (first[-1].name.job,), 2)
    assert [each.name for each in (*first, *rest)] == [each.name for each in reversed(made)]


async def test_jobs_that_have_ended_are_not_unfinished(jobs: JobStore) -> None:
    waiting, running, cancelled = job(), job(), job()
    async with jobs.transaction() as tx:
        for each in (waiting, running, cancelled):
            await jobs.add(tx, each)
        await jobs.save(tx, running.moved(State.RUNNING))
        await jobs.save(tx, cancelled.moved(State.CANCELLED))
        unfinished = await jobs.unfinished(tx, 10)
    assert [each.name for each in unfinished] == [waiting.name, running.name]
