"""Promises 1, 2 and 5 for datasets: the acknowledged is there, the rest is all or nothing, bits are checked."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy

from chassis.auth import Role
from chassis.blobs import LocalBlobs
from chassis.db.engine import Database
from chassis.testing import StartService, TokenFor
from deploy.ports import free
from headwater import datasets, tree
from headwater.client import Connection, Endpoints
from headwater.errors import DataLoss, HeadwaterError, Unavailable
from services.dataset.__main__ import build
from services.dataset.collector import Collector
from services.dataset.postgres import SCHEMA, PostgresStore
from services.dataset.postgres.packs import pack_name
from services.dataset.settings import Settings

StartDying = Callable[[str], tuple[subprocess.Popen[bytes], Connection]]
Connect = Callable[[Endpoints], Connection]


def rows(seed: int) -> pa.Table:
    values = np.random.default_rng(seed).random(200_000 * 4, np.float32)
    return pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(values), 4), "row": np.arange(200_000)})


def digest_of(table: pa.Table) -> str:
    split = tree.digest_split("train", table.schema, table.to_batches())
    return tree.digest_text(tree.version_digest(table.schema, [split]))


@pytest.fixture
def connect(token_for: TokenFor) -> Iterator[Connect]:
    opened = []

    def connect(endpoints: Endpoints) -> Connection:
        opened.append(Connection(endpoints, token_for(Role.WRITER)))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def start_dying(postgres_url: str, auth_key_file: Path, blobs_dir: Path, connect: Connect) -> Iterator[StartDying]:
    """A function that starts a dataset process that dies at a step, on this test's database and blobs."""
    started: list[subprocess.Popen[bytes]] = []

    def start(step: str) -> tuple[subprocess.Popen[bytes], Connection]:
        port, flight_port = free(2)
        settings = {
            "PORT": port,
            "FLIGHT_PORT": flight_port,
            "ADMIN_PORT": 0,
            "DATABASE_URL": postgres_url,
            "BLOBS_URL": blobs_dir.as_uri(),
            "AUTH_KEY_FILE": auth_key_file,
            "PACK_MAX_BYTES": 1 << 20,
            "LOG_LEVEL": "ERROR",
        }
        environment = {**os.environ, **{f"HEADWATER_{name}": str(value) for name, value in settings.items()}}
        command = [sys.executable, "-m", "tests.promises.dying_dataset", *([step] if step else [])]
        started.append(subprocess.Popen(command, env=environment))
        connection = connect(Endpoints(dataset=f"127.0.0.1:{port}", dataset_flight=f"127.0.0.1:{flight_port}"))
        _wait_until_ready(connection)
        return started[-1], connection

    yield start
    for process in started:
        process.kill()
        process.wait()


def _wait_until_ready(connection: Connection) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            list(datasets.list_datasets(connection))
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


STEPS = [
    ("after write", 1),
    ("after seal", 1),
    ("committed begin_pack", 1),
    ("after publish", 1),
    ("after finish_pack", 1),
    ("committed finish_pack", 1),
    ("committed record_split", 1),
    ("after add_commit", 1),
    ("after move_branch", 1),
    ("after add_version", 1),
    ("committed add_version", 2),
]


@pytest.mark.parametrize(("step", "versions"), STEPS, ids=[step for step, _ in STEPS])
async def test_a_process_that_dies_at_a_step_loses_nothing_acknowledged_and_lists_no_half(
    start_service: StartService, start_dying: StartDying, connect: Connect, postgres_url: str, blobs_dir: Path,
    step: str, versions: int,
) -> None:  # fmt: skip
    """Promises 1 and 2. Only the death after the commit of the version leaves the version that was not acknowledged."""
    healthy = await start_service(build, Settings, flight_port=0, pack_max_bytes=1 << 20)
    address = Endpoints(dataset=healthy.address, dataset_flight=f"127.0.0.1:{healthy.flight_port}")
    connection = connect(address)
    first, second = rows(1), rows(2)

    def story() -> None:
        acknowledged = datasets.push(connection, "d", datasets.Tables({"train": first})).version
        process, dying = start_dying(step)
        with pytest.raises(HeadwaterError):
            datasets.push(dying, "d", datasets.Tables({"train": second}))
        assert process.wait(30) == -9
        listed = list(datasets.list_versions(connection, "d"))
        assert len(listed) == versions
        assert listed[-1] == acknowledged
        digests = [version.digest for version in listed]
        assert digests == [digest_of(second), digest_of(first)][-versions:]
        for version in listed:
            datasets.verify(connection, version.name)

    await asyncio.to_thread(story)
    assert await _collect(postgres_url, blobs_dir)

    def afterwards() -> None:
        for version in datasets.list_versions(connection, "d"):
            datasets.verify(connection, version.name)
        again = datasets.push(connection, "d", datasets.Tables({"train": second}))
        assert again.created is (versions == 1)
        assert again.version.digest == digest_of(second)
        datasets.verify(connection, again.version.name)

    await asyncio.to_thread(afterwards)


EDIT_STEPS = [
    ("after write", 1),
    ("after publish", 1),
    ("committed finish_pack", 1),
    ("after record_tree", 1),
    ("committed record_tree", 1),
    ("after add_commit", 1),
    ("committed add_version", 2),
]


@pytest.mark.parametrize(("step", "versions"), EDIT_STEPS, ids=[step for step, _ in EDIT_STEPS])
async def test_an_edit_that_dies_at_a_step_is_there_as_a_whole_or_not_at_all(
    start_service: StartService, start_dying: StartDying, connect: Connect, postgres_url: str, blobs_dir: Path,
    step: str, versions: int,
) -> None:  # fmt: skip
    """Promises 1 and 2, for a commit that changes some rows: what it shares with the one before stays with that."""
    healthy = await start_service(build, Settings, flight_port=0, pack_max_bytes=1 << 20)
    address = Endpoints(dataset=healthy.address, dataset_flight=f"127.0.0.1:{healthy.flight_port}")
    connection = connect(address)
    before, new = rows(1), rows(2).slice(0, 50_000)
    after = pa.concat_tables([before.slice(0, 70_000), new, before.slice(80_000)])

    def edit(at: Connection) -> None:
        with datasets.edit(at, "d") as edit:
            edit.replace("train", 70_000, 10_000, new)

    def story() -> None:
        datasets.push(connection, "d", datasets.Tables({"train": before}))
        process, dying = start_dying(step)
        with pytest.raises(HeadwaterError):
            edit(dying)
        assert process.wait(30) == -9
        listed = list(datasets.list_versions(connection, "d"))
        assert [version.digest for version in listed] == [digest_of(after), digest_of(before)][-versions:]

    await asyncio.to_thread(story)
    assert await _collect(postgres_url, blobs_dir)

    def afterwards() -> None:
        for version in datasets.list_versions(connection, "d"):
            datasets.verify(connection, version.name)
        if versions == 1:
            edit(connection)
        newest = datasets.get_version(connection, "d")
        assert newest.digest == digest_of(after)
        datasets.verify(connection, newest.name)

    await asyncio.to_thread(afterwards)


async def _collect(postgres_url: str, blobs_dir: Path) -> bool:
    """Let the dead upload expire and collect; whether the files that are left are those that the catalogue has."""
    database, blobs = Database(postgres_url, SCHEMA), LocalBlobs(blobs_dir / "dataset")
    async with database.transaction() as tx:
        await tx.execute(sqlalchemy.text("UPDATE uploads SET expire_time = now() WHERE state = 'open'"))
    collector = Collector(
        PostgresStore(database), blobs, interval_s=60, write_timeout_s=0, unreachable_ttl_s=14 * 86_400
    )
    await collector.collect()
    async with database.transaction() as tx:
        packs = await tx.execute(sqlalchemy.text("SELECT digest FROM packs WHERE state = 'stored'"))
        known = {pack_name(bytes(row.digest)).removeprefix("blake3:") for row in packs}
        unknown = await tx.execute(sqlalchemy.text("SELECT count(*) FROM packs WHERE state <> 'stored'"))
        pending = unknown.scalar_one()
    await database.close()
    files = {file.name for file in (blobs_dir / "dataset" / "blake3").rglob("*") if file.is_file()}
    return files == known and pending == 0


async def test_a_process_killed_right_after_its_answer_has_kept_what_it_answered(
    start_service: StartService, start_dying: StartDying, connect: Connect
) -> None:
    """Promise 1."""
    healthy = await start_service(build, Settings, flight_port=0)
    address = Endpoints(dataset=healthy.address, dataset_flight=f"127.0.0.1:{healthy.flight_port}")
    connection = connect(address)

    def story() -> None:
        table = rows(1)
        process, dying = start_dying("")
        acknowledged = datasets.push(dying, "d", datasets.Tables({"train": table})).version
        process.kill()
        assert datasets.get_version(connection, "d") == acknowledged
        assert acknowledged.digest == digest_of(table)
        datasets.verify(connection, "d")

    await asyncio.to_thread(story)


@pytest.mark.parametrize("read_before", [False, True], ids=["never read", "read before"])
async def test_one_flipped_bit_at_rest_is_data_loss_and_never_an_answer(
    start_service: StartService, connect: Connect, blobs_dir: Path, read_before: bool
) -> None:
    """Promise 5. Other packs stay readable, and so does this one once its bytes are back."""
    service = await start_service(build, Settings, flight_port=0, pack_max_bytes=1 << 20)
    connection = connect(Endpoints(dataset=service.address, dataset_flight=f"127.0.0.1:{service.flight_port}"))

    def story() -> None:
        table = rows(1)
        version = datasets.push(connection, "d", datasets.Tables({"train": table})).version.name
        packs = sorted(file for file in (blobs_dir / "dataset" / "blake3").rglob("*") if file.is_file())
        assert len(packs) > 3
        if read_before:
            datasets.reader(connection, version, "train").read_all()
        for place in (0.0, 0.5, 0.999):
            _flip(packs[0], place)
            with pytest.raises(DataLoss) as loss:
                datasets.reader(connection, version, "train").read_all()
            assert loss.value.reason == "PACK_CORRUPT"
            assert _readable(connection, version, table) > table.num_rows // 2
            _flip(packs[0], place)
            assert datasets.reader(connection, version, "train").read_all().equals(table)

    await asyncio.to_thread(story)


def _flip(file: Path, place: float) -> None:
    os.chmod(file, 0o600)
    with file.open("r+b") as opened:
        position = int(place * file.stat().st_size)
        opened.seek(position)
        (byte,) = opened.read(1)
        opened.seek(position)
        opened.write(bytes([byte ^ 0x10]))


def _readable(connection: Connection, version: str, table: pa.Table) -> int:
    """How many rows can be read in shards; those that can are right."""
    readable, first = 0, 0
    for shard in range(20):
        count = table.num_rows // 20
        try:
            part = datasets.reader(connection, version, "train", shard=(shard, 20)).read_all()
        except DataLoss:
            pass
        else:
            assert part.equals(table.slice(first, count))
            readable += part.num_rows
        first += count
    return readable
