"""Rows read where they are: by clients that know only Arrow, that go away, that stall, while the place changes."""

import asyncio
import contextlib
import functools
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet
import pytest
import pytest_asyncio
from pyarrow import flight

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datastores_pb2, flight_pb2
from headwater.datasets import checkpoints, datastores, history, proofs
from headwater.errors import FailedPrecondition, HeadwaterError, ResourceExhausted
from headwater.flight import flight_errors
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo
from tests.integration.dataset.places import SECRET, parquet, s3_bucket, sqlite

STALL_S = 1.0
COMMAND = "headwater dataset checkpoint create"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest_asyncio.fixture
async def service(start_service: StartService, lake: Path) -> Service:
    """Which reads one place at a time, for readers that do not stall."""
    return await start_service(
        build,
        Settings,
        flight_port=0,
        datastore_folders=str(lake),
        max_datastore_reads=1,
        datastore_reader_timeout_s=STALL_S,
        checkpoint_poll_interval_s=0.1,
        profilers=0,
    )


@pytest_asyncio.fixture
async def admin(service: Service, connection_to: ConnectTo, lake: Path) -> Connection:
    """A connection; ``lake`` is the datastore of the folder."""
    connection = connection_to(service, Role.ADMIN)
    place = datastores_pb2.LocalFolder(path=str(lake))
    await asyncio.to_thread(datastores.create, connection, "lake", place)
    return connection


def rows(connection: Connection, version: str, **choice: object) -> pa.Table:
    return datasets.reader(connection, version, "train", **choice).read_all()  # type: ignore[arg-type]


def refusal_of(work: Callable[[], object]) -> HeadwaterError:
    with pytest.raises(HeadwaterError) as refusal:
        work()
    return refusal.value


def big_file(lake: Path) -> int:
    """48 MB in row groups of 1 MB that do not compress; returns how many rows."""
    random = np.random.default_rng(0)
    with pyarrow.parquet.ParquetWriter(lake / "big.parquet", pa.schema({"x": pa.float64()})) as writer:
        for _ in range(48):
            writer.write_table(pa.table({"x": random.random(1 << 17)}))
    return 48 << 17


def is_open(path: Path) -> bool:
    """Whether this process, which the service is in, holds the file open or mapped."""
    handles = {os.readlink(handle) for handle in _handles()}
    return str(path) in handles or str(path) in Path("/proc/self/maps").read_text()


def _handles() -> Iterator[Path]:
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            os.readlink(handle)
            yield handle


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def path_of(version: str) -> flight.FlightDescriptor:
    return flight.FlightDescriptor.for_path(*version.split("/"), "train")


async def test_a_client_that_knows_only_arrow_reads_files_and_tables(admin: Connection, lake: Path) -> None:
    """M-13, M-18: one endpoint, of as many rows as there will be."""
    (lake / "rows.csv").write_text("a,b\n1,x\n2,y\n")

    def story() -> None:
        datastores.create(admin, "shop", sqlite(lake / "shop.sqlite", 5))
        datastores.link(admin, "files", "lake", path="rows.csv")
        datastores.link(admin, "table", "shop", table="orders")
        client, options = admin.flight(), admin.flight_options()
        for name, expected in (("files", {"a": [1, 2], "b": ["x", "y"]}), ("table", {"id": list(range(5))})):
            info = client.get_flight_info(path_of(f"projects/default/datasets/{name}/versions/v1.0.0"), options)
            assert (info.total_records, info.total_bytes, len(info.endpoints)) == (-1, -1, 1)
            assert flight_pb2.EndpointMetadata.FromString(info.endpoints[0].app_metadata).is_live
            table = client.do_get(info.endpoints[0].ticket, options).read_all()
            assert table.schema.equals(info.schema, check_metadata=True)
            assert table.select(list(expected)).to_pydict() == expected
        pushed = datasets.push(admin, "stored", datasets.Tables({"train": pa.table({"a": [1]})})).version
        (endpoint,) = client.get_flight_info(path_of(pushed.name), options).endpoints
        assert not flight_pb2.EndpointMetadata.FromString(endpoint.app_metadata).is_live

    await asyncio.to_thread(story)


async def test_a_large_file_is_read_with_little_memory(admin: Connection, lake: Path) -> None:
    """R-31. Server and client are one process here."""

    def story() -> None:
        expected = big_file(lake)
        datastores.link(admin, "d", "lake", path="big.parquet")
        reader = datasets.reader(admin, "d", "train")
        process, count, most = psutil.Process(), reader.read_next_batch().num_rows, 0
        before = process.memory_info().rss
        for batch in reader:
            count += batch.num_rows
            most = max(most, process.memory_info().rss)
        assert count == expected
        assert most - before < 32 << 20
        wait_until(lambda: not is_open(lake / "big.parquet"))

    await asyncio.to_thread(story)


async def test_a_reader_that_goes_away_frees_its_place_and_closes_the_file(admin: Connection, lake: Path) -> None:
    """Promise 8."""
    (lake / "rows.csv").write_text("a\n1\n")

    def story() -> None:
        big_file(lake)
        datastores.link(admin, "d", "lake", path="big.parquet")
        datastores.link(admin, "e", "lake", path="rows.csv")
        client, options = admin.flight(), admin.flight_options()
        info = client.get_flight_info(path_of("projects/default/datasets/d/versions/v1.0.0"), options)
        stream = client.do_get(info.endpoints[0].ticket, options)
        assert stream.read_chunk().data.num_rows > 0
        assert is_open(lake / "big.parquet")
        refused = refusal_of(lambda: rows(admin, "e"))
        assert (type(refused), refused.reason) == (ResourceExhausted, "TOO_MANY_DATASTORE_READS")
        assert refused.retry_after_ms
        stream.cancel()
        wait_until(lambda: not is_open(lake / "big.parquet"))
        wait_until(lambda: _is_free(admin, "e"))
        assert rows(admin, "e").num_rows == 1

    await asyncio.to_thread(story)


def _is_free(connection: Connection, version: str) -> bool:
    try:
        return bool(rows(connection, version).num_rows)
    except ResourceExhausted:
        return False


async def test_a_reader_that_stalls_loses_its_place_to_others(admin: Connection, lake: Path) -> None:
    """And is told so when it goes on."""
    (lake / "rows.csv").write_text("a\n1\n")

    def story() -> None:
        big_file(lake)
        datastores.link(admin, "d", "lake", path="big.parquet")
        datastores.link(admin, "e", "lake", path="rows.csv")
        stalled = datasets.reader(admin, "d", "train")
        assert stalled.read_next_batch().num_rows > 0
        wait_until(lambda: not is_open(lake / "big.parquet"))
        assert rows(admin, "e").num_rows == 1
        assert refusal_of(stalled.read_all).reason == "READ_STALLED"

    await asyncio.to_thread(story)


async def test_a_place_that_changes_its_columns_is_not_read_as_if_it_had_not(admin: Connection, lake: Path) -> None:
    """Neither where it is, nor in a copy that was made meanwhile."""
    (lake / "rows.csv").write_text("a,b\n1,x\n")

    def story() -> None:
        datastores.link(admin, "d", "lake", path="rows.csv")
        client, options = admin.flight(), admin.flight_options()
        name = "projects/default/datasets/d/versions/v1.0.0"
        whole = client.get_flight_info(path_of(name), options).endpoints[0].ticket
        command = flight_pb2.GetCommand(version=name, split="train", columns=["a"]).SerializeToString()
        narrow = client.get_flight_info(flight.FlightDescriptor.for_command(command), options).endpoints[0].ticket

        def redeem(ticket: flight.Ticket) -> pa.Table:
            with flight_errors():
                return client.do_get(ticket, options).read_all()

        (lake / "rows.csv").write_text("a,b\n1,x\n2,y\n")
        assert redeem(whole).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
        (lake / "rows.csv").write_text("a,b\n1,2.5\n")
        assert refusal_of(lambda: redeem(whole)).reason == "PLACE_CHANGED"
        # Of what has changed, this reader sees nothing.
        assert redeem(narrow).to_pydict() == {"a": [1]}
        checkpoints.wait(
            admin, checkpoints.create(admin, "d", "copy", materialize=True).name, timeout_s=60, interval_s=0.05
        )
        assert refusal_of(lambda: redeem(whole)).reason == "PLACE_CHANGED"
        assert redeem(narrow).to_pydict() == {"a": [1]}
        assert rows(admin, "d").to_pydict() == {"a": [1], "b": [2.5]}

    await asyncio.to_thread(story)


async def test_a_place_that_is_gone_says_so_and_is_read_again_when_it_is_back(admin: Connection, lake: Path) -> None:
    def story() -> None:
        sqlite(lake / "shop.sqlite", 3)
        (lake / "rows.csv").write_text("a\n1\n")
        datastores.create(
            admin,
            "shop",
            datastores_pb2.SqlDatabase(
                dialect=datastores_pb2.SqlDatabase.DIALECT_SQLITE, database=str(lake / "shop.sqlite")
            ),
        )
        datastores.link(admin, "table", "shop", table="orders")
        datastores.link(admin, "files", "lake", path="rows.csv")
        moved = [(lake / name, lake / f"{name}.away") for name in ("shop.sqlite", "rows.csv")]
        for path, away in moved:
            path.rename(away)
        for name, said in (("table", "There is no such file"), ("files", "There is nothing at the path")):
            refused = refusal_of(functools.partial(rows, admin, name))
            assert said in str(refused)
            assert str(lake) not in str(refused)
        for path, away in moved:
            away.rename(path)
        assert [rows(admin, name).num_rows for name in ("table", "files")] == [3, 1]
        with contextlib.closing(sqlite3.connect(lake / "shop.sqlite")) as database:
            database.execute("DROP TABLE orders")
        refused = refusal_of(lambda: rows(admin, "table"))
        assert refused.reason == "DATA_PATH_UNREADABLE"

    await asyncio.to_thread(story)


async def test_a_bucket_that_goes_away_says_no_secret(
    start_service: StartService, connection_to: ConnectTo, lake: Path
) -> None:
    """Promise 16."""
    with s3_bucket() as bucket:
        service = await start_service(build, Settings, flight_port=0, datastore_hosts=bucket.host, profilers=0)
        admin = connection_to(service, Role.ADMIN)
        bucket.put("rows.csv", b"a\n1\n")

        def link() -> None:
            datastores.create(admin, "bucket", bucket.place, credentials=bucket.credentials)
            datastores.link(admin, "d", "bucket", path="rows.csv")
            assert rows(admin, "d").num_rows == 1

        await asyncio.to_thread(link)
    refused = await asyncio.to_thread(refusal_of, lambda: rows(admin, "d"))
    assert refused.reason == "PLACE_UNREACHABLE"
    for secret in (SECRET, bucket.credentials["access_key_id"], "Authorization"):
        assert secret not in f"{refused} {refused.metadata}"


async def test_what_only_a_copy_can_do_tells_how_to_make_one(admin: Connection, lake: Path) -> None:
    """M-26: and works when there is one; of an archived version neither works."""
    (lake / "rows.csv").write_text("a\n1\n2\n3\n")

    def story() -> None:
        datastores.link(admin, "d", "lake", path="rows.csv")
        digest = proofs.row_digests(pa.table({"a": [2]}))[0]
        uses: list[Callable[[], object]] = [
            lambda: rows(admin, "d", shard=(0, 2)),
            lambda: rows(admin, "d", shuffle=(1, 1)),
            lambda: rows(admin, "d", global_batch_rows=2),
            lambda: rows(admin, "d", first_row=1),
            lambda: proofs.prove(admin, "d", digest),
            lambda: datasets.open_local(admin, "d", "train"),
            lambda: datasets.verify(admin, "d"),
        ]
        for number, use in enumerate(uses):
            refused = refusal_of(use)
            assert (number, isinstance(refused, FailedPrecondition), COMMAND in str(refused)) == (number, True, True)
        begun = checkpoints.create(admin, "d", "bare").name.rpartition("/")[2]
        assert refusal_of(lambda: rows(admin, "d", checkpoint=begun)).reason == "CHECKPOINT_HAS_NO_ROWS"
        copy = checkpoints.create(admin, "d", "copy", materialize=True)
        checkpoints.wait(admin, copy.name, timeout_s=60, interval_s=0.05)
        for use in uses:
            use()
        assert proofs.check_proof(proofs.prove(admin, "d", digest)).is_present
        history.archive(admin, "d@v1.0.0", "no more")
        for choice in ({}, {"checkpoint": "copy"}):
            refused = refusal_of(functools.partial(rows, admin, "d@v1.0.0", **choice))
            assert refused.reason == "DATASET_VERSION_ARCHIVED"

    await asyncio.to_thread(story)


async def test_a_copy_that_is_being_made_is_not_read(admin: Connection, lake: Path) -> None:
    """Whoever names it is told; whoever does not reads the place."""
    (lake / "rows.parquet").write_bytes(parquet({"a": [1, 2]}))

    def story() -> None:
        big_file(lake)
        datastores.link(admin, "big", "lake", path="big.parquet")
        datastores.link(admin, "d", "lake", path="rows.parquet")
        # Whoever copies takes the only place in which one may read; it comes again when that is free.
        stalled = datasets.reader(admin, "big", "train")
        assert stalled.read_next_batch().num_rows
        copy = checkpoints.create(admin, "d", "copy", materialize=True)
        refused = refusal_of(lambda: rows(admin, "d", checkpoint="copy"))
        assert (refused.reason, refused.metadata["state"]) == ("CHECKPOINT_HAS_NO_ROWS", "running")
        assert rows_when_free(admin, "d").num_rows == 2
        checkpoints.wait(admin, copy.name, timeout_s=60, interval_s=0.05)
        assert rows(admin, "d", checkpoint="copy").num_rows == 2

    await asyncio.to_thread(story)


def rows_when_free(connection: Connection, version: str) -> pa.Table:
    wait_until(lambda: _is_free(connection, version))
    return rows(connection, version)
