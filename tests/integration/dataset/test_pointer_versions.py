"""Versions that are places: read where their rows are, until a checkpoint holds a copy."""

import asyncio
import functools
import json
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
import pytest_asyncio
from adbc_driver_postgresql import dbapi  # type: ignore[import-untyped]

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datastores_pb2, history_pb2, views_pb2
from headwater.datasets import changes, checkpoints, datastores, history
from headwater.datasets.catalog import history_stub
from headwater.errors import Aborted, HeadwaterError, NotFound
from headwater.files import Source
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo
from tests.integration.dataset.places import Bucket, parquet, postgresql, s3_bucket, sqlite


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with s3_bucket() as made:
        yield made


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest_asyncio.fixture
async def service(start_service: StartService, lake: Path, request: pytest.FixtureRequest) -> Service:
    """With what of the places outside the test wants to read."""
    hosts = []
    if "bucket" in request.fixturenames:
        hosts.append(request.getfixturevalue("bucket").host)
    if "empty_postgres_url" in request.fixturenames:
        url = request.getfixturevalue("empty_postgres_url")
        hosts.append(urllib.parse.urlsplit(url).netloc.rpartition("@")[2])
    return await start_service(
        build,
        Settings,
        flight_port=0,
        pack_max_bytes=4 << 20,
        datastore_folders=str(lake),
        datastore_hosts=",".join(hosts),
        datastore_spool_max_bytes=1 << 20,
        checkpoint_poll_interval_s=0.1,
    )


@pytest.fixture
def admin(service: Service, connection_to: ConnectTo) -> Connection:
    return connection_to(service, Role.ADMIN)


def folder(lake: Path) -> datastores_pb2.LocalFolder:
    return datastores_pb2.LocalFolder(path=str(lake))


def rows(connection: Connection, version: str, split: str = "train", **choice: object) -> pa.Table:
    return datasets.reader(connection, version, split, **choice).read_all()  # type: ignore[arg-type]


def reason_of(work: Callable[[], object]) -> str:
    with pytest.raises(HeadwaterError) as refusal:
        work()
    return refusal.value.reason


async def test_files_of_a_folder_are_read_where_they_are(admin: Connection, lake: Path) -> None:
    """M-18, M-13."""
    (lake / "day").mkdir()
    for part in range(3):
        (lake / "day" / f"{part}.parquet").write_bytes(parquet({"n": [part * 2, part * 2 + 1], "t": ["a", "b"]}))

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        linked = datastores.link(admin, "d", "lake", path="day/", message="the first")
        version = linked.dataset_version
        assert (linked.created, version.name) == (True, "projects/default/datasets/d/versions/v1.0.0")
        assert (version.digest, list(version.splits), version.row_count) == ("", [], 0)
        assert version.definition.data_path.relative_path == "day/"
        assert version.definition.data_path.datastore == "projects/default/datastores/lake"
        assert rows(admin, "d").to_pydict() == {"n": [0, 1, 2, 3, 4, 5], "t": ["a", "b"] * 3}
        assert rows(admin, "d@main", columns=["t"], filter="n > 3").to_pydict() == {"t": ["a", "b"]}
        # What is there now is what is read.
        (lake / "day" / "3.parquet").write_bytes(parquet({"n": [6], "t": ["c"]}))
        assert rows(admin, "d").num_rows == 7
        # A new name of the datastore changes nothing.
        datastores.rename(admin, "lake", "pond")
        assert rows(admin, "d").num_rows == 7
        renamed = datasets.get_version(admin, "d").definition.data_path.datastore
        assert renamed == "projects/default/datastores/pond"
        datastores.archive(admin, "pond")
        assert reason_of(lambda: rows(admin, "d")) == "DATASTORE_ARCHIVED"
        assert reason_of(lambda: datastores.link(admin, "e", "pond", path="day/")) == "DATASTORE_NOT_FOUND"

    await asyncio.to_thread(story)


async def test_the_copy_of_a_place_is_split_and_without_one_it_is_said_how_to_make_it(
    admin: Connection, lake: Path
) -> None:
    (lake / "n.parquet").write_bytes(parquet({"n": list(range(100))}))

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        datastores.link(admin, "d", "lake", path="n.parquet")
        rule = "hash:n,a=0.5,b=0.5"
        assert reason_of(lambda: datasets.split(admin, "d", rule)) == "NO_ROWS_STORED"
        begun = checkpoints.create(admin, "d", "copy", materialize=True)
        copy = checkpoints.wait(admin, begun.name, timeout_s=60, interval_s=0.05)
        (lake / "n.parquet").write_bytes(parquet({"n": [1000]}))
        halves = datasets.split(admin, "d", rule, into="halves")
        parts = [rows(admin, "halves", split).column("n").to_pylist() for split in ("a", "b")]
        assert sorted([*parts[0], *parts[1]]) == list(range(100))
        flow = halves.commit.definition.dataflow
        assert json.loads(flow.spec_json) == {
            "format": "headwater.split/1",
            "split_by": rule,
            "checkpoint": copy.name,
        }
        assert list(flow.inputs) == [datasets.get_version(admin, "d").name]

    await asyncio.to_thread(story)


async def test_a_place_is_not_compared_or_changed_and_what_is_advised_instead_helps(
    admin: Connection, lake: Path, tmp_path: Path
) -> None:
    """A copy alone would change nothing: it belongs to a checkpoint."""
    (lake / "n.parquet").write_bytes(parquet({"n": [1, 2, 3]}))

    def change() -> None:
        with changes.edit(admin, "d") as edit:
            edit.replace("train", 0, 1, pa.table({"n": [7]}))

    def refused(work: Callable[[], object], reason: str) -> None:
        with pytest.raises(HeadwaterError, match="headwater dataset export DATASET@VERSION FOLDER") as refusal:
            work()
        assert refusal.value.reason == reason

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        datastores.link(admin, "d", "lake", path="n.parquet")
        history.create_branch(admin, "d", "side")
        for name in ("d", "side"):
            datastores.link(admin, "d", "lake", path="", branch="main" if name == "d" else name, message=name)
        copy = checkpoints.create(admin, "d", "copy", materialize=True)
        checkpoints.wait(admin, copy.name, timeout_s=60, interval_s=0.05)
        refused(lambda: changes.diff(admin, "d@v1.0.0", "d@v1.1.0"), "NO_ROWS_OF_ITS_OWN")
        refused(lambda: changes.merge(admin, "d", "side"), "NO_ROWS_OF_ITS_OWN")
        refused(lambda: changes.revert(admin, "d", "v1.1.0"), "NO_ROWS_OF_ITS_OWN")
        refused(change, "BASE_HAS_NO_ROWS")
        datasets.export_version(admin, "d", tmp_path / "rows")
        pushed = datasets.push(admin, "d", Source(tmp_path / "rows"))
        change()
        sums = changes.diff(admin, pushed.version.name, "d").splits
        assert [(each.split, each.changed + each.added, each.removed) for each in sums] == [("train", 1, 1)]

    await asyncio.to_thread(story)


async def test_a_bucket_is_read_with_less_disk_than_its_files_take(admin: Connection, bucket: Bucket) -> None:
    """Each file is 300 KB; the spool has room for three of eight."""
    for part in range(8):
        values = [f"{part}-{row:08}" * 3 for row in range(10_000)]
        bucket.put(f"big/{part}.csv", ("text\n" + "\n".join(values) + "\n").encode())
    bucket.put("one.csv", b"a,b\n1,x\n2,y\n")
    bucket.put("images/cat/1.png", b"\x89PNG\r\n\x1a\n1")
    bucket.put("images/dog/2.png", b"\x89PNG\r\n\x1a\n2")
    bucket.put("huge.csv", b"a\n" + b"1\n" * (1 << 20))

    def story() -> None:
        datastores.create(admin, "bucket", bucket.place, credentials=bucket.credentials)
        for name, path in (("big", "big/"), ("one", "one.csv"), ("images", "images/"), ("huge", "huge.csv")):
            datastores.link(admin, name, "bucket", path=path)
        datastores.link(admin, "nothing", "bucket", path="nothing/")
        read = rows(admin, "big")
        assert read.num_rows == 80_000
        assert read.column("text")[79_999].as_py() == "7-00009999" * 3
        assert rows(admin, "one").to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
        images = rows(admin, "images")
        assert images.column("label").to_pylist() == ["cat", "dog"]
        assert images.column("path").to_pylist() == ["cat/1.png", "dog/2.png"]
        assert reason_of(lambda: rows(admin, "huge")) == "SPOOL_TOO_SMALL"
        assert reason_of(lambda: rows(admin, "nothing")) == "DATA_PATH_NOT_FOUND"

    await asyncio.to_thread(story)


async def test_tables_and_queries_of_databases_are_read_and_never_written(
    admin: Connection, lake: Path, empty_postgres_url: str
) -> None:
    place, credentials = postgresql(empty_postgres_url)
    with dbapi.connect(empty_postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA sales")
        cursor.execute(
            "CREATE TABLE sales.\"or'ders\" AS SELECT n AS id, 'item ' || n AS item FROM generate_series(0, 9) n"
        )
        connection.commit()

    def story() -> None:
        datastores.create(admin, "shop", place, credentials=credentials)
        datastores.create(admin, "file", sqlite(lake / "rows.sqlite", 10))
        datastores.link(admin, "a", "shop", table="sales.or'ders")
        datastores.link(admin, "b", "file", table="orders")
        datastores.link(admin, "c", "shop", query='SELECT id FROM sales."or\'ders" ORDER BY id DESC;')
        datastores.link(admin, "w", "file", table="orders", split_by="ratio:train=0.5,test=0.5,seed=1")
        assert rows(admin, "a", filter="id >= 8").to_pydict() == {"id": [8, 9], "item": ["item 8", "item 9"]}
        assert rows(admin, "b").column("item").to_pylist() == [f"item {n}" for n in range(10)]
        assert rows(admin, "c").column("id").to_pylist() == list(range(9, -1, -1))
        halves = [rows(admin, "w", split).column("id").to_pylist() for split in ("train", "test")]
        assert sorted([*halves[0], *halves[1]]) == list(range(10))
        for number, (store, query) in enumerate(
            (
                ("shop", 'DELETE FROM sales."or\'ders" RETURNING id'),
                ("shop", 'WITH x AS (DELETE FROM sales."or\'ders" RETURNING id) SELECT id FROM x'),
                ("shop", 'SELECT 1 AS a; DROP TABLE sales."or\'ders"'),
                ("shop", "SELECT 1) TO PROGRAM 'touch /tmp/x' --"),
                ("shop", "SELECT nextval('sales.none')"),
                ("shop", "SELECT set_config('transaction_read_only', 'off', false) AS a"),
                ("file", "DELETE FROM orders RETURNING id"),
                ("file", f"ATTACH DATABASE '{lake}/new.sqlite' AS other"),
                ("file", "SELECT load_extension('x')"),
            )
        ):
            datastores.link(admin, f"x{number}", store, query=query)
            assert (query, reason_of(functools.partial(rows, admin, f"x{number}"))) == (query, "DATA_PATH_UNREADABLE")
        assert not (lake / "new.sqlite").exists()
        assert rows(admin, "a").num_rows == rows(admin, "b").num_rows == 10

    await asyncio.to_thread(story)


async def test_a_million_rows_of_a_table_stream_in_bounded_memory(admin: Connection, empty_postgres_url: str) -> None:
    place, credentials = postgresql(empty_postgres_url)
    with dbapi.connect(empty_postgres_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE rows AS SELECT n, repeat('x', 200) AS text FROM generate_series(1, 1000000) n")
        connection.commit()

    def story() -> None:
        datastores.create(admin, "shop", place, credentials=credentials)
        datastores.link(admin, "d", "shop", table="rows")
        reader = datasets.reader(admin, "d", "train")
        process, count, most = psutil.Process(), reader.read_next_batch().num_rows, 0
        before = process.memory_info().rss
        for batch in reader:
            count += batch.num_rows
            most = max(most, process.memory_info().rss)
        assert count == 1_000_000
        # Server and client are one process here, and there are 208 MB of rows.
        assert most - before < 128 << 20

    await asyncio.to_thread(story)


async def test_a_place_is_read_from_its_beginning_and_says_so(admin: Connection, lake: Path) -> None:
    (lake / "rows.csv").write_text("a\n1\n2\n")

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        datastores.link(admin, "d", "lake", path="rows.csv")
        for choice in (
            {"shard": (0, 2)},
            {"first_row": 1},
            {"shuffle": (1, 2)},
            {"global_batch_rows": 2},
        ):
            assert reason_of(functools.partial(rows, admin, "d", **choice)) == "READ_LIVE_ONLY_WHOLE"
        assert rows(admin, "d", row_limit=1).to_pydict() == {"a": [1]}
        assert rows(admin, "d", row_limit=5, filter="a > 1").to_pydict() == {"a": [2]}
        assert rows(admin, "d", row_limit=1, filter="a > 1").num_rows == 0
        assert reason_of(lambda: rows(admin, "d", "test")) == "SPLIT_NOT_FOUND"
        assert reason_of(lambda: rows(admin, "d", columns=["z"])) == "COLUMN_NOT_FOUND"
        assert reason_of(lambda: rows(admin, "d", filter="z > 1")) == "INVALID_FILTER"
        assert reason_of(lambda: rows(admin, "d", checkpoint="none")) == "CHECKPOINT_NOT_FOUND"
        history.archive(admin, "d@v1.0.0", "no more")
        assert reason_of(lambda: rows(admin, "d")) == "DATASET_VERSION_ARCHIVED"

    await asyncio.to_thread(story)


async def test_a_place_is_committed_as_rows_are(admin: Connection, lake: Path) -> None:
    """Promises 3 and 4; M-18: another definition is another commit."""
    (lake / "a.csv").write_text("a\n1\n")
    (lake / "b.csv").write_text("a\n2\n")

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        first = datastores.link(admin, "d", "lake", path="a.csv")
        again = datastores.link(admin, "d", "lake", path="a.csv")
        assert (again.created, again.commit) == (False, first.commit)
        second = datastores.link(admin, "d", "lake", path="b.csv", base_commit=first.commit.name)
        assert (second.created, second.dataset_version.name[-6:]) == (True, "v1.1.0")
        assert list(second.commit.parents) == [first.commit.name]
        with pytest.raises(Aborted) as refusal:
            datastores.link(admin, "d", "lake", path="a.csv", base_commit=first.commit.name)
        assert refusal.value.reason == "BRANCH_MOVED"
        pushed = datasets.push(admin, "d", datasets.Tables({"train": pa.table({"a": [3]})}))
        assert pushed.version.name.endswith("v1.2.0") or pushed.version.name.endswith("v2.0.0")
        assert [rows(admin, f"d@{v}").to_pydict()["a"] for v in ("v1.0.0", "v1.1.0", "main")] == [[1], [2], [3]]
        with pytest.raises(NotFound):
            datastores.link(admin, "d", "lake", path="a.csv", branch="side")
        history.create_branch(admin, "d", "side")
        side = datastores.link(admin, "d", "lake", path="a.csv", branch="side")
        assert not side.HasField("dataset_version")
        assert rows(admin, "d@side").to_pydict() == {"a": [1]}
        log = history_stub(admin).ListCommits(history_pb2.ListCommitsRequest(parent="projects/default/datasets/d"))
        assert len(log.commits) == 3

    await asyncio.to_thread(story)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a\0", "a//b"])
async def test_a_path_that_leads_out_is_never_committed(admin: Connection, lake: Path, path: str) -> None:
    """Promise 13."""

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        assert reason_of(lambda: datastores.link(admin, "d", "lake", path=path)) in (
            "INVALID_DATA_PATH",
            "INVALID_FIELDS",
        )
        assert list(datasets.list_datasets(admin)) == []

    await asyncio.to_thread(story)


async def test_a_copy_is_what_readers_get_whatever_becomes_of_the_place(admin: Connection, lake: Path) -> None:
    """M-24 to M-26."""
    (lake / "rows.csv").write_text("a,b\n1,x\n2,y\n3,z\n")

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        datastores.link(admin, "d", "lake", path="rows.csv", split_by="hash:a,train=0.5,test=0.5")
        bare = checkpoints.create(admin, "d", "bare")
        assert (bare.state, bare.materialized, bare.profile != "") == (
            views_pb2.DatasetCheckpoint.STATE_READY,
            False,
            True,
        )
        begun = checkpoints.create(admin, "d@v1.0.0", "first", materialize=True)
        first = checkpoints.wait(admin, begun.name, timeout_s=60, interval_s=0.05)
        assert (first.materialized, first.profile.rpartition("/")[0]) == (True, bare.profile.rpartition("/")[0])
        assert first.profile != bare.profile
        # The same rows as if they had been pushed: the same digest.
        live = {split.name: rows(admin, "d", split.name) for split in first.splits}
        pushed = datasets.push(admin, "p", datasets.Tables(live))
        assert pushed.version.digest == first.digest
        assert sorted(n for each in live.values() for n in each.column("a").to_pylist()) == [1, 2, 3]
        split = first.splits[0].name
        (lake / "rows.csv").write_text("a,b\n9,x\n")
        assert rows(admin, "d", split) == live[split]
        assert rows(admin, "d", split, shuffle=(1, 1), global_batch_rows=2).num_rows == live[split].num_rows
        second = checkpoints.wait(
            admin, checkpoints.create(admin, "d", "second", materialize=True).name, timeout_s=60, interval_s=0.05
        )
        assert second.digest != first.digest
        only = second.splits[0].name
        assert rows(admin, "d", only).column("a").to_pylist() == [9]
        assert rows(admin, "d", split, checkpoint="first") == live[split]
        listed = [each.name.rpartition("/")[2] for each in checkpoints.list_checkpoints(admin, "d")]
        assert listed == ["second", "first", "bare"]
        assert reason_of(lambda: rows(admin, "d", checkpoint="bare")) == "CHECKPOINT_HAS_NO_ROWS"
        datastores.archive(admin, "lake")
        assert rows(admin, "d", only).column("a").to_pylist() == [9]

    await asyncio.to_thread(story)


async def test_a_copy_of_stored_rows_takes_no_space_and_is_there_at_once(admin: Connection, blobs_dir: Path) -> None:
    """M-24, M-25: and it has a profile of its own, even if there is one already."""

    def story() -> None:
        pushed = datasets.push(admin, "d", datasets.Tables({"train": pa.table({"a": list(range(1000))})}))
        before = {path for path in blobs_dir.rglob("*") if path.is_file()}
        first = checkpoints.create(admin, "d", "one", materialize=True)
        second = checkpoints.create(admin, "d", "two", materialize=True)
        assert (first.state, first.digest) == (views_pb2.DatasetCheckpoint.STATE_READY, pushed.version.digest)
        assert list(first.splits) == list(pushed.version.splits)
        assert first.profile != second.profile
        assert {path for path in blobs_dir.rglob("*") if path.is_file()} == before
        assert rows(admin, "d", checkpoint="one").num_rows == 1000
        for taken in ("one", "ONE"):
            assert reason_of(functools.partial(checkpoints.create, admin, "d", taken)) == "CHECKPOINT_ALREADY_EXISTS"
        history.archive(admin, "d@v1.0.0", "no more")
        assert reason_of(lambda: checkpoints.create(admin, "d", "three")) == "DATASET_VERSION_ARCHIVED"

    await asyncio.to_thread(story)


async def test_a_copy_that_cannot_be_made_says_why_without_a_path_or_a_secret(
    admin: Connection, lake: Path, bucket: Bucket
) -> None:
    """Promises 6 and 16."""
    (lake / "rows.parquet").write_bytes(b"PAR1 and no more")
    bucket.put("rows.csv", b"a\n1\n")

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        datastores.create(admin, "bucket", bucket.place, credentials=bucket.credentials)
        datastores.link(admin, "a", "lake", path="rows.parquet")
        datastores.link(admin, "b", "bucket", path="missing.csv")
        for name, wanted in (("a", "DATA_PATH_UNREADABLE"), ("b", "DATA_PATH_NOT_FOUND")):
            made = checkpoints.create(admin, name, "copy", materialize=True)
            with pytest.raises(checkpoints.CheckpointFailed) as failure:
                checkpoints.wait(admin, made.name, timeout_s=60, interval_s=0.05)
            said = str(failure.value)
            assert wanted in said
            assert str(lake) not in said
            assert bucket.credentials["secret_access_key"] not in said
            assert list(checkpoints.get(admin, made.name).splits) == []

    await asyncio.to_thread(story)


async def test_a_place_that_is_away_keeps_no_other_copy_waiting(admin: Connection, lake: Path, bucket: Bucket) -> None:
    """It is tried again later, and the others meanwhile."""
    (lake / "rows.csv").write_text("a\n1\n")
    bucket.put("rows.csv", b"a\n1\n")

    def story() -> None:
        datastores.create(admin, "lake", folder(lake))
        datastores.create(admin, "bucket", bucket.place, credentials=bucket.credentials)
        datastores.link(admin, "away", "bucket", path="rows.csv")
        datastores.link(admin, "here", "lake", path="rows.csv")
        bucket.go_away()
        waiting = checkpoints.create(admin, "away", "copy", materialize=True)
        copies = [checkpoints.create(admin, "here", f"copy-{number}", materialize=True) for number in range(3)]
        for copy in copies:
            checkpoints.wait(admin, copy.name, timeout_s=30, interval_s=0.05)
        assert checkpoints.get(admin, waiting.name).state == views_pb2.DatasetCheckpoint.STATE_RUNNING

    await asyncio.to_thread(story)
