"""Tensors in shared memory, and messages that tell where they are."""

import os

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from services.inference.engines.worker import wire
from services.inference.engines.worker.memory import SharedMemory
from services.inference.tensors.datatypes import NUMPY_TYPES
from services.inference.tensors.model import Array, TensorSpec

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@strategies.composite
def tensors(draw: strategies.DrawFn) -> tuple[TensorSpec, Array]:
    """Any tensor, and what a signature says of it."""
    datatype = draw(strategies.sampled_from(sorted(NUMPY_TYPES)))
    shape = draw(SHAPES)
    if datatype == "BYTES":
        array = np.empty(shape, np.object_)
        array.flat[:] = draw(strategies.lists(strategies.binary(max_size=9), min_size=array.size, max_size=array.size))
    else:
        array = draw(arrays.arrays(NUMPY_TYPES[datatype], shape))
    return TensorSpec("t", datatype, (-1,) * len(shape)), array


def same(one: Array, other: Array) -> bool:
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return list(one.flat) == list(other.flat) if one.dtype.hasobject else one.tobytes() == other.tobytes()


@hypothesis.given(strategies.lists(tensors(), max_size=4))
@hypothesis.settings(max_examples=60, deadline=None)
def test_what_is_laid_is_found(given: list[tuple[TensorSpec, Array]]) -> None:
    memory = SharedMemory.create("test")
    specs, laid = [spec for spec, _ in given], [array for _, array in given]
    message = wire.lay(7, specs, laid, memory)
    numbers = wire.unpack(message, len(message))
    other = SharedMemory(memory.descriptor)
    found = wire.find(numbers, specs, other, copied=True)
    assert numbers[0] == 7
    assert all(same(one, another) for one, another in zip(laid, found, strict=True))
    memory.close()


@hypothesis.given(strategies.lists(strategies.integers(-(2**63), 2**63 - 1), max_size=12))
@hypothesis.settings(max_examples=150, deadline=None)
def test_no_message_makes_the_service_read_elsewhere(numbers: list[int]) -> None:
    """Either it tells of a tensor within the memory, or it is malformed; a worker that lies is found out."""
    memory = SharedMemory.create("test")
    memory.grown(64)[:64] = bytes(64)
    try:
        (found,) = wire.find([0, *numbers], [TensorSpec("t", "FP32", (-1,))], memory, copied=True)
    except wire.Malformed:
        pass
    else:
        assert found.nbytes <= memory.size
    finally:
        memory.close()


@pytest.mark.parametrize(
    "numbers",
    [
        [0, 64, 0, 8, 1, 3],
        [0, 64, 60, 8, 1, 2],
        [0, 64, -8, 8, 1, 2],
        [0, 2**40, 0, 8, 1, 2],
        [0, 64, 0, 8, 2, -1, -2],
        [0, 64, 0, 8, 1, 2, 9],
        [0, 64, 0, 8],
        [0],
    ],
)
def test_a_message_that_cannot_be_is_malformed(numbers: list[int]) -> None:
    memory = SharedMemory.create("test")
    memory.grown(64)
    with pytest.raises(wire.Malformed):
        wire.find(numbers, [TensorSpec("t", "FP32", (-1,))], memory, copied=True)
    memory.close()


def test_the_other_side_cannot_take_memory_away_that_this_one_reads() -> None:
    """Reading it would end this process by SIGBUS."""
    memory = SharedMemory.create("test")
    memory.grown(1 << 20)
    with pytest.raises(PermissionError):
        os.ftruncate(memory.descriptor, 0)
    memory.close()


def test_arrays_outlive_a_memory_that_grows_under_them() -> None:
    memory = SharedMemory.create("test")
    spec = TensorSpec("t", "FP32", (-1,))
    first = wire.Places([spec], [[np.ones(4, np.float32)]], memory).arrays[0]
    memory.grown(1 << 22)
    assert first.tolist() == [1] * 4
    memory.close()
    assert first.tolist() == [1] * 4


def test_a_failure_travels_with_its_reason_and_its_text() -> None:
    message = wire.pack_failure("ENGINE_FAILED", "x" * 10_000)
    reason, text = wire.unpack_failure(message, len(message))
    assert (reason, len(text)) == ("ENGINE_FAILED", 2000)
    with pytest.raises(wire.Malformed):
        wire.unpack_failure(message, 12)


@pytest.mark.parametrize("said", [b"5", b"[", b'["a"]', b"[" * 100_000, b"\xff"])
def test_what_another_process_says_of_its_failure_cannot_be_more_than_unreadable(said: bytes) -> None:
    message = wire.pack([wire.FAILED]) + said
    with pytest.raises(wire.Malformed):
        wire.unpack_failure(message, len(message))
