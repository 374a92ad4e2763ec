"""IC-AMCNet of Hermawan, Ginanjar, Kim and Lee 2020."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import SameConv2d


class ICAMCNet(nn.Module):
    """Four convolutions, two dense layers with noise between them: 1,264,011 parameters at N = 128, n = 11.

    8,605,720 parameters at N = 1024, n = 24, nearly all in the first dense layer. The layers are those of
    AMR-Benchmark. The noise before the last layer has unit variance, so smaller initial weights than
    Glorot-uniform ones learn later.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: Hermawan et al., "CNN-Based Automatic Modulation Classification for Beyond 5G Communications", IEEE
    Communications Letters 24(5), 2020.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.features = nn.Sequential(
            SameConv2d(1, 64, (1, 8)),
            nn.ReLU(),
            nn.MaxPool2d((2, 2)),
            SameConv2d(64, 64, (1, 4)),
            nn.ReLU(),
            SameConv2d(64, 128, (1, 8)),
            nn.ReLU(),
            nn.Dropout(0.4),
            SameConv2d(128, 128, (1, 8)),
            nn.ReLU(),
            nn.Dropout(0.4),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(128 * (length // 2), 128), nn.ReLU(), nn.Dropout(0.4), GaussianNoise(), nn.Linear(128, classes)
        )
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x.unsqueeze(1)))


class GaussianNoise(nn.Module):
    """Adds noise of unit variance in training."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.randn_like(x) if self.training else x
