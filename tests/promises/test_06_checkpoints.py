"""Promise 6 for copies of places: one process makes each, another goes on where it died, and there is one end."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet
import pytest
import sqlalchemy

from chassis.auth import Role
from chassis.db.engine import Database
from chassis.testing import StartService, TokenFor
from deploy.ports import free
from headwater import datasets, tree
from headwater.client import Connection, Endpoints
from headwater.dataset.v1 import datastores_pb2, views_pb2
from headwater.datasets import checkpoints, datastores
from headwater.errors import Unavailable
from services.dataset.__main__ import build
from services.dataset.settings import Settings

Connect = Callable[[Endpoints], Connection]
StartDying = Callable[[str], tuple[subprocess.Popen[bytes], Connection]]
LEASE_S = 1.5


@pytest.fixture
def rows() -> pa.Table:
    values = np.random.default_rng(7).random(100_000 * 4, np.float32)
    return pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(values), 4), "row": np.arange(100_000)})


@pytest.fixture
def lake(tmp_path: Path, rows: pa.Table) -> Path:
    """A folder with the rows, in a file of its own for each tenth."""
    folder = tmp_path / "lake"
    folder.mkdir()
    for part in range(10):
        pa.parquet.write_table(rows.slice(part * 10_000, 10_000), folder / f"{part}.parquet")
    return folder


@pytest.fixture
def connect(token_for: TokenFor) -> Iterator[Connect]:
    opened = []

    def connect(endpoints: Endpoints) -> Connection:
        opened.append(Connection(endpoints, token_for(Role.ADMIN)))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def settings_for(lake: Path) -> dict[str, object]:
    return {
        "flight_port": 0,
        "pack_max_bytes": 1 << 18,
        "datastore_folders": str(lake),
        "checkpoint_lease_s": LEASE_S,
        "checkpoint_poll_interval_s": 0.1,
    }


@pytest.fixture
def start_dying(
    postgres_url: str, auth_key_file: Path, blobs_dir: Path, lake: Path, connect: Connect
) -> Iterator[StartDying]:
    """A function that starts a dataset process that dies, or stops, at a step."""
    started: list[subprocess.Popen[bytes]] = []

    def start(step: str) -> tuple[subprocess.Popen[bytes], Connection]:
        port, flight_port = free(2)
        values = settings_for(lake) | {
            "port": port,
            "flight_port": flight_port,
            "admin_port": 0,
            "database_url": postgres_url,
            "blobs_url": blobs_dir.as_uri(),
            "auth_key_file": auth_key_file,
            "log_level": "ERROR",
        }
        environment = {**os.environ, **{f"HEADWATER_{name.upper()}": str(value) for name, value in values.items()}}
        command = [sys.executable, "-m", "tests.promises.dying_dataset", step]
        started.append(subprocess.Popen(command, env=environment))
        connection = connect(Endpoints(dataset=f"127.0.0.1:{port}", dataset_flight=f"127.0.0.1:{flight_port}"))
        deadline = time.monotonic() + 60
        while True:
            try:
                list(datasets.list_datasets(connection))
            except Unavailable:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return started[-1], connection

    yield start
    for process in started:
        process.kill()
        process.wait()


def begin(connection: Connection, lake: Path, *names: str) -> list[str]:
    """A version that is the folder, and copies of it that are to be made."""
    datastores.create(connection, "lake", datastores_pb2.LocalFolder(path=str(lake)))
    datastores.link(connection, "d", "lake", path="")
    return [checkpoints.create(connection, "d", name, materialize=True).name for name in names]


def digest_of(table: pa.Table) -> str:
    split = tree.digest_split("train", table.schema, table.to_batches())
    return tree.digest_text(tree.version_digest(table.schema, [split]))


STEPS = [
    "committed create_upload",
    "committed begin_pack",
    "after publish",
    "committed finish_pack",
    "committed record_split",
    "after end_checkpoint",
    "committed end_checkpoint",
]


@pytest.mark.parametrize("step", STEPS)
async def test_a_process_that_dies_at_a_step_leaves_a_copy_that_another_one_makes(
    start_service: StartService, start_dying: StartDying, connect: Connect, lake: Path, rows: pa.Table,
    postgres_url: str, step: str,
) -> None:  # fmt: skip
    process, first = await asyncio.to_thread(start_dying, step)
    (name,) = await asyncio.to_thread(begin, first, lake, "copy")
    assert await asyncio.to_thread(process.wait, 60) == -signal.SIGKILL
    survivor = await start_service(build, Settings, **settings_for(lake))
    second = connect(Endpoints(dataset=survivor.address, dataset_flight=f"127.0.0.1:{survivor.flight_port}"))
    made = await asyncio.to_thread(checkpoints.wait, second, name, timeout_s=60, interval_s=0.1)
    assert made.digest == digest_of(rows)
    read = await asyncio.to_thread(lambda: datasets.reader(second, "d", "train").read_all())
    assert read.column("row").to_pylist() == list(range(100_000))
    # What the dead process had stored was found, and not stored again.
    assert await count(postgres_url, "SELECT count(*) FROM chunks") == made.splits[0].chunk_count
    assert await count(postgres_url, "SELECT count(*) FROM profiles") == 1


async def test_a_process_that_was_away_for_longer_than_its_lease_changes_nothing_when_it_is_back(
    start_service: StartService, start_dying: StartDying, connect: Connect, lake: Path, rows: pa.Table,
) -> None:  # fmt: skip
    """SIGSTOP past the lease, SIGCONT; in between the place has changed."""
    process, first = await asyncio.to_thread(start_dying, "committed record_split SIGSTOP")
    (name,) = await asyncio.to_thread(begin, first, lake, "copy")
    await asyncio.to_thread(_wait_until_stopped, process.pid)
    (lake / "9.parquet").unlink()
    survivor = await start_service(build, Settings, **settings_for(lake))
    second = connect(Endpoints(dataset=survivor.address, dataset_flight=f"127.0.0.1:{survivor.flight_port}"))
    made = await asyncio.to_thread(checkpoints.wait, second, name, timeout_s=60, interval_s=0.1)
    assert made.digest == digest_of(rows.slice(0, 90_000))
    process.send_signal(signal.SIGCONT)
    await asyncio.sleep(LEASE_S)
    assert process.poll() is None
    assert await asyncio.to_thread(checkpoints.get, second, name) == made


async def test_of_two_processes_one_makes_each_copy(
    start_service: StartService, connect: Connect, lake: Path, postgres_url: str
) -> None:
    services = [await start_service(build, Settings, **settings_for(lake)) for _ in range(2)]
    one = connect(Endpoints(dataset=services[0].address, dataset_flight=f"127.0.0.1:{services[0].flight_port}"))
    names = await asyncio.to_thread(begin, one, lake, "a", "b", "c", "d")
    made = [await asyncio.to_thread(checkpoints.wait, one, name, timeout_s=60, interval_s=0.1) for name in names]
    assert [each.state for each in made] == [views_pb2.DatasetCheckpoint.STATE_READY] * 4
    assert len({each.digest for each in made}) == 1
    # Each attempt opens an upload: there was one for each copy.
    assert await count(postgres_url, "SELECT count(*) FROM uploads") == 4


def _wait_until_stopped(pid: int) -> None:
    deadline = time.monotonic() + 60
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def count(url: str, query: str) -> int:
    database = Database(url, "dataset")
    async with database.transaction() as tx:
        found = int((await tx.execute(sqlalchemy.text(query))).scalar_one())
    await database.close()
    return found
