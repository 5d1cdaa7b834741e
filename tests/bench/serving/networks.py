"""The networks that are served, with random weights: speed does not depend on what they have learnt.

torchvision does not go together with every build of torch, so they are written out here, after the papers:
ResNet-50 (He et al. 2015, with the stride in the 3x3 convolution), MobileNetV3-Large (Howard et al. 2019) and a
Transformer encoder of six layers (Vaswani et al. 2017), of DistilBERT's size (Sanh et al. 2019) and normalised first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SEQUENCE, WIDTH = 64, 768
"""Tokens of a text, and numbers of a token."""


def resnet50() -> nn.Module:
    """[N, 3, 224, 224] to [N, 1000]."""
    stages: list[nn.Module] = []
    channels = 64
    for position, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if position > 0 and block == 0 else 1
            stages.append(_Bottleneck(channels, width, stride))
            channels = 4 * width
    return nn.Sequential(
        _convolution(3, 64, 7, 2),
        nn.MaxPool2d(3, 2, 1),
        *stages,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 1000),
    )


def mobilenet_v3() -> nn.Module:
    """[N, 3, 224, 224] to [N, 1000]."""
    blocks: list[nn.Module] = []
    channels = 16
    for kernel, expanded, out, squeeze, hard, stride in _MOBILENET_V3_LARGE:
        blocks.append(_Inverted(channels, kernel, expanded, out, squeeze=squeeze, hard=hard, stride=stride))
        channels = out
    return nn.Sequential(
        _convolution(3, 16, 3, 2, nn.Hardswish()),
        *blocks,
        _convolution(channels, 960, 1, 1, nn.Hardswish()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(960, 1280),
        nn.Hardswish(),
        nn.Linear(1280, 1000),
    )


def encoder(layers: int = 6) -> nn.Module:
    """[N, 64, 768] to [N, 64, 768]."""
    return nn.Sequential(*(_EncoderLayer(WIDTH, heads=12) for _ in range(layers)))


_MOBILENET_V3_LARGE: Sequence[tuple[int, int, int, bool, bool, int]] = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)
"""Kernel, expanded and outgoing channels, squeeze-and-excite, hard swish, stride: table 1 of the paper."""


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            _convolution(channels, width, 1, 1),
            _convolution(width, width, 3, stride),
            _convolution(width, 4 * width, 1, 1, nn.Identity()),
        )
        same = stride == 1 and channels == 4 * width
        self.short = nn.Identity() if same else _convolution(channels, 4 * width, 1, stride, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.short(x))


class _Inverted(nn.Module):
    def __init__(
        self, channels: int, kernel: int, expanded: int, out: int, *, squeeze: bool, hard: bool, stride: int
    ) -> None:
        super().__init__()
        activation: nn.Module = nn.Hardswish() if hard else nn.ReLU()
        self.path = nn.Sequential(
            _convolution(channels, expanded, 1, 1, activation),
            _convolution(expanded, expanded, kernel, stride, activation, groups=expanded),
            _Squeeze(expanded) if squeeze else nn.Identity(),
            _convolution(expanded, out, 1, 1, nn.Identity()),
        )
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.path(x)
        return x + changed if self.adds else changed


class _Squeeze(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1),
            nn.ReLU(),
            nn.Conv2d(channels // 4, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x * self.gate(x)
        return gated


class _EncoderLayer(nn.Module):
    """Written out, so that every exporter sees plain operators."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention = nn.LayerNorm(width)
        self.together = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        queries, keys, values = (
            part.reshape(rows, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in self.together(self.before_attention(x)).chunk(3, dim=-1)
        )
        weights = torch.softmax(queries @ keys.transpose(-1, -2) * (width // self.heads) ** -0.5, dim=-1)
        attended: Tensor = x + self.out((weights @ values).transpose(1, 2).reshape(rows, tokens, width))
        fed: Tensor = attended + self.feed_forward(attended)
        return fed


def _convolution(
    channels: int, out: int, kernel: int, stride: int, activation: nn.Module | None = None, *, groups: int = 1
) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU() if activation is None else activation,
    )
