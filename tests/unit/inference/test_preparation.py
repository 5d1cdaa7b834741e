"""Raw bytes of requests: what bounds them, and what is left of those whose caller went away."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.tensors import Tensor, byte_strings
from headwater.transforms import Pipeline, images
from services.inference.errors import ModelNotReady, QueueFull
from services.inference.preparing.errors import RawRefused, RowUnusable
from services.inference.preparing.options import Takes
from services.inference.preparing.preparation import THREADS, Preparation
from services.inference.preparing.room import Place, Room
from services.inference.tensors.model import Signature, TensorSpec
from tests.integration.inference.pipelines import document, image

ROW_BYTES = 4 * 4 * 4
MODEL = Signature((TensorSpec("x", "FP32", (-1, 1, 4, 4)),), (TensorSpec("y", "FP32", (-1,)),), batchable=True)


def preparation(*, max_requests: int = 8, max_bytes: int = 2**20, signature: Signature = MODEL) -> Preparation:
    pipeline = Pipeline.parse(document())
    return Preparation(pipeline, signature, Takes.EITHER, max_requests=max_requests, max_bytes=max_bytes)


def raw(*files: bytes) -> dict[str, Tensor]:
    return {"raw": Tensor("raw", "BYTES", byte_strings(files))}


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Images are decoded while it is set; ``began`` counts those that were begun."""
    gate, began = threading.Event(), threading.Semaphore(0)
    decode: Callable[..., Any] = images._decode_one

    def held(*arguments: Any) -> Any:
        began.release()
        assert gate.wait(10)
        return decode(*arguments)

    monkeypatch.setattr(images, "_decode_one", held)
    yield gate, began
    gate.set()


async def test_more_requests_than_may_wait_are_refused_and_may_come_again(gate: Any) -> None:
    prepared = preparation(max_requests=2)
    waiting = [asyncio.create_task(prepared.arrays(raw(image()))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as refused:
        await prepared.arrays(raw(image()))
    assert refused.value.retry_after_ms
    gate[0].set()
    for arrays in await asyncio.gather(*waiting):
        assert arrays[0].shape == (1, 1, 4, 4)
    await prepared.arrays(raw(image()))
    await prepared.close()


async def test_who_goes_away_leaves_nothing_behind(gate: Any) -> None:
    """Rows that were not begun never are; room and place are given back."""
    prepared = preparation()
    task = asyncio.create_task(prepared.arrays(raw(*[image()] * (4 * THREADS))))
    await asyncio.to_thread(gate[1].acquire)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate[0].set()
    arrays = await prepared.arrays(raw(image()))
    assert arrays[0].shape == (1, 1, 4, 4)
    begun = 1
    while gate[1].acquire(blocking=False):
        begun += 1
    assert begun <= THREADS + 1  # those that were under way, and the one asked last
    assert prepared._room.taken == 0
    await asyncio.wait_for(prepared.close(), 5)


async def test_closing_waits_for_what_was_accepted_and_takes_nothing_more(gate: Any) -> None:
    prepared = preparation()
    task = asyncio.create_task(prepared.arrays(raw(image())))
    await asyncio.sleep(0)
    closing = asyncio.create_task(prepared.close())
    await asyncio.sleep(0)
    with pytest.raises(ModelNotReady):
        await prepared.arrays(raw(image()))
    assert not closing.done()
    gate[0].set()
    await closing
    assert task.done() or (await task)[0].shape == (1, 1, 4, 4)


async def test_the_first_row_that_fails_is_the_one_that_is_told() -> None:
    prepared = preparation()
    with pytest.raises(RowUnusable) as refused:
        await prepared.arrays(raw(image(), b"x", *[b"y"] * 20))
    assert refused.value.metadata == {"row": "1", "step": "open"}
    await prepared.close()


async def test_room_is_for_all_requests_together() -> None:
    prepared = preparation(max_bytes=2 * ROW_BYTES)
    assert (await prepared.arrays(raw(image(), image())))[0].nbytes == 2 * ROW_BYTES
    with pytest.raises(RawRefused, match="the rows become more than 128 bytes"):
        await prepared.arrays(raw(*[image()] * 3))
    assert (await prepared.arrays(raw(image(), image())))[0].nbytes == 2 * ROW_BYTES
    assert (prepared.rows, prepared._room.taken) == (4, 0)
    await prepared.close()


async def test_a_row_of_a_shape_that_the_model_does_not_take_is_named() -> None:
    fixed = Signature((TensorSpec("x", "FP32", (-1, 1, 5, -1)),), MODEL.outputs, batchable=True)
    prepared = preparation(signature=fixed)
    with pytest.raises(RawRefused, match=r"row 0 becomes \[1, 4, 4\]; the model takes \[1, 5, -1\]"):
        await prepared.arrays(raw(image()))
    await prepared.close()


async def test_a_model_without_a_dimension_for_rows_takes_one() -> None:
    single = Signature((TensorSpec("x", "FP32", (1, 4, 4)),), MODEL.outputs, batchable=False)
    prepared = preparation(signature=single)
    assert (await prepared.arrays(raw(image())))[0].shape == (1, 4, 4)
    with pytest.raises(RawRefused, match="one row at a time; 2 came"):
        await prepared.arrays(raw(image(), image()))
    prepared.follow(Takes.RAW, 8)
    assert prepared.signature(single).inputs == (TensorSpec("raw", "BYTES", (1,)),)
    await prepared.close()


async def test_a_model_whose_own_input_is_called_raw_is_asked_with_tensors() -> None:
    own = Signature((TensorSpec("raw", "FP32", (-1, 1, 4, 4)),), MODEL.outputs, batchable=True)
    prepared = preparation(signature=own)
    assert not prepared.wants({"raw": Tensor("raw", "FP32", np.zeros((1, 1, 4, 4), np.float32))})
    assert prepared.signature(own) is own
    prepared.follow(Takes.RAW, 8)
    assert prepared.wants(raw(image()))
    assert prepared.signature(own).inputs[0].datatype == "BYTES"


@settings(max_examples=60, deadline=None)
@given(
    taken=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=20),
    left=st.sets(st.integers(0, 3)),
)
def test_room_is_never_overdrawn_and_comes_back(taken: list[tuple[int, int]], left: set[int]) -> None:
    room = Room(100)
    places = [Place(room) for _ in range(4)]
    sums = [0] * 4
    for who, size in taken:
        if who in left:
            places[who].leave()
            sums[who] = 0
        try:
            places[who].reserve(size)
        except (QueueFull, RawRefused):
            continue
        sums[who] += 0 if who in left else size
        assert room.taken == sum(sums) <= 100
    for place in places:
        place.leave()
    assert room.taken == 0
