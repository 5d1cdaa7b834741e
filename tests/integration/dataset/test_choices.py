"""Reading some rows, through filters and views, in orders, and by any name of a commit."""

import asyncio
import itertools
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import flight

from chassis.service import Service
from chassis.testing import StartService
from chassis.threads import in_own_thread
from headwater import datasets
from headwater.client import Connection
from headwater.dataset.v1 import flight_pb2
from headwater.datasets import changes, history
from headwater.errors import HeadwaterError
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo

ROWS = 100_000


def table(rows: int = ROWS) -> pa.Table:
    numbers = np.arange(rows)
    return pa.table(
        {"row": numbers, "label": numbers % 10, "name": pa.array([f"row {row}" for row in numbers], pa.string())}
    )


def rows(connection: Connection, **choice: object) -> list[int]:
    version = str(choice.pop("version", "projects/default/datasets/d/versions/v1.0.0"))
    found = datasets.reader(connection, version, "train", columns=["row"], **choice)  # type: ignore[arg-type]
    numbers: list[int] = found.read_all().column("row").to_pylist()
    return numbers


@pytest.fixture
def pushed(connection: Connection) -> Callable[[], Connection]:
    def push() -> Connection:
        datasets.push(connection, "d", datasets.Tables({"train": table()}))
        return connection

    return push


async def test_a_filter_gives_the_rows_that_satisfy_it(pushed: Callable[[], Connection]) -> None:
    def story() -> None:
        connection = pushed()
        assert rows(connection, filter="label = 3 AND row < 50") == [3, 13, 23, 33, 43]
        assert rows(connection, filter="name LIKE '%99999'") == [99_999]
        assert rows(connection, filter="row < 0") == []
        assert rows(connection, filter="row >= 99990", first_row=99_995) == list(range(99_995, ROWS))
        halves = [rows(connection, filter="label < 2", shard=(index, 2)) for index in range(2)]
        assert halves[0] + halves[1] == [row for row in range(ROWS) if row % 10 < 2]

    await asyncio.to_thread(story)


async def test_an_order_is_a_permutation_that_any_part_can_be_read_of(pushed: Callable[[], Connection]) -> None:
    def story() -> None:
        connection = pushed()
        whole = rows(connection, shuffle=(7, 0))
        assert sorted(whole) == list(range(ROWS))
        assert whole == rows(connection, shuffle=(7, 0))
        assert whole != rows(connection, shuffle=(7, 1))
        assert rows(connection, shuffle=(7, 0), first_row=90_000, row_limit=100) == whole[90_000:90_100]
        parts = [rows(connection, shuffle=(7, 0), shard=(index, 3)) for index in range(3)]
        assert list(itertools.chain.from_iterable(parts)) == whole
        filtered = rows(connection, shuffle=(7, 0), filter="label = 1")
        assert filtered == [row for row in whole if row % 10 == 1]

    await asyncio.to_thread(story)


async def test_global_batches_are_the_same_for_any_number_of_readers(pushed: Callable[[], Connection]) -> None:
    """N-09, the stream's half."""

    def story() -> None:
        connection = pushed()
        whole = rows(connection, shuffle=(1, 2))
        for count in (1, 2, 3, 4):
            parts = [
                rows(connection, shuffle=(1, 2), global_batch_rows=1000, shard=(index, count), first_row=5000)
                for index in range(count)
            ]
            taken: list[int] = []
            for batch in range(5, 100):
                for index, part in enumerate(parts):
                    length = (index + 1) * 1000 // count - index * 1000 // count
                    start = (batch - 5) * length
                    taken += part[start : start + length]
            assert taken == whole[5000:]

    await asyncio.to_thread(story)


async def test_an_order_does_not_depend_on_how_rows_are_stored(
    service: Service, start_service: StartService, connection_to: ConnectTo
) -> None:
    other = await start_service(build, Settings, flight_port=0, pack_max_bytes=64 << 10)

    def story() -> None:
        orders = []
        for running, dataset in ((service, "d"), (other, "e")):
            connection = connection_to(running)
            version = datasets.push(connection, dataset, datasets.Tables({"train": table(30_000)})).version.name
            orders.append(rows(connection, version=version, shuffle=(3, 3)))
        assert orders[0] == orders[1]

    await asyncio.to_thread(story)


async def test_branches_tags_and_commits_are_read_by_name(pushed: Callable[[], Connection]) -> None:
    def story() -> None:
        connection = pushed()
        history.create_tag(connection, "d", "first", at="v1.0.0")
        datasets.push(connection, "d", datasets.Tables({"train": table(10)}))
        dataset = "projects/default/datasets/d"
        head = history.get_commit(connection, "d").name
        assert len(rows(connection, version=f"{dataset}/branches/main")) == 10
        assert len(rows(connection, version=head)) == 10
        assert len(rows(connection, version=f"{dataset}/tags/first")) == ROWS

    await asyncio.to_thread(story)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"filter": "nothing = 1"}, "INVALID_FILTER"),
        ({"filter": "row / 0 = 1"}, "INVALID_FILTER"),
        ({"view": "none"}, "VIEW_NOT_FOUND"),
        ({"view": "../x"}, "INVALID_NAME"),
        ({"checkpoint": "none"}, "CHECKPOINT_NOT_FOUND"),
        ({"version": "projects/default/datasets/d/branches/none"}, "BRANCH_NOT_FOUND"),
        ({"shard": (3, 3)}, "SHARD_OUT_OF_RANGE"),
    ],
)
async def test_what_cannot_be_chosen_is_refused(
    pushed: Callable[[], Connection], choice: dict[str, object], reason: str
) -> None:
    def story() -> None:
        connection = pushed()
        with pytest.raises(HeadwaterError) as refusal:
            rows(connection, **choice)
        assert refusal.value.reason == reason

    await asyncio.to_thread(story)


async def test_who_reads_a_deprecated_version_is_warned_and_an_archived_one_is_not_read(
    pushed: Callable[[], Connection],
) -> None:
    """M-19, M-20, M-21."""

    def story() -> None:
        connection = pushed()
        history.deprecate(connection, "d@v1.0.0", "use v2")
        with pytest.warns(UserWarning, match="deprecated: use v2"):
            assert len(rows(connection, row_limit=5)) == 5
        history.archive(connection, "d@v1.0.0", "wrong labels")
        with pytest.raises(HeadwaterError) as refusal:
            rows(connection)
        assert refusal.value.reason == "DATASET_VERSION_ARCHIVED"
        history.reactivate(connection, "d@v1.0.0")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert len(rows(connection, row_limit=5)) == 5

    await asyncio.to_thread(story)


async def test_a_client_that_knows_only_flight_chooses_as_well(
    service: Service, pushed: Callable[[], Connection]
) -> None:
    def story() -> None:
        connection = pushed()
        client = flight.FlightClient(f"grpc://127.0.0.1:{service.flight_port}")
        command = flight_pb2.GetCommand(
            version="projects/default/datasets/d/branches/main",
            split="train",
            filter="label = 5",
            shuffle=flight_pb2.Shuffle(seed=1, epoch=1),
            shard_count=2,
        )
        descriptor = flight.FlightDescriptor.for_command(command.SerializeToString())
        options = connection.flight_options()
        info = client.get_flight_info(descriptor, options)
        assert info.total_records == ROWS // 10
        found = [client.do_get(endpoint.ticket, options).read_all() for endpoint in info.endpoints]
        assert sorted(pa.concat_tables(found).column("row").to_pylist()) == list(range(5, ROWS, 10))
        client.close()

    await asyncio.to_thread(story)


async def test_streams_that_take_memory_are_limited_and_one_that_ends_makes_room(
    start_service: StartService, connection_to: ConnectTo
) -> None:
    """Promise 8: also readers that stall."""
    service: Service = await start_service(build, Settings, flight_port=0, max_made_streams=1)
    first, second = connection_to(service), connection_to(service)

    def story() -> None:
        datasets.push(first, "d", datasets.Tables({"train": table()}))
        wide = pa.FixedSizeBinaryArray.from_buffers(pa.binary(1 << 16), 1000, [None, pa.py_buffer(bytes(1000 << 16))])
        large = datasets.push(first, "large", {"train": pa.table({"number": range(1000), "wide": wide})}).version.name
        stalled = datasets.reader(first, large, "train", shuffle=(1, 1))
        stalled.read_next_batch()
        assert len(rows(second)) == ROWS  # which is sent as it lies there
        with pytest.raises(HeadwaterError) as refusal:
            rows(second, filter="row > 5")
        assert (refusal.value.reason, refusal.value.retry_after_ms) == ("TOO_MANY_READS", 1000)
        assert stalled.read_all().num_rows < 1000
        assert len(rows(second, filter="row > 5")) == ROWS - 6

    await asyncio.to_thread(story)


async def test_work_that_asks_the_loop_needs_no_thread_of_everybodys(
    start_service: StartService, connection_to: ConnectTo
) -> None:
    """Else as many of it as there are threads would wait for each other for ever."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    service: Service = await start_service(build, Settings, flight_port=0)
    connection = connection_to(service)

    def story() -> None:
        datasets.push(connection, "d", datasets.Tables({"train": table(1000)}))
        with changes.edit(connection, "d", rebase=True) as late:
            with changes.edit(connection, "d") as early:
                early.replace("train", 5, 1, table(1))
            late.replace("train", 900, 1, table(2))
        assert len(rows(connection, version="projects/default/datasets/d/branches/main")) == 1001
        assert len(rows(connection, filter="label = 3", shuffle=(1, 1))) == 100

    await in_own_thread("story", story)
