"""What both stores of feedback promise (M-85, M-86)."""

import dataclasses
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from chassis.db.engine import Database
from chassis.ids import new_id
from services.inference.records.feedback.memory import MemoryFeedback
from services.inference.records.feedback.model import Feedback, FeedbackIdReused, Said
from services.inference.records.feedback.postgres import PostgresFeedback
from services.inference.records.feedback.store import FeedbackStore


@pytest_asyncio.fixture(params=["memory", "postgres"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[FeedbackStore]:
    if request.param == "memory":
        yield MemoryFeedback()
        return
    database = Database(request.getfixturevalue("postgres_url"), "inference", 4)
    yield PostgresFeedback(database)
    await database.close()


def feedback(request_id: str, feedback_id: str = "one", **said: Any) -> Feedback:
    return Feedback(request_id, feedback_id, "p", Said(**(said or {"score": 0.5})), "tester")


def as_said(found: Feedback) -> Feedback:
    return dataclasses.replace(found, create_time=None, sequence=0)


@pytest.mark.parametrize("truth", ["zwölf", 3.5, 0.0, False, [1.0, "a"], {"label": "cat"}, ""])
async def test_what_is_said_comes_back_with_its_type(store: FeedbackStore, truth: Any) -> None:
    new = feedback(new_id(), ground_truth=truth, score=1.0, actions=("clicked",), explanation={"age": -0.25})
    assert await store.add([new]) == 1

    (found,) = (await store.of("p", [new.request_id]))[new.request_id]
    assert as_said(found) == new
    assert type(found.said.ground_truth) is type(truth)
    assert found.create_time is not None
    assert await store.of("q", [new.request_id]) == {}


async def test_saying_it_again_counts_once(store: FeedbackStore) -> None:
    first, second = feedback(new_id()), feedback(new_id())
    assert await store.add([first]) == 1
    assert await store.add([first, second, second]) == 1


async def test_an_id_that_names_something_else_keeps_nothing_of_the_batch(store: FeedbackStore) -> None:
    first, other = feedback(new_id()), feedback(new_id())
    await store.add([first])

    with pytest.raises(FeedbackIdReused):
        await store.add([other, feedback(first.request_id, score=0.1)])
    with pytest.raises(FeedbackIdReused):
        await store.add([other, feedback(other.request_id, score=0.1)])

    assert await store.of("p", [other.request_id]) == {}


async def test_history_is_kept_and_listed_newest_first(store: FeedbackStore) -> None:
    request_id = new_id()
    said = [feedback(request_id, f"f{number}", score=number / 10) for number in range(5)]
    for each in said:
        await store.add([each])

    assert [as_said(each) for each in (await store.of("p", [request_id]))[request_id]] == said
    first = await store.page("p", request_id, None, 2)
    rest = await store.page("p", request_id, first[-1].sequence, 9)
    assert [as_said(each) for each in (*first, *rest)] == said[::-1]
    assert not await store.page("q", request_id, None, 2)
    assert not await store.page("p", "no-id", None, 2)


async def test_what_is_old_is_forgotten(store: FeedbackStore) -> None:
    new = feedback(new_id())
    await store.add([new])
    now = datetime.datetime.now(datetime.UTC)
    assert await store.forget(now - datetime.timedelta(hours=1)) == 0
    assert await store.forget(now + datetime.timedelta(hours=1)) == 1
    assert await store.of("p", [new.request_id]) == {}
