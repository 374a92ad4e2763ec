"""CGDNet of Njoku, Morocho-Cayamcela and Lim 2021."""

import math

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform, he_normal_dense
from amc_core.models.layers import SameMaxPool2d


class CGDNet(nn.Module):
    """Three convolutions with a skip, a GRU over 50 maps, Gaussian dropout: 124,933 parameters at N = 128, n = 11.

    665,874 parameters at N = 1024, n = 24. The layers are those of AMR-Benchmark. The GRU's steps are the filters,
    not time.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: Njoku et al., "CGDNet: Efficient Hybrid Deep Learning Model for Robust Automatic Modulation Recognition",
    IEEE Networking Letters 3(2), 2021.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, 50, (1, 6)), nn.ReLU(), SameMaxPool2d((2, 2), (1, 1)), GaussianDropout(0.2)
            )
            for channels in (1, 50, 50)
        )
        self.gru = nn.GRU(4 * length - 40, 50, batch_first=True)
        self.head = nn.Sequential(
            GaussianDropout(0.2), nn.Linear(50, 256), nn.ReLU(), GaussianDropout(0.2), nn.Linear(256, classes)
        )
        glorot_uniform(self)
        first = self.blocks[0][0].weight
        bound = math.sqrt(3 / first[0].numel())  # LeCun's uniform distribution
        nn.init.uniform_(first, -bound, bound)
        he_normal_dense(self.head[1:2])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, third = self.blocks
        early = first(x.unsqueeze(1))
        maps = torch.cat([early, third(second(early))], dim=-1)
        steps, _ = self.gru(maps.flatten(2))
        return self.head(steps[:, -1])


class GaussianDropout(nn.Module):
    """Multiplies by normal numbers of mean 1 and variance rate / (1 − rate) in training (Srivastava et al. 2014)."""

    def __init__(self, rate: float):
        super().__init__()
        self.deviation = math.sqrt(rate / (1 - rate))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1 + self.deviation * torch.randn_like(x)) if self.training else x
