"""MCNet of Huynh-The, Hua, Pham and Kim 2020."""

import torch
from torch import nn
from torch.nn import functional

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import SameConv2d, SameMaxPool2d, pad_same

_HALVE = (1, 2)  # the stride that halves time and keeps both rows


class MCNet(nn.Module):
    """Asymmetric convolutions in six blocks with skips: 121,611 parameters at n = 11, 126,616 at n = 24.

    The layers are those of AMR-Benchmark, whose table prints 121,511; I and Q rows stay separate to the end. The
    average over all positions equals the published pooling at 128 and at 1024 samples, and allows other lengths.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] logits.

    Source: Huynh-The et al., "MCNet: An Efficient CNN Architecture for Robust Automatic Modulation Classification",
    IEEE Communications Letters 24(4), 2020.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.stem = nn.Sequential(_conv(1, 64, (3, 7), _HALVE), _halving((1, 3)))
        self.across = nn.Sequential(_conv(64, 32, (3, 1)), _HalvingAverage())
        self.along = _conv(64, 32, (1, 3), _HALVE)
        self.skip = nn.Sequential(_conv(64, 128, (1, 1), _HALVE), _halving((1, 3)))
        self.first = nn.Sequential(_halving((1, 3)), _Block(64, halve=True))
        self.blocks = nn.ModuleList(_Block(128, halve) for halve in (False, True, False, True))
        self.pool = _halving((2, 2))
        self.last = _Block(128, width=64)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(384, classes))
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x.unsqueeze(1))
        x = torch.cat([self.across(x), self.along(x)], dim=1)
        x = self.first(x) + self.skip(x)
        for block in self.blocks:
            x = block(x) + (self.pool(x) if block.halve else x)
        x = torch.cat([self.last(x), x], dim=1)
        return self.head(x.mean(dim=(2, 3)))


class _Block(nn.Module):
    """A 1×1 convolution to 32 maps, then 1×1, 3×1 and 1×3 ones side by side, which may halve time.

    Input: [batch, in_channels, 2, time]. Output: [batch, 4 width, 2, time or ⌈time / 2⌉].
    """

    def __init__(self, in_channels: int, halve: bool = False, width: int = 32):
        super().__init__()
        self.halve = halve
        stride = _HALVE if halve else (1, 1)
        self.squeeze = _conv(in_channels, 32, (1, 1))
        self.point = _conv(32, width, (1, 1), stride)
        self.across = _conv(32, 3 * width // 2, (3, 1))
        self.along = _conv(32, 3 * width // 2, (1, 3), stride)
        self.pool = _halving((1, 3)) if halve else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze(x)
        return torch.cat([self.point(x), self.pool(self.across(x)), self.along(x)], dim=1)


class _HalvingAverage(nn.Module):
    """The average of three samples, at every second one; padding does not count."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = functional.avg_pool2d(pad_same(x, (1, 3), _HALVE), (1, 3), _HALVE)
        share = functional.avg_pool2d(pad_same(torch.ones_like(x[:1, :1]), (1, 3), _HALVE), (1, 3), _HALVE)
        return total / share


def _conv(in_channels: int, filters: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> nn.Sequential:
    return nn.Sequential(SameConv2d(in_channels, filters, kernel, stride), nn.ReLU())


def _halving(kernel: tuple[int, int]) -> SameMaxPool2d:
    return SameMaxPool2d(kernel, _HALVE)
