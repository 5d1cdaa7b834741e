"""Batchers that are closed after the test."""

from collections.abc import AsyncIterator, Sequence

import pytest_asyncio

from services.inference.batching.batcher import Batcher
from services.inference.batching.options import Limits
from services.inference.engines.engine import Engine
from tests.unit.inference.batching.asking import LIMITS, Make
from tests.unit.inference.engines import HeldEngine


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    """Makes batchers and closes them."""
    made: list[tuple[Batcher, Sequence[Engine]]] = []

    def new(*engines: Engine, limits: Limits = LIMITS, timeout_s: float = 60.0) -> Batcher:
        batcher = Batcher("m", engines, limits, timeout_s=timeout_s)
        made.append((batcher, engines))
        return batcher

    yield new
    for batcher, engines in made:
        for engine in engines:
            if isinstance(engine, HeldEngine):
                engine.gate.set()
        await batcher.close()
