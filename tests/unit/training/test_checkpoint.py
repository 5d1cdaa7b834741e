"""Nested state through a safetensors file and back, bit for bit."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from headwater.training import checkpoint
from headwater.training.checkpoint import CannotCheckpoint, NotACheckpoint

PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20))
TENSORS = st.builds(
    lambda shape, dtype: torch.randint(0, 2, shape).to(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]),
)
STATES = st.recursive(
    PLAIN | TENSORS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    ),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and left.dtype == right.dtype and torch.equal(left, right)
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right or repr(left) == repr(right)  # NaN


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(state=STATES)
def test_any_nested_state_comes_back_equal(state: Any, tmp_path: Path) -> None:
    checkpoint.save(state, tmp_path / "state")
    assert same(checkpoint.load(tmp_path / "state"), state)


def test_an_optimizer_goes_on_exactly_where_it_was(tmp_path: Path) -> None:
    def make() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(), torch.nn.Linear(8, 1))
        return model, torch.optim.AdamW(model.parameters(), lr=0.01, amsgrad=True)

    def steps(model: torch.nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            model(torch.randn(3, 4)).square().mean().backward()
            optimizer.step()

    undisturbed, optimizer = make()
    steps(undisturbed, optimizer, 3)
    state = {
        "model": undisturbed.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": checkpoint.random_state(),
    }
    checkpoint.save(state, tmp_path / "state")
    steps(undisturbed, optimizer, 3)

    resumed, optimizer = make()
    state = checkpoint.load(tmp_path / "state")
    resumed.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    checkpoint.set_random_state(state["random"])
    steps(resumed, optimizer, 3)
    assert same(dict(resumed.state_dict()), dict(undisturbed.state_dict()))


def test_every_generator_goes_on_where_it_was(tmp_path: Path) -> None:
    def draw() -> tuple[float, float, float, float]:
        return random.gauss(0, 1), np.random.normal(), float(np.random.random()), torch.rand(1).item()

    draw()
    checkpoint.save(checkpoint.random_state(), tmp_path / "state")
    drawn = draw()
    checkpoint.set_random_state(checkpoint.load(tmp_path / "state"))
    assert draw() == drawn


def test_tied_weights_are_stored_once_and_tied_again(tmp_path: Path) -> None:
    weight = torch.randn(1000)
    checkpoint.save({"encoder": weight, "decoder": weight}, tmp_path / "state")
    assert (tmp_path / "state").stat().st_size < 2 * weight.nbytes
    state = checkpoint.load(tmp_path / "state")
    assert state["encoder"] is state["decoder"]


def test_a_slice_of_a_buffer_is_stored_without_the_buffer(tmp_path: Path) -> None:
    checkpoint.save(torch.arange(100_000)[::50_000], tmp_path / "state")
    assert (tmp_path / "state").stat().st_size < 1000
    assert checkpoint.load(tmp_path / "state").tolist() == [0, 50_000]


@pytest.mark.parametrize("odd", [object(), {1, 2}, b"bytes", np.float32(1), 1j, {(1, 2): 3}, {True: 1}])
def test_what_cannot_be_kept_is_refused_by_its_place(odd: object, tmp_path: Path) -> None:
    with pytest.raises(CannotCheckpoint, match=r"state\.a\[1\]"):
        checkpoint.save({"a": [1, odd]}, tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_another_file_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "file"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(NotACheckpoint):
        checkpoint.load(path)
    path.write_bytes(b"\x80\x04}.")  # a pickle
    with pytest.raises(NotACheckpoint):
        checkpoint.load(path)
