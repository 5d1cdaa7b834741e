"""Training on a version that is a place outside: on a copy where there is one, else on what is there (M-26)."""

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
import pytest_asyncio
from PIL import Image

from chassis.auth import Role
from chassis.testing import StartService, TokenFor
from headwater import code, datasets, jobs, pipelines
from headwater.client import Connection
from headwater.dataset.v1 import datastores_pb2
from headwater.datasets import checkpoints, datastores, history
from headwater.errors import FailedPrecondition
from headwater.names import DatasetName
from headwater.preprocessing.v1 import jobs_pb2 as preprocessing_pb2
from headwater.trace import upstream
from headwater.training.v1 import jobs_pb2
from tests.integration.training.platform import write_code
from tests.platform import Platform, start

VERSION = "projects/default/datasets/numbers/versions/v1.0.0"
SUCCEEDED = jobs_pb2.TrainingJob.STATE_SUCCEEDED
COMMAND = "headwater dataset checkpoint create"
PIPELINE = Path("docs/examples/digits/prep.json").read_text()


SCRIPT = """
import pathlib, time
import headwater.training

with headwater.training.session() as session:
    def total():
        return sum(session.dataset("train", whole=True).table.column("x").to_pylist())

    before = total()
    if "go" in session.parameters:
        while not pathlib.Path(session.parameters["go"]).exists():
            time.sleep(0.05)
    metrics = {"before": before, "after": total()}
    if session.parameters["shuffles"]:
        batches = session.batches("train", global_batch_size=2, shuffle_seed=1)
        metrics["shuffled"] = sum(float(batch["x"].sum()) for batch in batches)
    session.log_metrics(metrics, step=1)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    put(folder, 1.0, 2.0, 3.0)
    return folder


@pytest_asyncio.fixture
async def platform(start_service: StartService, token_for: TokenFor, tmp_path: Path, lake: Path) -> Platform:
    started = Platform(token_for)
    settings = {"datastore_folders": str(lake), "checkpoint_poll_interval_s": 0.1, "profilers": 0}
    await start(started, "registry", start_service, tmp_path)
    await start(started, "dataset", start_service, tmp_path, **settings)
    await start(started, "preprocessing", start_service, tmp_path)
    await start(started, "training_scheduler", start_service, tmp_path / "training", poll_s=0.2)
    return started


@pytest.fixture
def connection(platform: Platform) -> Iterator[Connection]:
    with platform.connect(Role.ADMIN) as connection:
        yield connection


def put(lake: Path, *values: float) -> None:
    pyarrow.parquet.write_table(pa.table({"x": values}), lake / "numbers.parquet")


def put_images(lake: Path, count: int) -> None:
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, format="PNG")
    table = pa.table({"image": [buffer.getvalue()] * count, "label": ["0"] * count})
    pyarrow.parquet.write_table(table, lake / "numbers.parquet")


def link(connection: Connection, lake: Path) -> None:
    datastores.create(connection, "lake", datastores_pb2.LocalFolder(path=str(lake)))
    datastores.link(connection, "numbers", "lake", path="numbers.parquet")


def copy(connection: Connection, name: str) -> None:
    made = checkpoints.create(connection, VERSION, name, materialize=True)
    checkpoints.wait(connection, made.name, timeout_s=60, interval_s=0.05)


def submit(
    connection: Connection, folder: Path, *, shuffles: bool, checkpoint: str = "", go: Path | None = None
) -> jobs_pb2.TrainingJob:
    return jobs.submit(
        connection,
        code=code.upload(connection, write_code(folder, SCRIPT)).name,
        command=["train.py"],
        dataset_version=VERSION,
        dataset_checkpoint=checkpoint,
        parameters={"shuffles": shuffles, **({"go": str(go)} if go else {})},
        max_restarts=0,
    )


def data_of(connection: Connection, name: str) -> dict[str, str]:
    """The names and digests of the data that went into it."""
    nodes = [node.data_metadata for node in upstream(connection, name).artifacts if node.HasField("data_metadata")]
    return {node.name: node.digest for node in nodes}


def end(connection: Connection, job: jobs_pb2.TrainingJob) -> jobs_pb2.TrainingJob:
    *_, last = jobs.watch(connection, job.name)
    return last


@pytest.mark.timeout(240)
async def test_training_reads_the_copy_that_was_there_when_the_job_was_created(
    connection: Connection, lake: Path, tmp_path: Path
) -> None:
    """M-26: neither what has become of the place, nor a copy that is made while it runs; the job says which one."""
    go = tmp_path / "go"

    def story() -> None:
        link(connection, lake)
        copy(connection, "first")
        put(lake, 10.0, 20.0, 30.0)
        job = submit(connection, tmp_path, shuffles=True, go=go)
        assert (job.spec.dataset_checkpoint, list(job.warnings)) == ("first", [])
        for seen in jobs.watch(connection, job.name):
            if seen.state == jobs_pb2.TrainingJob.STATE_RUNNING:
                break
        copy(connection, "second")
        go.touch()
        done = end(connection, job)
        assert done.state == SUCCEEDED, done.failure
        assert dict(done.progress.metrics) == {"before": 6, "after": 6, "shuffled": 6}
        assert done.spec.dataset_checkpoint == "first"
        made = checkpoints.get(connection, f"{VERSION}/checkpoints/first")
        assert data_of(connection, done.run) == {made.name: made.digest}
        newest = submit(connection, tmp_path, shuffles=False)
        named = submit(connection, tmp_path, shuffles=False, checkpoint="first")
        for job, checkpoint, total in ((newest, "second", 60), (named, "first", 6)):
            done = end(connection, job)
            assert done.state == SUCCEEDED, done.failure
            assert (done.spec.dataset_checkpoint, done.progress.metrics["after"]) == (checkpoint, total)

    await asyncio.to_thread(story)


async def test_training_on_a_place_without_a_copy_is_refused(
    connection: Connection, lake: Path, tmp_path: Path
) -> None:
    """M-26: nobody could say later which rows they were. M-19: nor is an archived version trained on."""

    def refused(checkpoint: str = "") -> FailedPrecondition:
        with pytest.raises(FailedPrecondition) as refusal:
            submit(connection, tmp_path, shuffles=False, checkpoint=checkpoint)
        return refusal.value

    def story() -> None:
        link(connection, lake)
        checkpoints.create(connection, VERSION, "bare")
        assert (refused().reason, COMMAND in str(refused())) == ("NO_ROWS_STORED", True)
        assert refused("bare").reason == "CHECKPOINT_HAS_NO_ROWS"
        copy(connection, "copy")
        history.archive(connection, VERSION, "no more")
        assert refused().reason == refused("copy").reason == "DATASET_VERSION_ARCHIVED"

    await asyncio.to_thread(story)


async def test_preprocessing_reads_the_newest_copy_and_needs_one(connection: Connection, lake: Path) -> None:
    """M-26."""

    def story() -> None:
        put_images(lake, 3)
        link(connection, lake)
        pipeline = pipelines.create(connection, PIPELINE)
        output = DatasetName("default", "tensors")
        with pytest.raises(FailedPrecondition) as refusal:
            pipelines.apply(connection, pipeline.name, VERSION, output)
        assert (refusal.value.reason, COMMAND in str(refusal.value)) == ("NO_ROWS_STORED", True)
        copy(connection, "first")
        put_images(lake, 1)
        *_, job = pipelines.watch(connection, pipelines.apply(connection, pipeline.name, VERSION, output).name)
        assert job.state == preprocessing_pb2.PreprocessingJob.STATE_SUCCEEDED, job.failure
        rows = datasets.reader(connection, job.output_version, "train").read_all()
        assert rows.num_rows == 3
        made = next(iter(history.log(connection, job.output_version)))
        assert f"{VERSION}/checkpoints/first" in made.message
        assert f"{VERSION}/checkpoints/first" in data_of(connection, job.output_version)

    await asyncio.to_thread(story)
