"""The residual network of Liu, Yang and El Gamal 2017."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import SameConv2d


class ResNetLiu(nn.Module):
    """Four wide convolutions with one skip, two dense layers: 3,098,283 parameters at N = 128, n = 11.

    21,450,040 parameters at N = 1024, n = 24, nearly all in the first dense layer. The layers are those of
    AMR-Benchmark. The ResNet of O'Shea, Roy and Clancy 2018 is another network, `resnet`.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: Liu, Yang and El Gamal, "Deep Neural Network Architectures for Modulation Classification", Asilomar
    2017, arXiv 1712.00443.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.residual = nn.Sequential(SameConv2d(1, 256, (1, 3)), nn.ReLU(), SameConv2d(256, 256, (2, 3)))
        self.features = nn.Sequential(
            SameConv2d(256, 80, (1, 3)), nn.ReLU(), SameConv2d(80, 80, (1, 3)), nn.ReLU(), nn.Dropout(0.6)
        )
        self.head = wide_head(length, classes)
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.unsqueeze(1)
        return self.head(self.features((self.residual(x) + x).relu()))


def wide_head(length: int, classes: int) -> nn.Sequential:
    """The dense layers of both networks of the paper: [batch, 80, 2, length] → [batch, classes]."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(160 * length, 128), nn.ReLU(), nn.Dropout(0.6), nn.Linear(128, classes)
    )
