"""Leftovers are collected, also while others write, and nothing that anybody needs goes."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

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
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo

ROWS = 40_000


def rows(*seeds: int) -> pa.Table:
    """Some rows for each seed, which make chunks that depend on that seed alone, but for one at each end."""
    parts = [np.random.default_rng(seed).random(ROWS * 8, np.float32) for seed in seeds]
    return pa.table({"x": pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(parts)), 8)})


def packs_in(blobs_dir: Path) -> set[str]:
    folders = (blobs_dir / "dataset" / kind for kind in ("sha256", "blake3"))
    return {file.name for folder in folders for file in folder.rglob("*") if file.is_file()}


async def collect(postgres_url: str, blobs_dir: Path, unreachable_ttl_s: float = 14 * 86_400) -> int:
    database = Database(postgres_url, SCHEMA)
    try:
        collector = Collector(
            PostgresStore(database),
            LocalBlobs(blobs_dir / "dataset"),
            interval_s=60,
            write_timeout_s=600,
            unreachable_ttl_s=unreachable_ttl_s,
        )
        return await collector.collect()
    finally:
        await database.close()


def put(connection: Connection, table: pa.Table, dataset: str = "d") -> str:
    request = datasets_pb2.CreateUploadRequest(parent=f"projects/default/datasets/{dataset}")
    upload = stub(connection).CreateUpload(request).name
    datasets.put(connection, upload, datasets.Tables({"train": table}))
    return upload


async def test_what_an_aborted_upload_stored_is_removed_and_a_version_is_not(
    connection: Connection, postgres_url: str, blobs_dir: Path
) -> None:
    """Promise 2: leftovers are collected."""

    def fill() -> str:
        version = datasets.push(connection, "d", datasets.Tables({"train": rows(1)})).version.name
        kept = packs_in(blobs_dir)
        upload = put(connection, rows(1, 2))
        assert packs_in(blobs_dir) > kept
        stub(connection).AbortUpload(datasets_pb2.AbortUploadRequest(name=upload))
        return version

    version = await asyncio.to_thread(fill)
    before = packs_in(blobs_dir)
    assert await collect(postgres_url, blobs_dir) > 0
    assert packs_in(blobs_dir) < before
    await asyncio.to_thread(datasets.verify, connection, version)
    assert await collect(postgres_url, blobs_dir) == 0


async def test_the_service_collects_by_itself(
    start_service: StartService, connection_to: ConnectTo, blobs_dir: Path
) -> None:
    service = await start_service(build, Settings, flight_port=0, collect_interval_s=0.1)
    connection = connection_to(service)

    def story() -> None:
        upload = put(connection, rows(1))
        assert packs_in(blobs_dir)
        stub(connection).AbortUpload(datasets_pb2.AbortUploadRequest(name=upload))
        deadline = time.monotonic() + 60
        while packs_in(blobs_dir) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not packs_in(blobs_dir)

    await asyncio.to_thread(story)


async def test_writers_and_the_collector_do_not_disturb_each_other(
    connection: Connection, postgres_url: str, blobs_dir: Path
) -> None:
    """Everybody shares chunks with everybody; half of the uploads are given up; the collector never rests."""
    done = asyncio.Event()

    async def collect_all_the_time() -> int:
        removed = 0
        while not done.is_set():
            removed += await collect(postgres_url, blobs_dir)
        return removed

    def write(writer: int) -> None:
        for turn in range(4):
            upload = put(connection, rows(turn, turn + 1, 10 + writer), f"d{writer}")
            if (writer + turn) % 2:
                stub(connection).AbortUpload(datasets_pb2.AbortUploadRequest(name=upload))
            else:
                stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload))

    collecting = asyncio.create_task(collect_all_the_time())
    await asyncio.gather(*(asyncio.to_thread(write, writer) for writer in range(3)))
    done.set()
    assert await collecting + await collect(postgres_url, blobs_dir) > 0

    def verify() -> None:
        versions = [version for writer in range(3) for version in datasets.list_versions(connection, f"d{writer}")]
        assert len(versions) == 6
        for version in versions:
            datasets.verify(connection, version.name)

    await asyncio.to_thread(verify)


async def test_the_rows_of_a_deleted_branch_are_removed_and_those_that_main_shares_stay(
    connection: Connection, postgres_url: str, blobs_dir: Path
) -> None:
    """A dataset's storage is reclaimed when no kept version references it."""

    def commit(branch: str, table: pa.Table) -> None:
        create = datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d", branch=branch)
        upload = stub(connection).CreateUpload(create).name
        datasets.put(connection, upload, datasets.Tables({"train": table}))
        stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload))

    def fill() -> set[str]:
        commit("", rows(1))
        kept = packs_in(blobs_dir)
        history.create_branch(connection, "d", "side")
        commit("side", rows(1, 2))
        commit("side", rows(1, 2, 3))
        history.delete_branch(connection, history.get_branch(connection, "d", "side"))
        return kept

    kept = await asyncio.to_thread(fill)
    # Not before its time.
    assert await collect(postgres_url, blobs_dir) == 0
    assert packs_in(blobs_dir) > kept
    assert await collect(postgres_url, blobs_dir, unreachable_ttl_s=0) > 0
    assert packs_in(blobs_dir) == kept
    await asyncio.to_thread(datasets.verify, connection, "projects/default/datasets/d/versions/v1.0.0")
    assert await collect(postgres_url, blobs_dir, unreachable_ttl_s=0) == 0


async def test_writers_keep_what_they_find_while_branches_that_had_it_are_dropped(
    connection: Connection, postgres_url: str, blobs_dir: Path
) -> None:
    """Everybody shares chunks with branches that come and go; the collector waits for nothing."""
    done = asyncio.Event()

    async def collect_all_the_time() -> int:
        removed = 0
        while not done.is_set():
            removed += await collect(postgres_url, blobs_dir, unreachable_ttl_s=0)
        return removed

    def write(writer: int) -> None:
        dataset = f"d{writer}"
        for turn in range(4):
            upload = put(connection, rows(turn, turn + 1, 10 + writer), dataset)
            stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=upload))
            history.create_branch(connection, dataset, "side")
            create = datasets_pb2.CreateUploadRequest(parent=f"projects/default/datasets/{dataset}", branch="side")
            side = stub(connection).CreateUpload(create).name
            datasets.put(connection, side, datasets.Tables({"train": rows(turn + 1, turn + 2)}))
            stub(connection).CommitUpload(datasets_pb2.CommitUploadRequest(name=side))
            history.delete_branch(connection, history.get_branch(connection, dataset, "side"))

    await asyncio.to_thread(write, 9)
    collecting = asyncio.create_task(collect_all_the_time())
    await asyncio.gather(*(asyncio.to_thread(write, writer) for writer in range(3)))
    done.set()
    assert await collecting + await collect(postgres_url, blobs_dir, unreachable_ttl_s=0) > 0

    def verify() -> None:
        for writer in (9, 0, 1, 2):
            versions = list(datasets.list_versions(connection, f"d{writer}"))
            assert len(versions) == 4
            assert len(list(history.log(connection, f"d{writer}"))) == 4
            for version in versions:
                datasets.verify(connection, version.name)

    await asyncio.to_thread(verify)


async def test_one_stream_too_many_is_refused_with_a_hint_when_to_come_back(
    start_service: StartService, connection_to: ConnectTo
) -> None:
    """Promise 8."""
    service = await start_service(build, Settings, flight_port=0, max_put_streams=1)
    connection = connection_to(service)
    refused: list[HeadwaterError] = []

    def story() -> None:
        table = rows(*range(10))
        opened = stub(connection).CreateUpload(datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d"))

        def batches() -> Iterator[pa.RecordBatch]:
            yield from table.to_batches(max_chunksize=10_000)
            # The upload lives longer with each look at what is stored: then this stream is surely under way.
            get = datasets_pb2.GetUploadRequest(name=opened.name)
            while stub(connection).GetUpload(get).expire_time == opened.expire_time:
                time.sleep(0.05)
            with pytest.raises(HeadwaterError) as refusal:
                datasets.push(connection_to(service), "other", datasets.Tables({"train": rows(1)}))
            refused.append(refusal.value)

        slow = pa.RecordBatchReader.from_batches(table.schema, batches())
        (result,) = datasets.put(connection, opened.name, datasets.Tables({"train": slow}))
        assert result.row_count == table.num_rows
        assert refused[0].reason == "TOO_MANY_PUTS"
        assert refused[0].retry_after_ms == 1000
        # The place is free again.
        assert datasets.push(connection, "other", datasets.Tables({"train": rows(1)})).created

    await asyncio.to_thread(story)


async def test_a_reader_that_stops_reading_holds_up_nobody(
    service: Service, connection: Connection, connection_to: ConnectTo
) -> None:
    def story() -> None:
        table = rows(*range(12))
        version = datasets.push(connection, "d", datasets.Tables({"train": table})).version.name
        stalled = datasets.reader(connection_to(service), version, "train")
        assert stalled.read_next_batch().num_rows > 0
        assert datasets.reader(connection, version, "train").read_all().equals(table)
        assert stalled.read_next_batch().num_rows > 0

    await asyncio.to_thread(story)
