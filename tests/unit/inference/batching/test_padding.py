"""Requests of different lengths in one batch."""

import asyncio
import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.inference.batching.options import InvalidBatching, Limits, PaddedInput, PaddedOutput, Padding
from services.inference.batching.padding import Padder
from services.inference.engines.onnx import OnnxEngine
from services.inference.tensors.model import Array, Signature, TensorSpec
from tests.unit.inference import onnx_models
from tests.unit.inference.batching.asking import Make, queued, rows, start
from tests.unit.inference.engines import ROWS, HeldEngine

COLUMNS = Padding((PaddedInput("x", 1, 7.0),), (PaddedOutput("y", 1),))
MASKED = Padding((PaddedInput("tokens", 1), PaddedInput("mask", 1)), (PaddedOutput("each", 1),))
TEXT = Signature(
    (TensorSpec("tokens", "INT64", (-1, -1)), TensorSpec("mask", "BOOL", (-1, -1))),
    (TensorSpec("each", "INT64", (-1, -1)), TensorSpec("mean", "FP32", (-1,))),
    batchable=True,
)


def text(*tokens: int) -> list[Array]:
    return [np.array([tokens], np.int64), np.ones((1, len(tokens)), np.bool_)]


async def test_requests_of_about_the_same_length_are_computed_together_and_cut_back(make: Make) -> None:
    seen: list[Array] = []
    engine = HeldEngine(answer=lambda batch: seen.append(batch) or batch * 2)  # type: ignore[func-returns-value]
    batcher = make(engine, limits=Limits(padding=(COLUMNS,)))
    first = await start(batcher, engine, 0)
    lengths = [5, 8, 6, 3, 4, 1]
    others = [asyncio.create_task(batcher.compute(rows(length, columns=length))) for length in lengths]
    await queued(batcher, 6)
    engine.gate.set()
    await first
    answers = [each.outputs[0].tolist() for each in await asyncio.gather(*others)]

    assert answers == [[[2 * length] * length] for length in lengths]
    assert [batch.shape for batch in seen] == [(1, 2), (3, 8), (2, 4), (1, 1)], "the powers of two"
    assert seen[1][0].tolist() == [5] * 5 + [7] * 3


async def test_a_request_that_is_computed_alone_is_filled_up_too(make: Make) -> None:
    """So that its answer does not depend on who else was in the batch."""
    shapes: list[tuple[int, ...]] = []
    engine = HeldEngine(answer=lambda batch: shapes.append(batch.shape) or batch * 2)  # type: ignore[func-returns-value]
    padding = Padding((PaddedInput("x", 1),), (PaddedOutput("y", 1),), sizes=(4, 10))
    batcher = make(engine, limits=Limits(padding=(padding,)))

    answers = [(await batcher.compute(rows(1, columns=length))).outputs[0].shape for length in (3, 4, 10, 11, 500)]

    assert answers == [(1, 3), (1, 4), (1, 10), (1, 11), (1, 500)]
    assert shapes == [(1, 4), (1, 4), (1, 10), (1, 11), (1, 500)], "what is longer than all is computed as it is"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.lists(st.integers(-99, 99), min_size=1, max_size=20), min_size=1, max_size=12))
async def test_with_a_mask_the_answers_are_those_without_padding(make: Make, texts: list[list[int]]) -> None:
    """A real model: a sum over all tokens would be wrong, one over those of the mask is not."""
    batcher = make(
        OnnxEngine.load(onnx_models.masked_mean(), threads=1, memory_bytes=4 * 2**30), limits=Limits(padding=(MASKED,))
    )

    computed = await asyncio.gather(*(batcher.compute(text(*tokens)) for tokens in texts))

    for tokens, each in zip(texts, computed, strict=True):
        doubled, mean = each.outputs
        assert doubled.tolist() == [[2 * token for token in tokens]]
        assert mean.tolist() == pytest.approx([np.mean(tokens)], rel=1e-5, abs=1e-5)


async def test_a_request_whose_padded_inputs_differ_in_length_is_computed_as_it_is(make: Make) -> None:
    """The model says what is wrong with it, and the others are answered."""
    batcher = make(
        OnnxEngine.load(onnx_models.masked_mean(), threads=1, memory_bytes=4 * 2**30), limits=Limits(padding=(MASKED,))
    )
    wrong = [np.ones((1, 3), np.int64), np.ones((1, 2), np.bool_)]

    results = await asyncio.gather(
        batcher.compute(text(1, 2, 3)), batcher.compute(wrong), batcher.compute(text(4)), return_exceptions=True
    )

    assert [isinstance(result, Exception) for result in results] == [False, True, False]


async def test_a_model_that_does_not_keep_the_length_is_answered_without_padding(make: Make) -> None:
    engine = HeldEngine(answer=lambda batch: batch[:, :1] * 2)
    batcher = make(engine, limits=Limits(padding=(COLUMNS,)))

    answers = [(await batcher.compute(rows(3, columns=length))).outputs[0].tolist() for length in (5, 6)]

    assert answers == [[[6]], [[6]]]


@pytest.mark.parametrize(
    ("padding", "wrong"),
    [
        (Padding((PaddedInput("z", 1),)), "the input 'z'; the model has 'tokens', 'mask'"),
        (Padding((PaddedInput("tokens", 2),)), "Dimension 2 of the input 'tokens'"),
        (Padding((PaddedInput("tokens", 1),), (PaddedOutput("mean", 1),)), "Dimension 1 of the output 'mean'"),
        (Padding((PaddedInput("tokens", 1, 0.5),)), "'tokens' is INT64, which cannot hold 0.5"),
        (Padding((PaddedInput("mask", 1, 2),)), "'mask' is BOOL, which cannot hold 2"),
    ],
)
async def test_a_padding_that_does_not_fit_the_model_is_refused(padding: Padding, wrong: str) -> None:
    with pytest.raises(InvalidBatching, match=wrong):
        Padder([padding], TEXT)


def test_a_model_that_is_not_batched_is_not_padded() -> None:
    with pytest.raises(InvalidBatching, match="not batched"):
        Padder([COLUMNS], dataclasses.replace(ROWS, batchable=False))


async def test_a_padding_that_comes_to_a_loaded_model_and_does_not_fit_is_told_of(make: Make) -> None:
    batcher = make(HeldEngine())
    batcher.limits = Limits(7, padding=(MASKED,))

    assert "'tokens'" in batcher.misfit
    assert batcher.limits.max_batch_rows == 7
    assert (await batcher.compute(rows(1))).outputs[0].tolist() == [[2, 2]]
    batcher.limits = Limits(7, padding=(COLUMNS,))
    assert not batcher.misfit


def test_every_type_of_element_can_be_filled_up() -> None:
    types = ["BOOL", "UINT8", "INT64", "FP16", "FP32", "BF16", "BYTES"]
    specs = tuple(TensorSpec(each, each, (-1, -1)) for each in types)
    one = {each: 0.0 if each == "BYTES" else 1.0 for each in types}
    padder = Padder([Padding(tuple(PaddedInput(each, 1, one[each]) for each in types))], Signature(specs, specs, True))
    stored = [np.bool_, np.uint8, np.int64, np.float16, np.float32, np.uint16, np.object_]
    inputs: list[Array] = [np.zeros((1, 3), dtype) for dtype in stored]

    shapes, lengths = padder.shapes(inputs) or ((), ())
    filled = [array[0, 3] for array in padder.fill(inputs, shapes)]

    assert lengths == (3,)
    assert filled == [True, 1, 1, 1.0, 1.0, 0x3F80, b""]


def test_two_lengths_are_filled_up_independently() -> None:
    """Pictures, say, of any height and width."""
    spec = TensorSpec("x", "UINT8", (-1, -1, -1, 3))
    signature = Signature((spec,), (spec,), batchable=True)
    height, width = (
        Padding((PaddedInput("x", 1),), (PaddedOutput("x", 1),), sizes=(32, 64)),
        Padding((PaddedInput("x", 2),), (PaddedOutput("x", 2),), sizes=(40,)),
    )
    padder = Padder([height, width], signature)
    picture = np.ones((1, 33, 7, 3), np.uint8)

    shapes, lengths = padder.shapes([picture]) or ((), ())
    (filled,) = padder.fill([picture], shapes)

    assert filled.shape == (1, 64, 40, 3)
    assert filled.sum() == picture.sum()
    assert padder.cut([filled], shapes, lengths)[0].tolist() == picture.tolist()
