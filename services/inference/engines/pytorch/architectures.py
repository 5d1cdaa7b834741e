"""Architectures that ship: names that a deployment may give, and the modules that states of them belong to.

An architecture is a function from a state (tensors by name) to a module that has exactly these; sizes are read off the
tensors. An administrator registers others with the setting ``engine_code``.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import nn

from services.inference.engines.engine import ModelRefused

State: TypeAlias = Mapping[str, torch.Tensor]
Architecture: TypeAlias = Callable[[State], nn.Module]

_WEIGHT = re.compile(r"(?:layers\.)?(?P<position>\d+)\.weight")


def architecture(name: str) -> Architecture:
    """The architecture that ships under this name.

    Raises:
        ModelRefused: none does.
    """
    if name not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ModelRefused(f"No architecture {name} is registered; these ship: {known}. See the setting engine_code.")
    return ARCHITECTURES[name]


class Layers(nn.Module):
    """What keeps its layers under the name ``layers``; their input is a batch."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        """What the last layer gives."""
        result: torch.Tensor = self.layers(tensor)
        return result


def mlp(state: State) -> nn.Module:
    """Linear layers with a ReLU between each two, all in one Sequential, by itself or as ``layers``."""
    weights = _weights(state, rank=2)
    layers: list[nn.Module] = [nn.Identity() for _ in range(weights[-1][0] + 1)]
    for position, weight in weights:
        layers[position] = _linear(weight)
    for before, after in itertools.pairwise(weights):
        if after[0] - before[0] == 1:
            raise ValueError("two linear layers follow each other without a ReLU")
        layers[before[0] + 1] = nn.ReLU()
    sequence = nn.Sequential(*layers)
    return Layers(sequence) if any(name.startswith("layers.") for name in state) else sequence


def small_cnn(state: State) -> nn.Module:
    """Two convolutions of 3 by 3, each halving height and width, and two linear layers, as ``layers``: the network of
    the example ``digits``."""
    first, second, hidden, last = (state[f"layers.{position}.weight"] for position in (0, 3, 7, 9))
    return Layers(
        nn.Sequential(
            *(_convolution(first), nn.ReLU(), nn.MaxPool2d(2)),
            *(_convolution(second), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            *(_linear(hidden), nn.ReLU(), _linear(last)),
        )
    )


ARCHITECTURES: Mapping[str, Architecture] = {"mlp": mlp, "small-cnn": small_cnn}


def _weights(state: State, rank: int) -> list[tuple[int, torch.Tensor]]:
    found = sorted(
        (int(match["position"]), tensor) for name, tensor in state.items() if (match := _WEIGHT.fullmatch(name))
    )
    if not found or any(tensor.dim() != rank for _, tensor in found):
        raise ValueError(f"there must be weights 0.weight, 2.weight, … of {rank} dimensions")
    return found


def _linear(weight: torch.Tensor) -> nn.Module:
    return nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype)


def _convolution(weight: torch.Tensor) -> nn.Module:
    return nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, dtype=weight.dtype)
