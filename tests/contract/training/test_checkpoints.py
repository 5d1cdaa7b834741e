"""Checkpoints and what becomes of their bytes, in memory and in PostgreSQL."""

import asyncio
import dataclasses
from typing import Any

import pytest

from services.training_scheduler.checkpoints.model import StoredCheckpoint
from services.training_scheduler.errors import CheckpointBeingCollected
from services.training_scheduler.jobs.model import Checkpoint, State
from services.training_scheduler.store import Store
from tests.unit.training.jobs import NOW, job


def stored(number: int, job_id: str = "job-1", token: int = 1) -> StoredCheckpoint:
    checkpoint = Checkpoint(number, number, digest(number), 10, NOW)
    return StoredCheckpoint(job_id, token, checkpoint)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


async def announce(store: Store, checkpoint: StoredCheckpoint) -> StoredCheckpoint:
    async with store.transaction() as tx:
        return await tx.checkpoints.announce(checkpoint)


async def commit(store: Store, *checkpoints: StoredCheckpoint, keep: int = 2) -> None:
    for checkpoint in checkpoints:
        announced = await announce(store, checkpoint)
        async with store.transaction() as tx:
            await tx.checkpoints.commit(announced, keep)


async def condemn(store: Store) -> list[str]:
    async with store.transaction() as tx:
        return list(await tx.checkpoints.condemn(100))


async def forget(store: Store, *digests: str) -> None:
    for each in digests:
        async with store.transaction() as tx:
            await tx.checkpoints.forget(each)


@pytest.fixture(autouse=True)
async def two_jobs(store: Store) -> None:
    async with store.transaction() as tx:
        await tx.jobs.add(job(1, fencing_token=1, state=State.RUNNING))
        await tx.jobs.add(job(2, fencing_token=1, state=State.RUNNING))


async def test_all_but_the_newest_of_a_job_are_condemned(store: Store) -> None:
    await commit(store, stored(1), stored(2), stored(3), stored(4))
    await commit(store, stored(5, "job-2"))
    assert await condemn(store) == [digest(1), digest(2)]


async def test_what_is_collected_is_condemned_once_and_again_only_when_interrupted(store: Store) -> None:
    await commit(store, stored(1), stored(2), stored(3))
    assert await condemn(store) == [digest(1)]
    assert await condemn(store) == [digest(1)], "a collector that died in between"
    await forget(store, digest(1))
    assert await condemn(store) == []


async def test_bytes_that_another_job_needs_are_kept(store: Store) -> None:
    await commit(store, stored(1), stored(2), stored(3))
    await commit(store, stored(1, "job-2"))
    assert await condemn(store) == []
    await commit(store, stored(8, "job-2"), stored(9, "job-2"))
    assert await condemn(store) == [digest(1)]


async def test_bytes_that_are_announced_are_kept(store: Store) -> None:
    await commit(store, stored(1), stored(2), stored(3))
    await announce(store, stored(1, "job-2"))
    assert await condemn(store) == []


async def test_bytes_that_are_being_removed_cannot_be_announced_until_they_are_gone(store: Store) -> None:
    await commit(store, stored(1), stored(2), stored(3))
    await condemn(store)
    with pytest.raises(CheckpointBeingCollected):
        await announce(store, stored(1, "job-2"))
    await forget(store, digest(1))
    await announce(store, stored(1, "job-2"))


async def test_what_was_given_up_is_condemned(store: Store) -> None:
    announced = await announce(store, stored(1))
    async with store.transaction() as tx:
        await tx.checkpoints.drop(announced)
    assert await condemn(store) == [digest(1)]


@pytest.mark.parametrize("change", [{"fencing_token": 2}, {"state": State.SUCCEEDED}], ids=["stale", "ended"])
async def test_what_an_attempt_that_is_over_announced_is_dropped(store: Store, change: dict[str, Any]) -> None:
    await announce(store, stored(1))
    await announce(store, stored(2, "job-2"))
    async with store.transaction() as tx:
        assert await tx.checkpoints.drop_abandoned() == 0
        await tx.jobs.save(dataclasses.replace(await tx.jobs.get("job-1"), **change))
        assert await tx.checkpoints.drop_abandoned() == 1
    assert await condemn(store) == [digest(1)]


async def test_announcing_and_collecting_at_once_never_loses_bytes(store: Store) -> None:
    """Whoever is told that a checkpoint is announced finds its bytes not condemned after."""
    await commit(store, stored(1), stored(2), stored(3))

    async def try_to_announce(number: int) -> bool:
        try:
            await announce(store, stored(1, "job-2", number))
        except CheckpointBeingCollected:
            return False
        return True

    announced, condemned = False, False
    for _ in range(10):
        removal = asyncio.create_task(condemn(store))
        announced |= any(await asyncio.gather(*(try_to_announce(1) for _ in range(3))))
        condemned |= digest(1) in await removal
        assert not (announced and condemned)


async def test_bytes_that_came_after_their_collection_are_collected_too(store: Store) -> None:
    """A stale worker's upload may still be under way while the collector drops, removes and forgets it."""
    announced = await announce(store, stored(1))
    async with store.transaction() as tx:
        await tx.checkpoints.drop(announced)
    await condemn(store)
    await forget(store, digest(1))
    async with store.transaction() as tx:
        await tx.checkpoints.drop(announced)
    assert await condemn(store) == [digest(1)]
    await forget(store, digest(1))
    assert await condemn(store) == []
