"""Preprocessing jobs over real services: rows in by Flight, rows out by Flight, lineage in the registry."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import pytest_asyncio
import redis.asyncio
from google.protobuf import json_format
from PIL import Image

from chassis.auth import Role
from chassis.rpc.client import channel
from chassis.settings import ServiceSettings
from chassis.testing import StartService
from headwater import cli, datasets, pipelines
from headwater.client import Connection
from headwater.errors import HeadwaterError
from headwater.names import DatasetName
from headwater.preprocessing.v1 import jobs_pb2, jobs_pb2_grpc
from headwater.trace import upstream
from headwater.transforms.engine import ENGINE_VERSION
from tests.platform import Platform, start

State = jobs_pb2.PreprocessingJob.State
EXAMPLE = Path("docs/examples/digits/prep.json").read_text()


def images(count: int, seed: int = 0) -> pa.Table:
    generator = np.random.default_rng(seed)

    def png() -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(generator.integers(0, 255, (8, 8), dtype=np.uint8)).save(buffer, format="PNG")
        return buffer.getvalue()

    return pa.table(
        {
            "image": [png() for _ in range(count)],
            "label": [str(number % 10) for number in range(count)],
            "path": [f"{number:04}.png" for number in range(count)],
        },
        schema=pa.schema([("image", pa.binary()), ("label", pa.string()), ("path", pa.string())]),
    )


@pytest_asyncio.fixture
async def platform(start_platform: Any) -> Platform:
    started: Platform = await start_platform("registry", "dataset", "preprocessing")
    return started


@pytest.fixture
def connection(platform: Platform) -> Any:
    with platform.connect(Role.WRITER) as connection:
        yield connection


def push(connection: Connection, **splits: pa.Table) -> str:
    return datasets.push(connection, "digits", datasets.Tables(splits)).version.name


def apply(connection: Connection, dataset_version: str, document: str = EXAMPLE) -> jobs_pb2.PreprocessingJob:
    pipeline = pipelines.create(connection, document)
    job = pipelines.apply(connection, pipeline.name, dataset_version, DatasetName("default", "tensors"))
    *_, last = pipelines.watch(connection, job.name)
    return last


async def test_a_version_of_images_becomes_a_version_of_tensors(connection: Connection) -> None:
    version = await asyncio.to_thread(push, connection, train=images(30), test=images(5, seed=1))
    job = await asyncio.to_thread(apply, connection, version)
    assert State.Name(job.state) == "STATE_SUCCEEDED", job.failure
    assert job.output_created
    rows = await asyncio.to_thread(lambda: datasets.reader(connection, job.output_version, "test").read_all())
    assert rows.schema.field("tensor").type == pa.list_(pa.float32(), 256)
    assert rows.schema.field("tensor").metadata[b"headwater.shape"] == b"[1, 16, 16]"
    assert rows.column("path").to_pylist() == [f"{number:04}.png" for number in range(5)]


async def test_the_second_time_it_comes_from_the_cache_and_changes_nothing(connection: Connection) -> None:
    """R-45, R-46."""
    version = await asyncio.to_thread(push, connection, train=images(30))
    first = await asyncio.to_thread(apply, connection, version)
    second = await asyncio.to_thread(apply, connection, version)
    assert (first.cached_chunk_count, second.cached_chunk_count) == (0, second.chunk_count)
    assert second.output_version == first.output_version
    assert not second.output_created


@pytest.mark.parametrize("harm", ["flush", "garbage"])
async def test_a_cache_that_is_lost_or_wrong_changes_nothing_but_time(
    connection: Connection, platform: Platform, redis_url: str, harm: str
) -> None:
    """Promise 7."""
    version = await asyncio.to_thread(push, connection, train=images(30))
    first = await asyncio.to_thread(apply, connection, version)
    await _empty_the_local_tier(platform)
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        keys = await client.keys("*")
        if harm == "flush":
            await client.flushall()
        for key in keys if harm == "garbage" else []:
            await client.set(key, b"garbage")
    again = await asyncio.to_thread(apply, connection, version)
    assert again.cached_chunk_count == 0
    assert again.output_version == first.output_version


async def _empty_the_local_tier(platform: Platform) -> None:
    token = platform.token_for(Role.ADMIN)
    async with channel(
        platform.services["preprocessing"].address, token=lambda: token, settings=ServiceSettings()
    ) as administrator:
        await jobs_pb2_grpc.CacheServiceStub(administrator).ClearCache(jobs_pb2.ClearCacheRequest())


async def test_lineage_leads_from_the_result_to_the_rows_and_the_pipeline(connection: Connection) -> None:
    """R-47: twice applied, once recorded as the origin."""
    version = await asyncio.to_thread(push, connection, train=images(3))
    job = await asyncio.to_thread(apply, connection, version)
    await asyncio.to_thread(apply, connection, version)
    lineage = await asyncio.to_thread(upstream, connection, job.output_version)
    edges = {(edge.first_name, edge.second_name) for edge in lineage.connections}
    assert edges == {(job.run, job.output_version), (version, job.run), (job.pipeline_version, job.run)}


async def test_the_result_says_what_was_done_to_what(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its definition is a Dataflow, of which the same job makes no second one and another pipeline another."""

    def story() -> str:
        version = push(connection, train=images(3))
        job = apply(connection, version)
        made = datasets.get_version(connection, job.output_version)
        flow = made.definition.dataflow
        assert list(flow.inputs) == list(made.derived_from) == [version, job.pipeline_version]
        spec = json.loads(flow.spec_json)
        assert (spec["format"], "checkpoint" in spec) == ("headwater.preprocessing/1", False)
        assert spec["engine"] == ENGINE_VERSION
        steps = pipelines.create(connection, EXAMPLE).steps  # the version that is there
        assert spec["steps"][-len(steps) :] == [
            {"step_type": step.step_type, "config": json_format.MessageToDict(step.config)} for step in steps
        ]
        assert spec["digest"].startswith("sha256:")

        renamed = apply(connection, version, json.dumps({**json.loads(EXAMPLE), "version": "1.0.1"}))
        other = datasets.get_version(connection, renamed.output_version)
        assert (renamed.output_created, other.digest) == (True, made.digest)
        assert json.loads(other.definition.dataflow.spec_json) == spec
        assert other.definition.dataflow.inputs[1] == renamed.pipeline_version
        return made.name

    made = await asyncio.to_thread(story)
    monkeypatch.setenv("HEADWATER_DATASET_ADDRESS", connection.endpoints.dataset)
    monkeypatch.setenv("HEADWATER_TOKEN", connection.token)
    with pytest.raises(SystemExit) as end:
        await asyncio.to_thread(cli.main, ["dataset", "show", made])
    assert not end.value.code
    assert '"format": "headwater.preprocessing/1"' in " ".join(capsys.readouterr().out.split())


async def test_a_row_that_is_no_image_fails_the_job_and_names_the_row(connection: Connection) -> None:
    """X-06: nothing is passed through."""
    table = images(2)
    broken = table.set_column(0, "image", pa.array([table["image"][0].as_py(), b"not an image"], pa.binary()))
    version = await asyncio.to_thread(push, connection, train=broken)
    job = await asyncio.to_thread(apply, connection, version)
    assert State.Name(job.state) == "STATE_FAILED"
    assert job.failure_reason == "ROW_INVALID"
    assert "0001.png" in job.failure
    with pytest.raises(HeadwaterError) as refusal:
        await asyncio.to_thread(datasets.resolve, connection, "tensors")
    assert refusal.value.reason in ("NO_VERSION_YET", "DATASET_NOT_FOUND")


async def test_a_job_on_a_dataset_version_that_is_not_there_is_not_accepted(connection: Connection) -> None:
    with pytest.raises(HeadwaterError) as refusal:
        await asyncio.to_thread(apply, connection, "projects/default/datasets/none/versions/v1.0.0")
    assert refusal.value.reason == "DATASET_NOT_FOUND"


async def test_a_pipeline_version_is_immutable(connection: Connection) -> None:
    await asyncio.to_thread(pipelines.create, connection, EXAMPLE)
    await asyncio.to_thread(pipelines.create, connection, EXAMPLE)
    changed = {**json.loads(EXAMPLE), "description": "another"}
    with pytest.raises(HeadwaterError) as refusal:
        await asyncio.to_thread(pipelines.create, connection, json.dumps(changed))
    assert refusal.value.reason == "PIPELINE_VERSION_CONFLICT"


async def test_a_result_cannot_go_where_it_comes_from(connection: Connection) -> None:
    version = await asyncio.to_thread(push, connection, train=images(1))
    pipeline = await asyncio.to_thread(pipelines.create, connection, EXAMPLE)
    with pytest.raises(HeadwaterError, match="another dataset"):
        await asyncio.to_thread(pipelines.apply, connection, pipeline.name, version, DatasetName("default", "digits"))


async def test_a_cancelled_job_stays_cancelled(connection: Connection) -> None:
    version = await asyncio.to_thread(push, connection, train=images(300))

    def start_and_cancel() -> jobs_pb2.PreprocessingJob:
        pipeline = pipelines.create(connection, EXAMPLE)
        job = pipelines.apply(connection, pipeline.name, version, DatasetName("default", "tensors"))
        stub = jobs_pb2_grpc.PreprocessingJobServiceStub(connection.channel("preprocessing"))
        stub.CancelPreprocessingJob(jobs_pb2.CancelPreprocessingJobRequest(name=job.name))
        *_, last = pipelines.watch(connection, job.name)
        return last

    job = await asyncio.to_thread(start_and_cancel)
    assert State.Name(job.state) == "STATE_CANCELLED"
    assert job.output_version == ""


async def test_a_retry_of_a_request_starts_one_job(connection: Connection) -> None:
    """Promise 4."""
    version = await asyncio.to_thread(push, connection, train=images(1))
    pipeline = await asyncio.to_thread(pipelines.create, connection, EXAMPLE)
    request = jobs_pb2.CreatePreprocessingJobRequest(
        parent="projects/default",
        pipeline_version=pipeline.name,
        dataset_version=version,
        output_dataset="projects/default/datasets/tensors",
        request_id="once",
    )
    stub = jobs_pb2_grpc.PreprocessingJobServiceStub(connection.channel("preprocessing"))
    first, second = [await asyncio.to_thread(stub.CreatePreprocessingJob, request) for _ in range(2)]
    assert first.name == second.name
    request.output_dataset = "projects/default/datasets/other"
    with pytest.raises(HeadwaterError) as refusal:
        await asyncio.to_thread(stub.CreatePreprocessingJob, request)
    assert refusal.value.reason == "REQUEST_ID_REUSED"


async def test_a_job_goes_on_where_another_process_left_it(
    platform: Platform, connection: Connection, start_service: StartService, tmp_path: Path
) -> None:
    """Promise 6: stopped at any point, the job still reaches its one end, and the rows are the same."""
    version = await asyncio.to_thread(push, connection, train=images(400))
    pipeline = await asyncio.to_thread(pipelines.create, connection, EXAMPLE)
    output = DatasetName("default", "tensors")
    job = await asyncio.to_thread(pipelines.apply, connection, pipeline.name, version, output)
    await platform.services["preprocessing"].stop()
    await start(platform, "preprocessing", start_service, tmp_path)
    with platform.connect(Role.WRITER) as again:
        *_, last = await asyncio.to_thread(lambda: list(pipelines.watch(again, job.name)))
        assert State.Name(last.state) == "STATE_SUCCEEDED", last.failure
        assert (await asyncio.to_thread(datasets.get_version, again, last.output_version)).row_count == 400
