"""What both stores of references promise."""

import dataclasses
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from chassis.db.engine import Database
from chassis.ids import new_id
from services.inference.drift.postgres import PostgresReferences
from services.inference.drift.reference import of_numbers, of_texts
from services.inference.drift.store import MAX_LEARNED, Learned, MemoryReferences, ReferenceStore

EXTREMES = of_numbers(np.array([np.inf, -np.inf, np.nan, 0.1, 5e-324]))
TEXTS = of_texts(["red", "grün", ""])


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ReferenceStore]:
    if request.param == "memory":
        yield MemoryReferences()
        return
    database = Database(request.getfixturevalue("postgres_url"), "inference", 2)
    yield PostgresReferences(database)
    await database.close()


async def test_what_was_learned_is_kept_as_it_was(store: ReferenceStore) -> None:
    """M-105: infinities, the smallest number and texts among it."""
    of = Learned(new_id(), "projects/p/models/m/versions/1", 1000)
    assert await store.get(of) == {}
    assert await store.keep(of, {"x": EXTREMES, "colour": TEXTS}) == {"x": EXTREMES, "colour": TEXTS}
    assert await store.get(of) == {"x": EXTREMES, "colour": TEXTS}
    assert await store.keep(of, {}) == {"x": EXTREMES, "colour": TEXTS}


async def test_of_several_replicas_the_first_has_learned_it(store: ReferenceStore) -> None:
    of = Learned(new_id(), "projects/p/models/m/versions/1", 1000)
    await store.keep(of, {"x": EXTREMES})
    assert await store.keep(of, {"x": of_numbers(np.ones(3)), "y": TEXTS}) == {"x": EXTREMES, "y": TEXTS}


async def test_another_version_and_another_number_of_rows_have_learned_nothing(store: ReferenceStore) -> None:
    of = Learned(new_id(), "projects/p/models/m/versions/1", 1000)
    await store.keep(of, {"x": EXTREMES})
    for other in ({"uid": new_id()}, {"model_version": "projects/p/models/m/versions/2"}, {"first_rows": 10}):
        assert await store.get(dataclasses.replace(of, **other)) == {}


async def test_what_was_learned_longest_ago_makes_room(store: ReferenceStore) -> None:
    uid, other = new_id(), Learned(new_id(), "projects/p/models/m/versions/0", 10)
    await store.keep(other, {"x": TEXTS})
    for number in range(MAX_LEARNED + 2):
        await store.keep(Learned(uid, f"projects/p/models/m/versions/{number}", 10), {"x": TEXTS})
    kept = [
        bool(await store.get(Learned(uid, f"projects/p/models/m/versions/{number}", 10)))
        for number in range(MAX_LEARNED + 2)
    ]
    assert kept == [False, False, *[True] * MAX_LEARNED]
    assert await store.get(other)
