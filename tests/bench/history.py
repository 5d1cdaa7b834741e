"""Opening, and listing what is before, a version that has 10,000 ancestors, against one that has 10."""

import asyncio
import dataclasses
from collections.abc import Callable, Iterator

import pyarrow as pa
from pyarrow import flight

from chassis.db.engine import Database
from headwater import datasets
from headwater.dataset.v1 import datasets_pb2, history_pb2
from headwater.datasets.catalog import history_stub, stub
from headwater.names import BranchName, DatasetName
from services.dataset.history.append import name_commit
from services.dataset.history.model import Draft, commit_of
from services.dataset.postgres import SCHEMA, PostgresStore
from tests.bench.paired import Result, measure
from tests.bench.running import Running

LONG, SHORT = 10_000, 10
_COMMITS_AT_ONCE = 500
_OPENED = 50
# 1.2 times as long is 1 / 1.2 of the rate.
_MUST_BE = "≥ 0.83"


def run(running: Running) -> Iterator[Result]:
    """Open the newest version of both; list the newest commits of both."""
    names = {length: _grown(running, f"bench-history-{length}", length) for length in (LONG, SHORT)}
    for what, work in (("open a version", _open), ("list the 10 newest commits", _log)):
        yield measure(
            f"{what} with {LONG:,} ancestors",
            work(running, names[LONG]),
            work(running, names[SHORT]),
            unit="/s",
            peer=f"the same with {SHORT}",
            servers=running.processes("dataset", "postgres"),
            must_be=_MUST_BE,
        )


def _open(running: Running, version: str) -> Callable[[], float]:
    descriptor = flight.FlightDescriptor.for_path(*version.split("/"), "train")

    def work() -> float:
        client, options = running.connection.flight(), running.connection.flight_options()
        for _ in range(_OPENED):
            stub(running.connection).GetDatasetVersion(datasets_pb2.GetDatasetVersionRequest(name=version))
            info = client.get_flight_info(descriptor, options)
            assert client.do_get(info.endpoints[0].ticket, options).read_all().num_rows == 100
        return _OPENED

    return work


def _log(running: Running, version: str) -> Callable[[], float]:
    parent = version.rpartition("/versions/")[0]

    def work() -> float:
        request = history_pb2.ListCommitsRequest(parent=parent, start=version, page_size=10)
        for _ in range(_OPENED):
            assert len(history_stub(running.connection).ListCommits(request).commits) == 10
        return _OPENED

    return work


def _grown(running: Running, dataset: str, length: int) -> str:
    """The newest version of a dataset whose history is so long; the rows of all commits are the same."""
    rows = datasets.Tables({"train": pa.table({"a": range(100)})})
    first = datasets.push(running.connection, dataset, rows).version
    asyncio.run(_grow(running.database_url, DatasetName.parse(first.name.rpartition("/versions/")[0]), length))
    return datasets.resolve(running.connection, dataset)


async def _grow(database_url: str, name: DatasetName, length: int) -> None:
    # Straight into the store: a push for each would take most of an hour.
    database = Database(database_url, SCHEMA)
    try:
        for start in range(0, length, _COMMITS_AT_ONCE):
            async with PostgresStore(database).transaction() as tx:
                uid = (await tx.get_dataset(name, lock=True)).uid
                branch = BranchName(name.project, name.dataset, "main")
                commit = await tx.get_commit(name, (await tx.get_branch(branch)).head)
                draft = Draft(name, commit.digest, commit.splits, "", "bench")
                for number in range(start, min(length, start + _COMMITS_AT_ONCE)):
                    following = dataclasses.replace(draft, message=str(number))
                    commit = await tx.add_commit(commit_of(following, uid, [commit.id], await tx.now()))
                await tx.move_branch(branch, commit.id)
        async with PostgresStore(database).transaction() as tx:
            await name_commit(tx, commit, None, None)
    finally:
        await database.close()
