"""Profiles over a real service: made in the background, one after the other, each to its one end."""

import asyncio
import io
import shutil
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from chassis.auth import Role
from chassis.service import Service
from chassis.testing import StartService, eventually
from chassis.testing.bad_inputs import BAD_PAGE_TOKENS
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import datastores_pb2, profiles_pb2, views_pb2
from headwater.datasets import checkpoints, datastores, history, profiles, views
from headwater.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo

VERSION = "projects/default/datasets/d/versions/v1.0.0"
READY = profiles_pb2.DatasetProfile.STATE_READY
FRESH = profiles_pb2.DatasetProfile.FRESHNESS_FRESH
STALE = profiles_pb2.DatasetProfile.FRESHNESS_STALE
UNKNOWN = profiles_pb2.DatasetProfile.FRESHNESS_UNSPECIFIED
WAIT_S = 60.0


def table(rows: int = 1000, seed: int = 0) -> pa.Table:
    numbers = np.random.default_rng(seed)
    return pa.table(
        {
            "weight": pa.array(numbers.normal(size=rows), mask=numbers.random(rows) < 0.1),
            "label": numbers.integers(0, 3, rows),
            "where": pa.array([{"city": "Ulm", "tags": ["a", "b"][: row % 3]} for row in range(rows)]),
        }
    )


def push(connection: Connection, **splits: pa.Table) -> None:
    datasets.push(connection, "d", datasets.Tables(splits))


def columns(profile: profiles_pb2.DatasetProfile, split: int = 0) -> dict[str, profiles_pb2.ColumnProfile]:
    return {column.column: column for column in profile.splits[split].columns}


async def make(connection: Connection, version: str = "d", **options: Any) -> profiles_pb2.DatasetProfile:
    return await asyncio.to_thread(profiles.make, connection, version, timeout_s=WAIT_S, **options)


async def test_a_profile_says_what_each_column_of_each_split_is_like(connection: Connection) -> None:
    """M-22, M-99: statistics for each split."""
    train, test = table(), table(100, 1)
    await asyncio.to_thread(push, connection, train=train, test=test)
    made = await make(connection, "d@v1.0.0")
    assert made.name.startswith(f"{VERSION}/profiles/")
    assert (made.state, made.freshness, made.created_by, made.rows_done) == (READY, FRESH, "tester", 1100)
    assert [(split.split, split.row_count) for split in made.splits] == [("test", 100), ("train", 1000)]
    version = await asyncio.to_thread(datasets.get_version, connection, "d")
    assert [split.size_bytes for split in made.splits] == [split.size_bytes for split in version.splits]
    found = columns(made, 1)
    assert list(found) == ["weight", "label", "where", "where.city", "where.tags", "where.tags[]"]
    weights = train.column("weight").drop_null().to_numpy()
    assert (found["weight"].count, found["weight"].null_count) == (len(weights), 1000 - len(weights))
    assert found["weight"].numbers.min == weights.min()
    assert found["weight"].numbers.mean == pytest.approx(weights.mean())
    labels = np.bincount(train.column("label").to_numpy())
    assert {each.value: each.count for each in found["label"].top_values} == {
        str(label): count for label, count in enumerate(labels)
    }
    assert found["label"].top_values_are_all
    assert found["where.tags"].lengths.max == 2


async def test_a_profile_of_a_view_sees_the_rows_of_the_view_only(connection: Connection) -> None:
    rows = table(5000)
    await asyncio.to_thread(push, connection, train=rows)
    await asyncio.to_thread(views.create, connection, "d", "heavy", "weight > 1 AND label <> 2")
    made = await make(connection, view="heavy", columns=["label"])
    assert (made.view, made.filter) == (f"{VERSION}/views/heavy", "weight > 1 AND label <> 2")
    weights, labels = rows.column("weight").to_numpy(zero_copy_only=False), rows.column("label").to_numpy()
    kept = labels[(weights > 1) & (labels != 2)]
    assert made.splits[0].row_count == len(kept)
    assert made.rows_done == 5000
    assert list(columns(made)) == ["label"]
    assert {each.value: each.count for each in columns(made)["label"].top_values} == {
        "0": int((kept == 0).sum()),
        "1": int((kept == 1).sum()),
    }
    await asyncio.to_thread(views.delete, connection, "d", "heavy")
    again = await asyncio.to_thread(profiles.get, connection, made.name)
    assert again.filter == "weight > 1 AND label <> 2"  # it says what was looked at, whatever became of the view


async def test_chunks_that_cannot_match_are_counted_and_not_read(connection: Connection) -> None:
    """The profile of a view is that of the rows which a reader of the view gets."""
    rows = pa.table({"day": np.repeat(np.arange(20), 20_000), "x": np.random.default_rng(0).normal(size=400_000)})
    await asyncio.to_thread(push, connection, train=rows)
    await asyncio.to_thread(views.create, connection, "d", "late", "day = 19")
    made = await make(connection, view="late")
    assert (made.splits[0].row_count, made.rows_done) == (20_000, 400_000)
    assert made.splits[0].size_bytes == pytest.approx(20_000 * 18, rel=0.1)
    assert columns(made)["x"].numbers.mean == pytest.approx(rows.column("x").to_numpy()[-20_000:].mean())


async def test_the_same_rows_have_the_same_profile_wherever_they_lie(connection: Connection) -> None:
    rows = table(60_000)
    await asyncio.to_thread(push, connection, train=rows)
    one, other = await make(connection), await make(connection)
    # Rows that share some chunks with those, and so lie in other packs.
    await asyncio.to_thread(push, connection, train=rows.slice(30_000))
    await asyncio.to_thread(push, connection, train=rows.slice(0, 45_000))
    await asyncio.to_thread(push, connection, train=rows.slice(1))
    parts = datasets.Tables({"train": pa.concat_tables([rows.slice(0, 10_001), rows.slice(10_001)])})
    await asyncio.to_thread(datasets.push, connection, "e", parts)
    third = await make(connection, "e")
    assert one.name != other.name
    assert one.splits == other.splits == third.splits


async def test_every_profile_is_a_new_one_and_all_are_kept(connection: Connection) -> None:
    await asyncio.to_thread(push, connection, train=table())
    made = [await make(connection) for _ in range(3)]

    def story() -> None:
        listed = list(profiles.list_profiles(connection, "d", page_size=2))
        assert [profile.name for profile in listed] == [profile.name for profile in reversed(made)]
        assert [profile.state for profile in listed] == [READY] * 3
        assert [(split.split, split.row_count, len(split.columns)) for split in listed[0].splits] == [
            ("train", 1000, 0)
        ]
        newest = profiles.newest(connection, "d")
        assert newest == made[2]
        for token in BAD_PAGE_TOKENS.values():
            request = views_pb2.ListProfilesRequest(parent=VERSION, page_token=token)
            with pytest.raises(InvalidArgument):
                views.stub(connection).ListProfiles(request)

    await asyncio.to_thread(story)


async def test_the_newest_profile_is_one_of_all_columns_with_the_filter_of_today(connection: Connection) -> None:
    await asyncio.to_thread(push, connection, train=table())
    await asyncio.to_thread(views.create, connection, "d", "v", "label = 1")
    await make(connection, columns=["label"])
    of_view = await make(connection, view="v")
    assert await asyncio.to_thread(profiles.newest, connection, "d") is None
    assert await asyncio.to_thread(lambda: profiles.newest(connection, "d", view="v")) == of_view
    await asyncio.to_thread(views.delete, connection, "d", "v")
    await asyncio.to_thread(views.create, connection, "d", "v", "label = 2")
    assert await asyncio.to_thread(lambda: profiles.newest(connection, "d", view="v")) is None


async def test_an_empty_split_and_an_empty_view_have_profiles(connection: Connection) -> None:
    await asyncio.to_thread(push, connection, train=table(10), debug=table(10).slice(0, 0))
    await asyncio.to_thread(views.create, connection, "d", "none", "label = 7")
    made = await make(connection)
    assert [(split.split, split.row_count) for split in made.splits] == [("debug", 0), ("train", 10)]
    assert (columns(made)["weight"].count, columns(made)["weight"].HasField("numbers")) == (0, False)
    made = await make(connection, view="none")
    assert [split.row_count for split in made.splits] == [0, 0]


async def test_what_cannot_be_profiled_is_refused_by_name(connection: Connection) -> None:
    await asyncio.to_thread(push, connection, train=table())

    def story() -> None:
        for error, reason, options in (
            (InvalidArgument, "COLUMN_NOT_FOUND", {"columns": ["label", "nope"]}),
            (InvalidArgument, "COLUMN_NOT_FOUND", {"columns": ["label", "label"]}),
            (NotFound, "VIEW_NOT_FOUND", {"view": "nope"}),
        ):
            with pytest.raises(error) as refused:
                profiles.begin(connection, "d", **options)
            assert refused.value.reason == reason
        for name, reason in (("9", "INVALID_VERSION"), ("v9.0.0", "DATASET_VERSION_NOT_FOUND")):
            with pytest.raises((InvalidArgument, NotFound)) as missing:
                profiles.begin(connection, VERSION.replace("v1.0.0", name))
            assert missing.value.reason == reason
        with pytest.raises(NotFound) as gone:
            profiles.get(connection, f"{VERSION}/profiles/nope")
        assert gone.value.reason == "PROFILE_NOT_FOUND"
        kept = profiles.make(connection, "d", timeout_s=WAIT_S)
        history.archive(connection, "d@v1.0.0", "wrong labels")
        with pytest.raises(FailedPrecondition) as archived:
            profiles.begin(connection, VERSION)
        assert archived.value.reason == "DATASET_VERSION_ARCHIVED"
        assert profiles.get(connection, kept.name) == kept

    await asyncio.to_thread(story)


async def test_a_filter_that_cannot_be_computed_fails_the_profile_and_says_why(connection: Connection) -> None:
    await asyncio.to_thread(push, connection, train=table())
    await asyncio.to_thread(views.create, connection, "d", "bad", "10 / label > 3")
    with pytest.raises(profiles.ProfileFailed, match="divide by zero"):
        await make(connection, view="bad")
    assert (await make(connection)).state == READY  # others go on


async def test_a_retry_begins_no_second_profile(connection: Connection) -> None:
    """Promise 4."""
    await asyncio.to_thread(push, connection, train=table())
    request = views_pb2.CreateProfileRequest(parent=VERSION, request_id="1")

    def story() -> None:
        first = views.stub(connection).CreateProfile(request)
        assert views.stub(connection).CreateProfile(request).name == first.name
        assert len(list(profiles.list_profiles(connection, "d"))) == 1

    await asyncio.to_thread(story)


async def test_a_reader_may_look_at_profiles_and_not_begin_them(
    service: Service, connection: Connection, connection_to: ConnectTo
) -> None:
    await asyncio.to_thread(push, connection, train=table())
    made = await make(connection)
    reader = connection_to(service, Role.READER)
    assert await asyncio.to_thread(profiles.get, reader, made.name) == made
    with pytest.raises(PermissionDenied):
        await asyncio.to_thread(profiles.begin, reader, "d")


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and has next to nothing in it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


async def test_images_are_told_of_and_hostile_ones_harm_nobody(connection: Connection) -> None:
    """Promises, Datasets and Flight: 50,000 × 50,000 PNGs and truncated JPEGs."""
    picture = io.BytesIO()
    Image.new("RGB", (64, 48)).save(picture, "JPEG")
    jpeg = picture.getvalue()
    values = [jpeg] * 5 + [jpeg[: len(jpeg) // 2], png(50_000, 50_000), b"no image", None]
    await asyncio.to_thread(push, connection, train=pa.table({"image": values}))
    begun = time.monotonic()
    images = columns(await make(connection))["image"].images
    assert time.monotonic() - begun < 20
    assert (images.count, images.unreadable_count) == (6, 2)
    assert {each.value: each.count for each in images.formats} == {"JPEG": 5, "PNG": 1}
    assert (images.widths.max, images.heights.max) == (50_000, 50_000)


async def test_others_are_answered_while_a_profile_is_computed(service: Service, connection: Connection) -> None:
    """The loop that answers calls is never held up: rows are looked at in a thread, a few megabytes at a time."""
    numbers = np.random.default_rng(0)
    rows = pa.table(
        {"x": numbers.normal(size=1_500_000), "t": pa.array(numbers.integers(0, 10**9, 1_500_000)).cast(pa.string())}
    )
    await asyncio.to_thread(push, connection, train=rows)
    begun = await asyncio.to_thread(profiles.begin, connection, "d")
    longest, answered = 0.0, 0
    seen: set[int] = set()
    while True:
        before = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - before)
        if answered % 20 == 0:
            known = await asyncio.to_thread(profiles.get, connection, begun.name)
            seen.add(known.rows_done)
            if known.state == READY:
                break
            read = await asyncio.to_thread(lambda: datasets.to_arrow(connection, "d", "train", columns=["x"]))
            assert read.num_rows == 1_500_000
        answered += 1
    assert answered > 20
    assert longest < 0.5
    assert max(seen) == 1_500_000


async def begun_but_not_computed(
    start_service: StartService, connection_to: ConnectTo, rows: pa.Table
) -> tuple[Connection, str]:
    """A profile begun at a process that computes none."""
    idle = await start_service(build, Settings, flight_port=0, profilers=0)
    connection = connection_to(idle)
    await asyncio.to_thread(push, connection, train=rows)
    begun = await asyncio.to_thread(profiles.begin, connection, "d")
    return connection, begun.name


async def test_a_profile_is_computed_by_any_process(start_service: StartService, connection_to: ConnectTo) -> None:
    connection, name = await begun_but_not_computed(start_service, connection_to, table())
    with pytest.raises(profiles.ProfileNotReady):
        await asyncio.to_thread(lambda: profiles.wait(connection, name, timeout_s=0.5))
    for _ in range(2):
        await start_service(build, Settings, flight_port=0)
    done = await asyncio.to_thread(lambda: profiles.wait(connection, name, timeout_s=WAIT_S))
    assert done.rows_done == 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lake" / "rows").mkdir(parents=True)
    return tmp_path / "lake" / "rows"


async def linked(start_service: StartService, connection_to: ConnectTo, folder: Path) -> Connection:
    """A version that is a folder of Parquet files."""
    service = await start_service(build, Settings, flight_port=0, datastore_folders=str(folder.parent))
    connection = connection_to(service, Role.ADMIN)

    def story() -> None:
        pq.write_table(table(100), folder / "a.parquet")
        datastores.create(connection, "lake", datastores_pb2.LocalFolder(path=str(folder.parent)))
        datastores.link(connection, "d", "lake", path="rows/")

    await asyncio.to_thread(story)
    return connection


async def test_the_profile_of_a_place_is_stale_when_its_files_change(
    start_service: StartService, connection_to: ConnectTo, folder: Path
) -> None:
    """M-22, M-23."""
    connection = await linked(start_service, connection_to, folder)
    made = await make(connection)
    assert (made.freshness, sum(split.row_count for split in made.splits)) == (FRESH, 100)
    assert columns(made)["label"].top_values_are_all
    pq.write_table(table(50, 3), folder / "b.parquet")
    again = await asyncio.to_thread(profiles.get, connection, made.name)
    assert again.freshness == STALE
    assert again.splits == made.splits
    assert await asyncio.to_thread(profiles.newest, connection, "d") is None
    fresh = await make(connection)
    assert (fresh.freshness, sum(split.row_count for split in fresh.splits)) == (FRESH, 150)
    await asyncio.to_thread(shutil.rmtree, folder)
    gone = await asyncio.to_thread(profiles.get, connection, fresh.name)
    assert gone.freshness == UNKNOWN


async def test_the_profile_of_a_copy_stays_fresh_whatever_becomes_of_the_place(
    start_service: StartService, connection_to: ConnectTo, folder: Path
) -> None:
    """M-24, M-25: a copy comes with a new profile, which is of the copy."""
    connection = await linked(start_service, connection_to, folder)
    live = await make(connection)

    def checkpoint() -> str:
        made = checkpoints.create(connection, "d", "first", materialize=True)
        return str(checkpoints.wait(connection, made.name, timeout_s=WAIT_S).profile)

    name = await asyncio.to_thread(checkpoint)
    of_copy = await asyncio.to_thread(lambda: profiles.wait(connection, name, timeout_s=WAIT_S))
    assert of_copy.checkpoint == f"{VERSION}/checkpoints/first"
    assert of_copy.freshness == FRESH
    assert of_copy.splits[0].columns == live.splits[0].columns
    pq.write_table(table(50, 3), folder / "b.parquet")
    assert (await asyncio.to_thread(profiles.get, connection, name)).freshness == FRESH
    # Readers of the version get the copy now, and no more what was profiled before.
    assert (await asyncio.to_thread(profiles.get, connection, live.name)).freshness == STALE
    newest = await make(connection)
    assert (newest.freshness, sum(split.row_count for split in newest.splits)) == (FRESH, 100)


async def test_a_place_that_is_gone_fails_the_profile_and_says_so(
    start_service: StartService, connection_to: ConnectTo, folder: Path
) -> None:
    connection = await linked(start_service, connection_to, folder)
    (folder / "a.parquet").write_bytes(b"PAR1 and nothing more")
    with pytest.raises(profiles.ProfileFailed):
        await make(connection)


def flip_a_bit(blobs_dir: Path) -> None:
    largest = max((path for path in blobs_dir.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.chmod(0o644)
    largest.write_bytes(content)


async def test_rows_that_were_damaged_are_never_profiled(connection: Connection, blobs_dir: Path) -> None:
    """Promise 5."""
    await asyncio.to_thread(push, connection, train=table(100_000))
    await asyncio.to_thread(flip_a_bit, blobs_dir)
    with pytest.raises(profiles.ProfileFailed, match="do not match their digest"):
        await make(connection)


async def test_a_process_that_drains_leaves_its_profile_to_others_at_once(
    start_service: StartService, connection_to: ConnectTo
) -> None:
    """Promise 10: the lease is given back, not waited for."""
    rows = pa.table({"x": np.random.default_rng(0).normal(size=3_000_000)})
    connection, name = await begun_but_not_computed(start_service, connection_to, rows)
    first = await start_service(build, Settings, flight_port=0, profile_lease_s=600)

    def is_on_its_way() -> bool:
        return profiles.get(connection, name).rows_done > 0

    await eventually(_in_thread(is_on_its_way), timeout_s=WAIT_S)
    await first.stop()
    await start_service(build, Settings, flight_port=0, profile_lease_s=600)
    done = await asyncio.to_thread(lambda: profiles.wait(connection, name, timeout_s=WAIT_S))
    assert (done.rows_done, done.splits[0].row_count) == (3_000_000, 3_000_000)


def _in_thread(condition: Callable[[], bool]) -> Callable[[], Any]:
    async def ask() -> bool:
        return await asyncio.to_thread(condition)

    return ask
