"""The densely connected network of Liu, Yang and El Gamal 2017."""

import torch
from torch import nn

from amc_core.models.initialisers import glorot_uniform
from amc_core.models.layers import SameConv2d
from amc_core.models.resnet_liu import wide_head


class DenseNetLiu(nn.Module):
    """Four wide convolutions, each over all maps before it, two dense layers: 3,282,603 parameters at N = 128, n = 11.

    21,634,360 parameters at N = 1024, n = 24, nearly all in the first dense layer. The layers are those of
    AMR-Benchmark.

    Input: [batch, 2, length] float32. Output: [batch, classes] logits.

    Source: Liu, Yang and El Gamal, "Deep Neural Network Architectures for Modulation Classification", Asilomar
    2017, arXiv 1712.00443.
    """

    def __init__(self, classes: int, length: int):
        super().__init__()
        self.first = SameConv2d(1, 256, (1, 3))
        self.second = SameConv2d(256, 256, (2, 3))
        self.third = SameConv2d(512, 80, (1, 3))
        self.fourth = SameConv2d(592, 80, (1, 3))
        self.dropout = nn.Dropout(0.6)
        self.head = wide_head(length, classes)
        glorot_uniform(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x.unsqueeze(1)).relu()
        maps = torch.cat([first, self.second(first)], dim=1)
        maps = torch.cat([maps, self.third(maps.relu())], dim=1)
        return self.head(self.dropout(self.fourth(maps.relu()).relu()))
