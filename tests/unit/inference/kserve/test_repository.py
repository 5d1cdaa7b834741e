"""Loading and unloading beside others who configure the same deployment."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from services.inference.batching.options import Batching
from services.inference.kserve.repository import Repository
from tests.unit.inference.test_serving import NAME, World


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path / "cache")
    yield made
    await made.serving.close()


async def test_a_load_changes_what_it_says_and_not_what_another_replica_has_configured(world: World) -> None:
    """Triton's load goes by what is kept, and not by what this process saw some time ago."""
    world.add(3)
    await world.deploy()
    await world.deployments.update(NAME, "", options={"batching": Batching(max_queue_requests=7)})
    await Repository(world.deployments, world.serving).load("digits", {"config": '{"max_batch_size": 4}'})
    batching = (await world.deployments.get(NAME)).options.batching
    assert (batching.max_batch_rows, batching.max_queue_requests) == (4, 7)


async def test_what_another_replica_has_unloaded_is_loaded(world: World) -> None:
    world.add(3)
    await world.deploy()
    await world.deployments.update(NAME, "", options={"unloaded": True})
    await Repository(world.deployments, world.serving).load("digits", {})
    assert not (await world.deployments.get(NAME)).options.unloaded
    assert await world.factor() == 3
