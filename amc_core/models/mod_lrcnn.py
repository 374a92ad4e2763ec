"""Mod-LRCNN, the light residual network of P2 §III."""

from itertools import pairwise

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform, he_normal_dense
from amc_core.models.layers import Conv1d


class ModLRCNN(nn.Module):
    """Four residual stages, the average over time, two dense layers (P2 Fig. 1): 97,663 parameters at n = 7.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] logits.
    """

    def __init__(self, classes: int):
        super().__init__()
        channels = (2, 8, 16, 32, 64)
        self.features = nn.Sequential(*(ResidualStage(*pair) for pair in pairwise(channels)))
        self.head = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, classes))
        glorot_uniform(self.features)
        he_normal_dense(self.head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean(dim=-1))


class ResidualStage(nn.Module):
    """A 1×1 convolution and ReLU, then two convolutions of seven samples around a skip, and ReLU.

    Input: [batch, in_channels, time]. Output: [batch, filters, time].
    """

    def __init__(self, in_channels: int, filters: int):
        super().__init__()
        self.expand = Conv1d(in_channels, filters, 1)
        self.first = Conv1d(filters, filters, 7, padding="same")
        self.second = Conv1d(filters, filters, 7, padding="same")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.expand(x).relu()
        return (x + self.second(self.first(x).relu())).relu()
