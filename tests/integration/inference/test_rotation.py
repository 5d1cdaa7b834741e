"""Records move from a real PostgreSQL into files exactly once, with processes that die and processes that compete."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from chassis.blobs import LocalBlobs
from chassis.clock import SystemClock
from chassis.db.engine import Database
from services.inference.records.archive import Archive
from services.inference.records.columns import to_records
from services.inference.records.feedback.postgres import PostgresFeedback
from services.inference.records.model import Record, RecordQuery
from services.inference.records.postgres import PostgresRecords
from services.inference.records.rotation import Rotation, RotationOptions
from tests.unit.inference.records.dying import Dying, Killed, Life
from tests.unit.inference.records.records import record

AT_ONCE = RotationOptions(after_s=0, rows=50, retention_s=0, body_retention_s=0, interval_s=1)


class Stores:
    """A database and a directory."""

    def __init__(self, url: str, directory: Path) -> None:
        self.database = Database(url, "inference", 4)
        self.hot = PostgresRecords(self.database)
        self.blobs = LocalBlobs(directory)
        self.archive = Archive(self.hot, self.blobs)
        self.appended: list[Record] = []

    def rotation(self, life: Life | None = None) -> Rotation:
        hot: Any = self.hot if life is None else Dying(self.hot, life)
        blobs: Any = self.blobs if life is None else Dying(self.blobs, life)
        return Rotation(hot, PostgresFeedback(self.database), blobs, SystemClock(), AT_ONCE)

    async def append(self, count: int) -> None:
        records = [record(request_body=b"asked", response_body=b"", body_reason="sample") for _ in range(count)]
        await self.archive.append(records)
        self.appended += records

    async def read(self) -> list[Record]:
        last = await self.hot.last_sequence()
        batches = [batch async for batch in self.archive.scan(None, 0, last, bodies=True)]
        return [each._replace(sequence=0) for batch in batches for each in to_records(batch)]


@pytest_asyncio.fixture
async def stores(postgres_url: str, blobs_dir: Path) -> AsyncIterator[Stores]:
    stores = Stores(postgres_url, blobs_dir)
    yield stores
    await stores.database.close()


async def test_killed_at_any_step_nothing_is_lost_and_nothing_doubled(stores: Stores) -> None:
    await stores.append(3)
    life = Life()
    await stores.rotation(life).rotate()
    for steps in range(life.taken):
        await stores.append(2)
        with pytest.raises(Killed):
            await stores.rotation(Life(steps)).rotate()
        assert await stores.read() == stores.appended
    await stores.rotation().rotate()
    assert await stores.read() == stores.appended
    assert await stores.hot.extent() is None


async def test_processes_that_move_and_append_at_once_lose_and_double_nothing(stores: Stores) -> None:
    """And whoever reads meanwhile sees each record once, and pages have no holes."""
    done = asyncio.Event()
    seen: list[str] = []

    async def move() -> None:
        while not done.is_set():
            await stores.rotation().rotate()
            await asyncio.sleep(0.01)

    async def read() -> None:
        position = 0
        while len(seen) < 400:
            async for batch in stores.archive.scan(None, position, await stores.hot.last_sequence()):
                seen.extend(batch.column("request_id").to_pylist())
                position = batch.column("sequence")[-1].as_py()
            page = await stores.archive.page(RecordQuery("p"), None, 30)
            numbers = [each.sequence for each in page]
            assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1)) if numbers else True
        done.set()

    async def write() -> None:
        for _ in range(40):
            await stores.append(10)
            await asyncio.sleep(0.005)

    async with asyncio.timeout(60):
        await asyncio.gather(write(), read(), move(), move())
    assert seen == [each.request_id for each in stores.appended]
    assert await stores.read() == stores.appended
