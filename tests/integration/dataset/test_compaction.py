"""Rows that nothing needs give their bytes back though others lie in the same files, while all read and write."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import pytest_asyncio
import sqlalchemy

from chassis.blobs import LocalBlobs
from chassis.db.engine import Database
from chassis.service import Service
from chassis.testing import StartService
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2
from headwater.datasets import history
from headwater.datasets.catalog import stub
from headwater.errors import HeadwaterError
from services.dataset.__main__ import build
from services.dataset.collector import Collector
from services.dataset.postgres import SCHEMA, PostgresStore
from services.dataset.postgres.packs import pack_name
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo
from tests.unit.dataset.compacting import OPTIONS, FailingBlobs, FailingStore, Killed, Steps, compaction, files_in

FIRST, SECOND = "projects/default/datasets/d/versions/v1.0.0", "projects/default/datasets/d/versions/v1.1.0"


def rows(*seeds: int) -> pa.Table:
    """Some rows for each seed, which make chunks that depend on that seed alone, but for one at each end."""
    parts = [np.random.default_rng(seed).random(30_000 * 32, np.float32) for seed in seeds]
    return pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(parts)), 32)})


class Storage:
    """What the service has stored, as another process of it sees it."""

    def __init__(self, postgres_url: str, folder: Path) -> None:
        self.database, self.folder = Database(postgres_url, SCHEMA), folder
        self.store, self.blobs = PostgresStore(self.database), LocalBlobs(folder)

    async def collect(self) -> int:
        """Remove what is dead by now."""
        collector = Collector(
            self.store,
            self.blobs,
            interval_s=60,
            write_timeout_s=OPTIONS.pack_write_timeout_s,
            unreachable_ttl_s=0,
            retired_pack_ttl_s=OPTIONS.retired_pack_ttl_s,
        )
        return await collector.collect()

    async def collect_all(self) -> None:
        """Remove what is dead by now, and what was retired; then the files are those that the catalogue has."""
        for _ in range(3):
            for column in ("create_time", "remove_time"):
                # The database's clock decides, and cannot be set: so what it is compared with moves back instead.
                await self.execute(f"UPDATE packs SET {column} = {column} - interval '2 hours'")
            await self.collect()
        assert files_in(self.folder) == set(await self.packs("stored"))
        assert await self.packs("stored") == await self.packs("stored", "writing", "retired", "condemned")

    async def compact(self) -> int:
        return await compaction(self.store, self.blobs).compact()

    async def packs(self, *states: str) -> list[str]:
        async with self.database.transaction() as tx:
            query = sqlalchemy.text("SELECT digest FROM packs WHERE state = ANY(:states) ORDER BY id")
            return [pack_name(bytes(row.digest)) for row in await tx.execute(query, {"states": list(states)})]

    async def execute(self, statement: str) -> None:
        async with self.database.transaction() as tx:
            await tx.execute(sqlalchemy.text(statement))

    @property
    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in (self.folder / "blake3").rglob("*") if file.is_file())


@pytest_asyncio.fixture
async def service(start_service: StartService) -> Service:
    """The dataset service, with packs of its usual size."""
    return await start_service(build, Settings, flight_port=0)


@pytest_asyncio.fixture
async def storage(postgres_url: str, blobs_dir: Path) -> AsyncIterator[Storage]:
    """What the service stores."""
    storage = Storage(postgres_url, blobs_dir / "dataset")
    yield storage
    await storage.database.close()


def commit(connection: Connection, table: pa.Table, branch: str = "", dataset: str = "d") -> None:
    create = datasets_pb2.CreateUploadRequest(parent=f"projects/default/datasets/{dataset}", branch=branch)
    upload = stub(connection).CreateUpload(create).name
    datasets.put(connection, upload, datasets.Tables({"train": table}))
    stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload))


def fill(connection: Connection, dataset: str = "d") -> None:
    """Two versions that share rows, and a branch, deleted by now, from which the second one has some of its rows."""
    commit(connection, rows(9), dataset=dataset)
    history.create_branch(connection, dataset, "side")
    commit(connection, rows(1, 2, 3), "side", dataset)
    commit(connection, rows(9, 1), dataset=dataset)
    history.delete_branch(connection, history.get_branch(connection, dataset, "side"))


async def verified(start_service: StartService, connection_to: ConnectTo, *versions: str) -> None:
    """The versions' rows have their digests, in a process that remembers nothing."""
    connection = connection_to(await start_service(build, Settings, flight_port=0))
    for version in versions:
        await asyncio.to_thread(datasets.verify, connection, version)


async def test_what_no_kept_version_needs_gives_its_bytes_back(
    connection: Connection, storage: Storage, start_service: StartService, connection_to: ConnectTo
) -> None:
    await asyncio.to_thread(fill, connection)
    await storage.collect()
    # The release before did not note how much it has laid into a pack.
    await storage.execute("UPDATE packs SET content_bytes = NULL")
    before, packs = storage.size_bytes, await storage.packs("stored")
    reading = await asyncio.to_thread(datasets.reader, connection, SECOND, "train")
    read = [await asyncio.to_thread(reading.read_next_batch)]

    assert await storage.compact() == 1
    (retired,) = await storage.packs("retired")
    assert retired in packs
    assert len(await storage.packs("stored")) == len(packs)
    await storage.collect()

    # The stream that was under way, one whose places are remembered, and one that begins now.
    read += await asyncio.to_thread(lambda: list(reading))
    assert pa.Table.from_batches(read).equals(rows(9, 1))
    await asyncio.to_thread(datasets.verify, connection, SECOND)
    await verified(start_service, connection_to, FIRST, SECOND)

    await storage.collect_all()
    assert retired not in files_in(storage.folder)
    # Of five parts, two are left.
    assert storage.size_bytes < before * 0.7
    await verified(start_service, connection_to, FIRST, SECOND)
    assert await storage.compact() == 0


@pytest.mark.parametrize("error", [Killed, OSError], ids=["killed", "failing"])
async def test_it_may_end_at_any_step(
    connection: Connection,
    storage: Storage,
    start_service: StartService,
    connection_to: ConnectTo,
    error: type[BaseException],
) -> None:
    """Of each step that fails, nothing is left but what the next pass removes."""
    await asyncio.to_thread(fill, connection)
    await storage.collect()
    fails_at, replaced = 0, 0
    while not replaced:
        fails_at += 1
        steps = Steps(fails_at, error)
        with contextlib.suppress(error, HeadwaterError):
            await compaction(FailingStore(storage.store, steps), FailingBlobs(storage.folder, steps)).compact()
        replaced = len([pack for pack in await storage.packs("retired") if pack in await _of_before(storage)])
        listed = await storage.packs("stored", "writing", "retired")
        assert files_in(storage.folder) <= set(listed)
    assert fails_at > 15
    await verified(start_service, connection_to, FIRST, SECOND)
    await storage.collect_all()
    await verified(start_service, connection_to, FIRST, SECOND)
    assert await storage.compact() == 0


async def _of_before(storage: Storage) -> list[str]:
    """Packs from which chunks have moved: of those that were given up none was ever noted as stored."""
    async with storage.database.transaction() as tx:
        query = sqlalchemy.text("SELECT digest FROM packs WHERE state = 'retired' AND content_bytes IS NOT NULL")
        return [pack_name(bytes(row.digest)) for row in await tx.execute(query)]


async def test_writers_keep_what_they_push_again_while_packs_are_replaced(
    connection: Connection, storage: Storage, start_service: StartService, connection_to: ConnectTo
) -> None:
    """Everybody pushes rows that everybody else has dropped; neither the collector nor compaction ever rests."""
    done = asyncio.Event()

    async def compact_all_the_time() -> int:
        replaced = 0
        while not done.is_set():
            await storage.collect()
            replaced += await storage.compact()
        return replaced

    def write(writer: int) -> None:
        dataset = f"d{writer}"
        commit(connection, rows(20 + writer), dataset=dataset)
        for turn in range(3):
            history.create_branch(connection, dataset, "side")
            commit(connection, rows(turn, turn + 1, turn + 2), "side", dataset)
            commit(connection, rows(turn + 1, 20 + writer), dataset=dataset)
            history.delete_branch(connection, history.get_branch(connection, dataset, "side"))

    compacting = asyncio.create_task(compact_all_the_time())
    await asyncio.gather(*(asyncio.to_thread(write, writer) for writer in range(2)))
    done.set()
    replaced = await compacting
    await storage.collect()
    assert replaced + await storage.compact() > 0
    await storage.collect_all()
    versions = await asyncio.to_thread(
        lambda: [each.name for writer in range(2) for each in datasets.list_versions(connection, f"d{writer}")]
    )
    assert len(versions) == 8
    await verified(start_service, connection_to, *versions)
