"""Pushing again: after a cut the rest travels, and of what is there nothing does."""

import asyncio
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from chassis.service import Service
from chassis.testing import StartService
from headwater import datasets, tree
from headwater.client import Connection
from headwater.dataset.v1 import datasets_pb2
from headwater.datasets import history
from headwater.datasets.catalog import stub
from headwater.errors import Aborted, FailedPrecondition, HeadwaterError, InvalidArgument
from headwater.files import Source
from services.dataset.__main__ import build
from services.dataset.settings import Settings
from tests.integration.dataset.conftest import ConnectTo

MIB = 2**20

PUSH_AND_STOP = """
import sys, time
import pyarrow as pa
from headwater import datasets
from headwater.client import Connection, Endpoints
grpc, flight, token, file, stop_after = sys.argv[1:]
table = pa.ipc.open_file(file).read_all()
def batches():
    sent = 0
    for batch in table.to_batches(max_chunksize=200):
        if sent >= int(stop_after):
            print("stopped", flush=True)
            time.sleep(60)
        yield batch
        sent += batch.nbytes
reader = pa.RecordBatchReader.from_batches(table.schema, batches())
with Connection(Endpoints(dataset=grpc, dataset_flight=flight), token) as connection:
    datasets.push(connection, "d", {"train": reader})
"""


def table(mib: int = 48, seed: int = 0) -> pa.Table:
    rows = mib * MIB // 1024
    values = np.random.default_rng(seed).random(rows * 255, np.float32)
    columns = {"x": pa.FixedSizeListArray.from_arrays(pa.array(values), 255), "row": pa.array(range(rows), pa.int32())}
    return pa.table(columns)


def digest_of(rows: pa.Table) -> str:
    split = tree.digest_split("train", rows.schema, rows.to_batches())
    return tree.digest_text(tree.version_digest(rows.schema, [split]))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
async def test_a_push_that_was_killed_goes_on_where_it_was(
    start_service: StartService, connection_to: ConnectTo, tmp_path: Path, share: float
) -> None:
    """`kill -9` of the client: nothing is listed, and the next push sends what is not stored, and nothing else."""
    service = await start_service(build, Settings, flight_port=0)
    connection = connection_to(service)
    rows = table()
    file = tmp_path / "rows.arrow"
    with pa.ipc.new_file(file, rows.schema) as writer:
        writer.write_table(rows)

    def story() -> None:
        sent = int(rows.nbytes * share)
        endpoints = connection.endpoints
        arguments = [endpoints.dataset, endpoints.dataset_flight, connection.token, str(file), str(sent)]
        with subprocess.Popen([sys.executable, "-c", PUSH_AND_STOP, *arguments], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"stopped\n"
            time.sleep(1)  # what the client has cut so far is on its way
            process.kill()
        with pytest.raises(HeadwaterError):
            datasets.get_version(connection, "d")
        _wait_until_stored(connection, rows, sent)
        stored = _stored_bytes(connection, rows)
        pushed = datasets.push(connection, "d", {"train": rows})
        assert pushed.version.digest == digest_of(rows)
        # Within a percent: sizes in Arrow's format and in the canonical one differ by little.
        assert pushed.sent_bytes == pytest.approx(rows.nbytes - stored, abs=rows.nbytes / 100)
        datasets.verify(connection, "d")

    await asyncio.to_thread(story)


def _stored_bytes(connection: Connection, rows: pa.Table) -> int:
    builder = tree.ChunkBuilder(rows.schema)
    chunks = [chunk for batch in rows.to_batches() for chunk in builder.push(batch)] + builder.finish()
    upload = stub(connection).CreateUpload(datasets_pb2.CreateUploadRequest(parent="projects/default/datasets/d")).name
    schema, digests = rows.schema.serialize().to_pybytes(), [chunk.digest for chunk in chunks]
    request = datasets_pb2.FindMissingChunksRequest(name=upload, arrow_schema=schema, digests=digests)
    missing = set(stub(connection).FindMissingChunks(request).missing)
    return sum(chunk.size_bytes for position, chunk in enumerate(chunks) if position not in missing)


def _wait_until_stored(connection: Connection, rows: pa.Table, sent: int) -> None:
    """What had reached the service is stored, but the client keeps a group of chunks until it has asked about it."""
    wanted = max(0, sent - 20 * MIB)
    deadline = time.monotonic() + 60
    while _stored_bytes(connection, rows) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.1)


async def test_of_what_is_there_nothing_is_sent(connection: Connection) -> None:
    def story() -> None:
        rows = table(mib=8)
        first = datasets.push(connection, "d", {"train": rows})
        assert first.sent_bytes == pytest.approx(rows.nbytes, rel=0.01)
        for dataset in ("d", "another"):
            again = datasets.push(connection, dataset, {"train": rows})
            assert (again.sent_bytes, again.new_chunk_count) == (0, 0)
            assert again.version.digest == first.version.digest
            assert again.created is (dataset == "another")
        changed = pa.concat_tables([rows[:4000], rows[4001:]])
        third = datasets.push(connection, "d", {"train": changed})
        assert third.created
        assert 0 < third.sent_bytes <= 4 * MIB

    await asyncio.to_thread(story)


async def test_progress_tells_rows_bytes_rate_and_time_left(connection: Connection) -> None:
    def story() -> None:
        rows = table(mib=8)
        told: list[datasets.Progress] = []
        datasets.push(connection, "d", {"train": rows}, on_progress=told.append)
        assert [after.rows > before.rows for before, after in itertools.pairwise(told)].count(False) == 0
        last = told[-1]
        assert (last.split, last.rows, last.total_bytes) == ("train", rows.num_rows, rows.nbytes)
        assert last.sent_bytes == last.size_bytes == pytest.approx(rows.nbytes, rel=0.01)
        assert last.bytes_per_s == pytest.approx(last.size_bytes / last.elapsed_s)
        assert told[0].seconds_left is not None
        assert told[0].seconds_left > 0
        assert last.seconds_left == pytest.approx(0, abs=0.1)
        reader = rows.to_reader()
        datasets.push(connection, "d", {"train": reader}, on_progress=told.append)
        # A reader does not know how much it has.
        assert (told[-1].total_bytes, told[-1].seconds_left, told[-1].sent_bytes) == (None, None, 0)

    await asyncio.to_thread(story)


FRAMES: list[Callable[[pa.Table], object]] = [
    lambda rows: rows,
    lambda rows: rows.to_batches()[0],
    lambda rows: rows.to_reader(),
    lambda rows: rows.to_pandas(),
    lambda rows: pl.from_arrow(rows),
]


@pytest.mark.parametrize("made", FRAMES, ids=["table", "batch", "reader", "pandas", "polars"])
async def test_tables_of_every_library_are_pushed_as_they_are(
    connection: Connection, made: Callable[[pa.Table], object]
) -> None:
    rows = pa.table({"id": pa.array([1, 2, 3]), "text": ["a", None, "c"], "x": [0.5, 1.5, -0.0]}).combine_chunks()

    def story() -> None:
        pushed = datasets.push(connection, "d", {"train": made(rows)})
        assert pushed.version.digest == digest_of(rows)

    await asyncio.to_thread(story)


async def test_what_is_no_table_is_refused_by_name(connection: Connection) -> None:
    def story() -> None:
        differing = {"train": pa.table({"x": [1]}), "test": pa.table({"y": [1]})}
        for wrong in ({"train": [1, 2]}, {"train": "rows.csv"}, {}, differing):
            with pytest.raises(InvalidArgument):
                datasets.push(connection, "d", wrong)
        assert list(datasets.list_datasets(connection)) == []

    await asyncio.to_thread(story)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("huge.parquet", None),
        ("not-a-number.jsonl", b'{"x": 1}\n{"x": "one"}\n'),
        ("none.parquet", b"PAR1 and no more"),
    ],
)
async def test_files_that_cannot_be_read_from_their_beginning_leave_no_dataset_behind(
    connection: Connection, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        pa.parquet.write_table(pa.table({"x": [b"x" * (9 << 20)]}), tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)

    def story() -> None:
        with pytest.raises(HeadwaterError):
            datasets.push(connection, "d", Source(tmp_path / name))
        assert list(datasets.list_datasets(connection)) == []

    await asyncio.to_thread(story)


async def test_rows_that_can_be_none_of_a_dataset_leave_none_behind(connection: Connection) -> None:
    def fail() -> Iterator[pa.RecordBatch]:
        for count in (0,):
            yield pa.record_batch({"x": [1 // count]})

    def story() -> None:
        failing = pa.RecordBatchReader.from_batches(pa.schema({"x": pa.int64()}), fail())
        for wrong, kind in (
            ({"train": pa.table({"x": pa.nulls(2)})}, HeadwaterError),
            ({"train": pa.table({"x": [1]}), "a/b": pa.table({"x": [1]})}, HeadwaterError),
            ({"train": failing}, ZeroDivisionError),
        ):
            with pytest.raises(kind):
                datasets.push(connection, "d", wrong)
        assert list(datasets.list_datasets(connection)) == []
        waiting = [thread for thread in threading.enumerate() if thread.name == "headwater-prefetch"]
        for thread in waiting:
            thread.join(10)
        assert not any(thread.is_alive() for thread in waiting)

    await asyncio.to_thread(story)


async def test_a_split_that_is_read_once_is_pushed_in_full(connection: Connection) -> None:
    """What was read of it before the upload was opened is not lost."""

    def story() -> None:
        rows = table(mib=4)
        pushed = datasets.push(connection, "d", {"b": rows.to_reader(1000), "a": rows[:7].to_reader()})
        assert {split.name: split.row_count for split in pushed.version.splits} == {"a": 7, "b": rows.num_rows}
        assert datasets.reader(connection, "d", "b").read_all().equals(rows)

    await asyncio.to_thread(story)


async def test_a_push_to_a_branch_leaves_main_alone(connection: Connection) -> None:
    def story() -> None:
        rows = pd.DataFrame({"id": [1, 2, 3]})
        first = datasets.push(connection, "d", {"train": rows})
        history.create_branch(connection, "d", "side")
        more = pd.DataFrame({"id": [1, 2, 3, 4]})
        side = datasets.push(connection, "d", {"train": more}, branch="side", message="more", description="d")
        assert side.created
        assert side.version.name == ""
        assert history.get_commit(connection, "d@side") == side.commit
        assert datasets.get_version(connection, "d") == first.version
        with pytest.raises(HeadwaterError) as refusal:
            datasets.push(connection, "d", {"train": more}, branch="nowhere")
        assert refusal.value.reason == "BRANCH_NOT_FOUND"

    await asyncio.to_thread(story)


class Overtaken:
    """Rows during whose reading somebody else commits."""

    def __init__(self, rows: pa.Table, overtake: Callable[[], object]) -> None:
        self.splits, self.schema = ("train",), rows.schema
        self._rows = rows
        self._overtake = overtake

    def batches(self, _split: str) -> list[pa.RecordBatch]:
        self._overtake()
        batches: list[pa.RecordBatch] = self._rows.to_batches()
        return batches

    def source_files(self) -> tuple[()]:
        return ()


async def test_of_two_pushes_at_once_one_is_told_so_or_merges(connection: Connection, service: Service) -> None:
    def story() -> None:
        base = pa.table({"id": range(1000)})
        datasets.push(connection, "d", {"train": base})
        theirs = pa.concat_tables([pa.table({"id": [-1]}), base])
        ours = pa.concat_tables([base, pa.table({"id": [1000]})])
        both = pa.concat_tables([pa.table({"id": [-1]}), base, pa.table({"id": [1000]})])

        def overtake() -> None:
            datasets.push(connection, "d", {"train": theirs})

        with pytest.raises(Aborted) as moved:
            datasets.push(connection, "d", Overtaken(ours, overtake))
        assert moved.value.reason == "BRANCH_MOVED"
        datasets.push(connection, "d", {"train": base})
        merged = datasets.push(connection, "d", Overtaken(ours, overtake), rebase=True)
        assert datasets.reader(connection, merged.version.name, "train").read_all().equals(both)
        datasets.push(connection, "d", {"train": base})
        conflicting = pa.concat_tables([pa.table({"id": [-2]}), base])
        with pytest.raises(FailedPrecondition) as conflict:
            datasets.push(connection, "d", Overtaken(conflicting, overtake), rebase=True)
        assert conflict.value.reason == "MERGE_CONFLICT"

    await asyncio.to_thread(story)
